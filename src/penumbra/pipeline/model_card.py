"""What is known of a registered version: the model card, and the facts that fill the reporting guidelines."""

from collections.abc import Mapping
from typing import Any

from penumbra import registry
from penumbra.base.blocks import GTV
from penumbra.base.params import project_root, read_yaml
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.manifests import PopulateManifest, RegisterManifest
from penumbra.pipeline.workspace import Work
from penumbra.report import checklist
from penumbra.report import inputs as page
from penumbra.survival.horizons import horizon_words


def model_card(work: Work, registered: RegisterManifest) -> page.ModelCard:
    settings = work.settings
    parameters: dict[str, Any] = {"profile": settings.profile}
    for group, values in (("fuse", settings.fuse), ("train", settings.train), ("evaluate", settings.evaluate)):
        parameters |= {f"{group}.{name}": value for name, value in vars(values).items()}
    facts = (
        ("Intended use", "research on retrospective cohorts; not a medical device, no decision on a patient rests on it"),
        ("Outcome", "overall survival in days from the start of radiotherapy"),
        ("Input", f"planning CT and GTV; ROIs {GTV} and rings"),
    )
    common: Mapping[str, Any] = {"parameters": tuple((name, str(value)) for name, value in parameters.items()), "facts": facts}
    if registered.version is None:
        return page.ModelCard(settings.register.model, 0, (), "", settings.cohort.train_centers, "", 0, "", "", **common)
    entry = registry.find(work.home, registered.version, registered.model)
    loaded = registry.load(work.home, entry.version, model=entry.model)
    lineage = loaded.lineage
    answers = f"at {', '.join(map(horizon_words, loaded.horizons_days))}, and not beyond day {loaded.model.baseline.last_day:g} of the training follow-up"
    common = {**common, "facts": (*facts, ("Survival", answers))}
    return page.ModelCard(
        model=entry.model,
        version=entry.version,
        aliases=entry.aliases,
        digest=entry.digest,
        train_centers=entry.train_centers,
        registered_at=entry.created_at.date().isoformat(),
        store_commit=entry.store_commit,
        store_digest=entry.store_digest,
        code_commit=entry.code_commit,
        environment=tuple(lineage.environment.items()),
        **common,
    )


def guidelines(work: Work, data: Dataset, card: page.ModelCard, flow: tuple[page.CenterFlow, ...]) -> tuple[page.ChecklistItem, ...]:
    """The checklist with what lineage, manifests and settings answer; the rest stays unanswered."""
    settings, populate = work.settings, manifests.read(work.home, PopulateManifest)
    names = {split: ", ".join(center.center for center in flow if center.training is trains) for split, trains in (("train", True), ("test", False))}
    facts: dict[str, object] = {
        "found": sum(center.total for center in flow),
        "accepted": sum(center.accepted for center in flow),
        "grid_mm": f"{settings.ingest.grid_mm:g}",
        "radiomics_features": populate.features,
        "engine": f"engine {settings.populate.engine}",
        "feature_version": populate.version,
        "train_n": int(data.training.sum()),
        "train_events": int(data.event[data.training].sum()),
        "test_n": int((~data.training).sum()),
        "test_events": int(data.event[~data.training].sum()),
        "centers": ", ".join(center.center for center in flow),
        "train_centers": names["train"],
        "test_centers": names["test"],
        "digest": card.digest[:12],
        "code_commit": card.code_commit[:12],
        "version": f"{card.model}/{card.version}" if card.version else "",
        "horizons": ", ".join(f"{horizon:g}" for horizon in settings.evaluate.horizons_days),
        "folds": settings.fuse.folds,
        "harmonization": {"none": "none", "combat": f"ComBat on the training centers; a center that did not train: {settings.fuse.unseen_center}"}[
            settings.fuse.harmonise
        ],
        "refits": settings.evaluate.refits,
        "calibration_groups": settings.evaluate.calibration_groups,
        "bootstraps": settings.evaluate.bootstraps,
    }
    return checklist(read_yaml(project_root() / "models" / "checklist.yaml"), facts)
