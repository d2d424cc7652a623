"""The center-arrival protocol: from a new center's files to the decision whether a refitted model becomes champion.

a  ingest and populate the new center
b  score it with the frozen champion: the true external validation, written before anything is refitted
c  checks of the data; too few deaths, or too many patients refused, end it here
d  refit with the new center in training: the challenger
e  champion and challenger side by side on patients that neither was fitted on, with the models that must be beaten
f  the gate: promote, keep as challenger, or reject
g  report and notification

Every step is a row of the relation `retrainings`. A call that was killed goes on from what it finished; a call with nothing new says so.
"""

from collections.abc import Mapping
from dataclasses import asdict, replace
from typing import Any

import numpy as np

from penumbra import arrivals, fusion, registry, store
from penumbra.aliases import set_alias
from penumbra.crossfit import Recipe, cross_fitted
from penumbra.dataset import Dataset, read_dataset
from penumbra.evaluate import EXTERNAL, ModelRisk, evaluate
from penumbra.fusion import DEEP
from penumbra.modelling import CONTROLS, load_models, metric_records, prediction_records, risks
from penumbra.network import EnsembleSettings, Pretrain
from penumbra.progress import say
from penumbra.refusal import Refusal
from penumbra.registry import CenterScore, LoadedModel, MetricRow, Verdict
from penumbra.settings import Fuse
from penumbra.stages import accepted_images, embed, ingest, populate, register, report, train
from penumbra.stages import evaluate as evaluate_stage
from penumbra.stages import fuse as fuse_stage
from penumbra.work import Manifest, Work, one_run_at_a_time, read_manifest, write_manifest

OLD, NEW, SHUFFLED = "champion", "challenger", "Shuffled"
METRIC = "harrell_c"


def retrain(work: Work, center: str) -> Manifest:
    """The whole protocol for one center in incoming/; what it decided, as manifests/retrain-<center>.json has it.

    One retraining at a time in a state folder: a second one waits.

    Raises  Refusal "center_arrived", "model_registered" when there is no champion yet, and what its stages raise.
    """
    with one_run_at_a_time(work.home, wait=True):
        return _retrain(work, center)


def _retrain(work: Work, center: str) -> Manifest:
    champion = _champion(work)
    if center not in arrivals.center_folders(work.home):
        arrived = ", ".join(arrivals.center_folders(work.home))
        raise Refusal("center_arrived", f"no center {center} in incoming/; there are {arrived}", "penumbra ingest FOLDER --center NAME")
    if not is_new(work, center):
        return last(work, center)
    key = _key(work, champion, center)
    journal = Journal(work, key, center)
    verdict, version, compared = _protocol(work, champion, center, journal)
    report(work)
    content = {
        "center": center,
        "key": key,
        "key_after": _key(work, _champion(work), center),
        "decision": verdict.decision,
        "reason": verdict.reason,
        "champion": champion.entry.version,
        "challenger": version,
        "comparison": [row | {name: None for name in ("value", "lower", "upper") if row[name] != row[name]} for row in map(asdict, compared)],
    }
    journal.write("decision", verdict.reason, {"decision": verdict.decision, "champion": champion.entry.version, "challenger": version})
    return write_manifest(work.home, _manifest(center), content)


def is_new(work: Work, center: str) -> bool:
    """Whether the center's files, the champion or a number changed since the center was last decided."""
    if not (work.home / "manifests" / f"{_manifest(center)}.json").is_file():
        return True
    before = read_manifest(work.home, _manifest(center))
    return _key(work, _champion(work), center) not in (before["key"], before["key_after"])


def last(work: Work, center: str) -> Manifest:
    """What the last retraining for a center decided.

    Raises  Refusal "stages_in_order" when there was none.
    """
    return read_manifest(work.home, _manifest(center))


def waiting(work: Work) -> list[str]:
    """The centers in incoming/ that a retraining would have something to do for: those that arrived after the champion was registered and are
    not decided as they are now. A center that was there then is the champion's training or external test, and stays so unless it is named."""
    champion = _champion(work)
    later = [center for center in arrivals.center_folders(work.home) if center not in champion.lineage.data_digests]
    return [center for center in later if is_new(work, center)]


def _champion(work: Work) -> LoadedModel:
    return registry.load(work.home, registry.CHAMPION, model=work.settings.register.model)


def _manifest(center: str) -> str:
    return f"retrain-{center}"


