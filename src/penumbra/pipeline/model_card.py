"""What is known of a registered version: the model card."""

from collections.abc import Mapping
from typing import Any

from penumbra import registry
from penumbra.base.blocks import GTV
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.pipeline.workspace import Work
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