def _key(work: Work, champion: LoadedModel, center: str) -> str:
    """What decides a retraining: the center's files, the champion, and every number."""
    settings = {name: value for name, value in asdict(replace(work.settings, rois={}, radiomics={}, models={})).items() if name not in ("serve", "report")}
    documents = [work.settings.rois, work.settings.radiomics, work.settings.models]
    files = arrivals.describe(work.home)["centers"][center]
    return store.version_key({"files": files, "champion": champion.entry.digest, "settings": settings, "documents": documents})


class Journal:
    """The steps of one retraining as rows of `retrainings`."""

    def __init__(self, work: Work, key: str, center: str) -> None:
        self.work, self.key, self.center = work, key, center

    def write(self, step: str, outcome: str, facts: Mapping[str, Any]) -> None:
        say(f"{self.center}: {step}: {outcome}")
        row = {"retraining": self.key, "center": self.center, "step": step, "outcome": outcome, "facts": dict(facts)}
        with store.connect(self.work.home) as lake:
            lake.write({"retrainings": [row]}, run=self.work.run, what=f"retrain {self.center}: {step}")


def _protocol(work: Work, champion: LoadedModel, center: str, journal: Journal) -> tuple[Verdict, int | None, list[MetricRow]]:
    """Steps a to f: the verdict, the challenger's version, and the comparison."""
    limits = work.settings.retrain
    found = ingest(work, only=center)["centers"][center]
    filled = populate(work)
    journal.write("arrival", f"{len(found['accepted'])} of {found['found']} accepted", {"rejected": found["rejected"], "flagged": found["flagged"]})
    for roi, needed in champion.feature_versions.items():
        if roi != DEEP and needed != filled["version"]:
            raise Refusal(
                "same_features",
                f"{champion.entry.model}/{champion.entry.version} reads features {needed}, the settings of today make {filled['version']}",
                "register a version of today's settings first: penumbra run",
            )
    accepted = len(found["accepted"])
    if not accepted or accepted < (1 - limits.most_rejected) * found["found"]:
        return Verdict("stop", f"Stopped: {accepted} of {found['found']} patients of {center} were accepted; see the relation rejections."), None, []

    frozen = replace(work, settings=replace(work.settings, cohort=replace(work.settings.cohort, train_centers=champion.lineage.train_centers)))
    assert champion.network_path is not None, "a registered model carries its network"
    embed(frozen, champion.feature_versions[DEEP], champion.network_path)
    data = read_dataset(frozen, champion.feature_versions[DEEP])
    journal.write("validation", _validate(frozen, champion, data, center), {"version": champion.entry.version})

    events = int(data.event[data.centers == center].sum())
    if events < limits.min_events:
        return Verdict("stop", f"Stopped: {events} deaths at {center}, {limits.min_events} are needed; its validation is kept."), None, []
    journal.write("checks", f"{events} deaths among {accepted}; {sum(found['flagged'].values())} remarks", {"events": events})

    centers = tuple(sorted({*champion.lineage.train_centers, center}))
    refitted = replace(work, settings=replace(work.settings, cohort=replace(work.settings.cohort, train_centers=centers)))
    for stage in (train, fuse_stage, evaluate_stage):
        stage(refitted)
    registered = register(refitted)
    if registered["version"] is None:
        return Verdict("reject", f"Rejected: the challenger retained no feature ({registered['reason']})."), None, []
    journal.write("refit", f"version {registered['version']} on {', '.join(centers)}", {"digest": registered["digest"]})
    if registered["version"] == champion.entry.version:
        return Verdict("keep", "Kept: refitting gives the champion itself."), champion.entry.version, []

    compared = _compare(refitted, champion, data)
    verdict = _decide(compared, work)
    journal.write("gate", verdict.reason, {"decision": verdict.decision})
    alias = {"promote": registry.CHAMPION, "keep": registry.CHALLENGER}.get(verdict.decision)
    if alias is not None:
        set_alias(work, registered["version"], alias, reason=verdict.reason)
    return verdict, int(registered["version"]), compared


def _validate(work: Work, champion: LoadedModel, data: Dataset, center: str) -> str:
    """The frozen champion on the new center, into the store and MLflow; one sentence. A center it was fitted on is no validation."""
    if center in champion.lineage.train_centers:
        return "the champion was fitted on this center: nothing to validate"
    found = risks(champion.models, data)
    rows = [row for row in _metrics(work, found, data, combined=champion.served) if row.center == center]
    entry = champion.entry
    with store.connect(work.home) as lake:
        lake.write(
            {
                "model_metrics": metric_records(entry, champion.served, rows),
                "predictions": prediction_records(entry, champion.model, data, found[champion.served], champion.horizons_days),
            },
            run=work.run,
            what=f"{entry.model}/{entry.version} on {center}",
        )
    registry.record_metrics(work.home, entry.version, rows, model=entry.model)
    c = next(row for row in rows if (row.model, row.metric) == (champion.served, METRIC))
    return f"{entry.model}/{entry.version} has C {c.value:.3f} ({c.lower:.3f} to {c.upper:.3f}) on {c.n} patients, {c.events} deaths"


def _compare(work: Work, champion: LoadedModel, data: Dataset) -> list[MetricRow]:
    """Metrics of champion and challenger for every center, from risks of patients that neither was fitted on.

    Where a model was fitted its risks are cross-fitted: its recipe, network included, refitted without each fold. Elsewhere they are the
    registered model's own. Beside them what must be beaten: the controls fitted as the challenger, and the challenger's risks dealt out anew
    within each center (what is left when nothing of the image counts).
    """
    settings, limits = work.settings, work.settings.retrain
    declared = fusion.declarations(settings.models)
    wanted = tuple(declared[name] for name in (settings.register.served, *CONTROLS.values()) if name in declared)
    today = Recipe(settings.network, settings.augment, settings.train, settings.pretrain, settings.ensemble, settings.fuse, wanted)
    now = read_dataset(work)
    images = accepted_images(work)
    fitted = load_models(work, read_manifest(work.home, "fuse")["key"])
    numbers = {"folds": limits.folds, "seed": limits.seed}

    new = _out_of_sample(risks(fitted, now), cross_fitted(work, now, images, settings.cohort.train_centers, today, **numbers))
    former = cross_fitted(work, data, images, champion.lineage.train_centers, _recipe_of(champion, today), **numbers)
    old = _out_of_sample(risks(champion.models, data), former)[champion.served]
    challenger = new[settings.register.served]
    dealt = np.random.default_rng(limits.seed)
    shuffled = challenger.log_risk.copy()
    for center in sorted(set(now.centers.tolist())):
        rows = np.flatnonzero(now.centers == center)
        shuffled[rows] = shuffled[dealt.permutation(rows)]
    models = {OLD: old, NEW: challenger, **{name: new[name] for name in CONTROLS.values() if name in new}, SHUFFLED: replace(challenger, log_risk=shuffled)}
    return _metrics(work, models, replace(now, training=np.zeros_like(now.training)), combined=NEW)


def _recipe_of(champion: LoadedModel, today: Recipe) -> Recipe:
    """How the champion was fitted: its network's own settings and its registered numbers; the declarations are today's."""
    from penumbra import network

    assert champion.network_path is not None, "a registered model carries its network"
    trained = network.load(champion.network_path)
    known = champion.lineage.params

    def registered(group: str, now: Any) -> dict[str, Any]:
        return {name: known.get(f"{group}.{name}", value) for name, value in asdict(now).items()}

    return replace(
        today,
        network=trained.network,
        augment=trained.augment,
        train=trained.train,
        pretrain=Pretrain(**registered("pretrain", today.pretrain)),
        ensemble=EnsembleSettings(**registered("ensemble", today.ensemble)),
        fuse=Fuse(**registered("fuse", today.fuse)),
    )


def _out_of_sample(own: Mapping[str, ModelRisk], crossed: Mapping[str, np.ndarray]) -> dict[str, ModelRisk]:
    """The models that were cross-fitted, with those risks where there are any and their own elsewhere."""
    return {name: replace(own[name], log_risk=np.where(np.isfinite(risk), risk, own[name].log_risk)) for name, risk in crossed.items()}


def _metrics(work: Work, models: Mapping[str, ModelRisk], data: Dataset, *, combined: str) -> list[MetricRow]:
    numbers = work.settings.evaluate
    return evaluate(
        models,
        data.centers,
        data.training,
        data.event,
        data.time,
        horizons_days=numbers.horizons_days,
        resamples=numbers.bootstraps,
        level=numbers.confidence,
        seed=numbers.seed,
        combined=combined,
        controls=CONTROLS,
    )


def _decide(compared: list[MetricRow], work: Work) -> Verdict:
    """The gate on the C-indices of a comparison."""
    values = {(row.model, row.center): row for row in compared if row.metric == METRIC}
    scores = {center: CenterScore(center, row.events, row.value, values[NEW, center].value) for (model, center), row in values.items() if model == OLD}
    pooled = scores.pop(EXTERNAL)
    falsifiers = {model: row.value for (model, center), row in values.items() if center == EXTERNAL and model not in (OLD, NEW) and row.value == row.value}
    return registry.gate(pooled, list(scores.values()), falsifiers, work.settings.retrain.margins)
