"""The center-arrival protocol: from a new center's files to the decision whether a refitted model becomes champion.

a  ingest and populate the new center
b  say what a validation there can tell, and score it with the frozen champion: the true external validation, written before anything is refitted
c  checks of the data, and of how many patients are outside what the champion is for, by features or intended use; where `retrain.recalibrate_from` is
   a number, the champion's probabilities are fitted to the center; too few deaths, or too many patients refused or outside, end it here
d  update: a closed test asks how much of the champion the center's patients ask to change. Nothing, and it stays; level or spread, and a version that
   changes these at the center alone takes its place; more, and it is fitted again (`retrain.update: refit`: always)
e  refit with the new center in training: the challenger
f  champion and challenger side by side on patients that neither was fitted on, with the models that must be beaten
g  the gate: promote, keep as challenger, or reject; a promotion is carried out, or proposed to a person (`retrain.promotion`)
h  report and notification

Every step is a row of the relation `retrainings`. A killed call resumes after its last finished step; one that is killed in the same step again
and again is set aside; a call with nothing new says so.
"""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base.blocks import DEEP
from penumbra.base.progress import made, part, say
from penumbra.base.refusal import Refusal, choose
from penumbra.base.workers import Pool
from penumbra.evaluate import Verdict
from penumbra.evaluate.gate import gate
from penumbra.pipeline import applicability, arrivals, asides, history, live, manifests, notifications, proposals, recalibration, shadow
from penumbra.pipeline.aliases import set_alias
from penumbra.pipeline.challenge import challenge
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.decisions import manifest_of
from penumbra.pipeline.definition import require_same_features
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.ingest import ingest
from penumbra.pipeline.inside import served_by
from penumbra.pipeline.lineage_events import sends
from penumbra.pipeline.live import Signal
from penumbra.pipeline.manifests import OVERTAKEN, PROPOSED, SET_ASIDE, DecisionManifest, EvaluateManifest, IngestedCenter
from penumbra.pipeline.populate import populate
from penumbra.pipeline.register import register
from penumbra.pipeline.report import report
from penumbra.pipeline.train import embed, train
from penumbra.pipeline.workspace import Work, one_run_at_a_time
from penumbra.registry import LoadedModel, older_names
from penumbra.registry.database import noting
from penumbra.retraining import attempts, decision_page, update, validation
from penumbra.retraining.outcome import Outcome
from penumbra.retraining.shift import shifted
from penumbra.survival.update_steps import REFIT

OpenPool = Callable[[], AbstractContextManager[Pool]]
ALIASES = {"promote": registry.CHAMPION, PROPOSED: registry.CHALLENGER, "keep": registry.CHALLENGER}  # what a verdict gives the challenger
STEPS = ("arrival", "validation", "checks", "recalibration", "update", "refit", "gate", "decision")  # not each is part of every retraining: see Steps
LARGE = 0.8  # a standardized mean difference beyond this is called large (Cohen 1988)


def retrain(work: Work, center: str, open_pool: OpenPool | None = None, *, include_set_aside: bool = False) -> DecisionManifest:
    """The whole protocol for one center in incoming/; what it decided, as manifests/retrain-<center>.json has it.

    One retraining at a time in a state folder: a second one waits.

    Parameters
    ----------
    open_pool
        Gives who extracts features, for as long as that takes; None: processes of this machine.
    include_set_aside
        Try a center once more that was set aside.

    Raises
    ------
    Refusal
        "center_arrived", "center_aside", "model_registered" when there is no champion yet, and what its stages raise.
    """
    with one_run_at_a_time(work.home, wait=True), history.watched(work.home):
        return _retrain(work, center, open_pool, include_set_aside)


def _retrain(work: Work, center: str, open_pool: OpenPool | None, include_set_aside: bool) -> DecisionManifest:
    proposals.close(work)
    if _pending(work, center).is_file():
        return _conclude(work, center)
    champion = _champion(work)
    require_arrived(work, center)
    asides.require(work, center, aside=False)
    if not is_new(work, center, include_set_aside=include_set_aside):
        return last(work, center)
    key = key_of(work, champion, center)
    steps = Steps(work, key, center)
    made(champion.entry)
    step = steps.unfinished()
    killed = attempts.kills(work.home, center, key, step)
    if killed >= work.settings.serve.max_kills:
        reason = f"Set aside: killed {killed} times in the step {step}, most likely for memory; the steps before it are kept."
        outcome = Outcome(Verdict(SET_ASIDE, f"{reason} To retry: penumbra retrain --center {center}"))
    else:
        with attempts.attempt(work.home, center, key, step):
            outcome = follow(work, champion, center, steps, open_pool)
    verdict, compared = outcome.verdict, outcome.compared
    if compared is not None or outcome.calibration:
        verdict = proposals.as_declared(verdict, work, outcome.version)
    with part("page"):
        decision_page.write_page(work, champion, center, key, verdict.reason, outcome)
    decided = DecisionManifest(
        center=center,
        key=key,
        decision=verdict.decision,
        reason=verdict.reason,
        model=champion.entry.model,
        champion=champion.entry.version,
        challenger=outcome.version,
        comparison=compared.rows if compared else outcome.calibration,
        paired=compared.paired if compared else (),
        evidence=compared.evidence if compared else None,
        update=outcome.update,
    )
    manifests.write(work.home, decided, _pending(work, center).stem)
    return _conclude(work, center)


def require_arrived(work: Work, center: str) -> None:
    """Refuse a center that has not arrived.

    Raises
    ------
    Refusal
        "center_arrived" when incoming/ has no such center.
    """
    arrived = arrivals.center_folders(work.home)
    if center not in arrived:
        advice = f"{choose(center, arrived, what='there are')}; penumbra ingest FOLDER --center NAME takes in another"
        raise Refusal("center_arrived", f"no center {center!r} in incoming/", advice)


def _conclude(work: Work, center: str) -> DecisionManifest:
    """Carry out and announce what was decided; a call that was killed in here is taken up by the next one."""
    with part("decision"):
        decided = _carried_out(work, center)
    made(decided)
    return decided


def _carried_out(work: Work, center: str) -> DecisionManifest:
    decided = manifests.read(work.home, DecisionManifest, _pending(work, center).stem)
    alias, challenger = ALIASES.get(decided.decision), decided.challenger
    promoted_since = alias == registry.CHALLENGER and challenger == _champion(work).entry.version  # by a person, after a kill
    if alias is not None and challenger is not None and challenger != decided.champion and not promoted_since:
        set_alias(work, challenger, alias, reason=decided.reason)
    facts = {"decision": decided.decision, "champion": decided.champion, "challenger": challenger}
    Steps(work, decided.key, center).write("decision", decided.reason, facts)
    notifications.notify(work.home, decided)
    after, promoted = key_of(work, _champion(work), center), None
    if decided.decision == PROPOSED and challenger is not None:
        promoted = key_of(work, registry.load(work.home, challenger, model=work.settings.register.model), center)
    with noting(work.home):
        manifests.write(work.home, replace(decided, key_after=after, key_promoted=promoted), manifest_of(center))
    attempts.forget(work.home, center)
    _pending(work, center).unlink()
    proposals.close(work)  # what a person carried out, or another champion overtook, after a kill
    return last(work, center)


def _pending(work: Work, center: str) -> Path:
    """The manifest of a decision that is not carried out yet."""
    return manifests.file_of(work.home, f"pending-{center}")


def is_new(work: Work, center: str, *, include_set_aside: bool = False) -> bool:
    """Whether the center's files, the champion or a number changed since the center was last decided; `include_set_aside`: or whether it was set aside."""
    if _pending(work, center).is_file() or not manifests.file_of(work.home, manifest_of(center)).is_file():
        return True
    before = last(work, center)
    retry = before.decision == OVERTAKEN or (include_set_aside and before.decision == SET_ASIDE)
    return retry or key_of(work, _champion(work), center) not in (before.key, before.key_after)


def last(work: Work, center: str) -> DecisionManifest:
    """What the last retraining for a center decided.

    Raises
    ------
    Refusal
        "stages_in_order" when there was none.
    """
    return manifests.read(work.home, DecisionManifest, manifest_of(center))


def waiting(work: Work) -> list[str]:
    """The centers in incoming/ that a retraining would have something to do for.

    Those that arrived after the champion was registered and are not decided as they are now, and those whose live patients die otherwise than it expected.
    Another center that was there then is the champion's training or external test, and stays so unless it is named; one that a person set aside waits.
    """
    signals = {signal.center for signal in live.signals(work.home, work.settings.register.model)}
    old_centers = set(_champion(work).lineage.data_digests) - signals
    passed_over = old_centers | set(asides.of(work.home))
    return [center for center in arrivals.center_folders(work.home) if _pending(work, center).is_file() or (center not in passed_over and is_new(work, center))]


def unanswered(work: Work) -> list[Signal]:
    """Signals of the champion's live patients that no retraining was decided on as the center is now."""
    arrived = arrivals.center_folders(work.home)
    signals = live.signals(work.home, work.settings.register.model)
    return [signal for signal in signals if signal.center not in arrived or is_new(work, signal.center)]


def failure(work: Work, center: str) -> str:
    """Why the last attempt at a center as it is now failed; "" where none did."""
    return attempts.failure(work.home, center, key_of(work, _champion(work), center))


def _champion(work: Work) -> LoadedModel:
    return registry.load(work.home, registry.CHAMPION, model=work.settings.register.model)


def key_of(work: Work, champion: LoadedModel, center: str) -> str:
    """What decides a retraining: the center's files, the champion, and every number that its verdict depends on."""
    numbers = asdict(replace(work.settings, rois={}, radiomics={}, models={}))
    settings = {name: value for name, value in numbers.items() if name not in ("serve", "console", "audit", "report")}
    settings["retrain"] = {name: value for name, value in settings["retrain"].items() if name != "promotion"}  # who carries it out is not part of it
    documents = [work.settings.rois, work.settings.radiomics, work.settings.models]
    files = arrivals.describe(work.home, work.settings.ingest.roots).centers[center].to_json()
    return store.version_key({"files": files, "champion": champion.entry.digest, "settings": older_names.with_older_names(settings), "documents": documents})


class Steps:
    """The steps of one retraining as rows of `retrainings`."""

    def __init__(self, work: Work, key: str, center: str) -> None:
        self.work, self.key, self.center = work, key, center

    def unfinished(self) -> str:
        """The first step that has no row yet."""
        with store.connect(self.work.home) as lake:
            done = {row["step"] for row in lake.rows("retrainings") if row["retraining"] == self.key}
        if self.work.settings.retrain.recalibrate_from is None:
            done.add("recalibration")
        if self.work.settings.retrain.update == REFIT:
            done.add("update")
        return next((step for step in STEPS if step not in done), STEPS[-1])

    def write(self, step: str, outcome: str, facts: Mapping[str, Any]) -> None:
        say(f"{self.center}: {step}: {outcome}")
        row = {"retraining": self.key, "center": self.center, "step": step, "outcome": outcome, "facts": dict(facts)}
        with store.connect(self.work.home) as lake:
            lake.write({"retrainings": [row]}, run=self.work.run, what=f"retrain {self.center}: {step}")


def follow(work: Work, champion: LoadedModel, center: str, steps: Steps, open_pool: OpenPool | None) -> Outcome:
    """Steps a to g."""
    limits = work.settings.retrain
    with part("arrival"):
        ingested = _arrived(work, champion, center, steps, open_pool)
    accepted = len(ingested.accepted)
    if ingested.refused:
        return Outcome(Verdict("stop", f"Stopped: the clinical table of {center} was refused: {ingested.refused}"))
    if not accepted or accepted < (1 - limits.max_rejected) * ingested.found:
        return Outcome(Verdict("stop", f"Stopped: {accepted} of {ingested.found} patients of {center} were accepted; see the relation rejections."))

    frozen = replace(work, settings=replace(work.settings, cohort=replace(work.settings.cohort, train_centers=champion.lineage.train_centers)))
    with part("validation"):
        data = _validated(frozen, champion, center, steps)
    with part("checks"):
        events, outside = _checked(work, champion, data, center, ingested, steps)
    if outside:
        advice = f"at most {100 * limits.max_outside:g} % may be (retrain.max_outside); penumbra compare shows the validation."
        return Outcome(Verdict("stop", f"Stopped: {outside}; {advice}"))
    if limits.recalibrate_from is not None:
        with part("recalibration"):
            steps.write("recalibration", *recalibration.at_center(frozen, champion, data, center))
    if events < limits.min_events:
        return Outcome(Verdict("stop", f"Stopped: {events} deaths at {center}, {limits.min_events} are needed; penumbra compare shows the validation."))

    evidence = None
    if limits.update != REFIT:
        with part("update"):
            evidence = update.evidence_at(frozen, champion, data, center, steps)
            if evidence is not None and evidence.step != REFIT:
                return update.updated(frozen, champion, data, center, evidence)
    return replace(_refitted(work, champion, data, center, steps), update=evidence)


def _arrived(work: Work, champion: LoadedModel, center: str, steps: Steps, open_pool: OpenPool | None) -> IngestedCenter:
    """Step a: what became of the center's patients, and features as the champion reads them."""
    require_same_features(champion)
    ingested = sends(ingest)(work, only=center).centers[center]
    with open_pool() if open_pool else nullcontext() as pool:
        filled = sends(populate)(work, pool)
    steps.write("arrival", f"{len(ingested.accepted)} of {ingested.found} accepted", {"rejected": ingested.rejected, "flagged": ingested.flagged})
    for roi, features_version in champion.feature_versions.items():
        if roi != DEEP and features_version != filled.version:
            raise Refusal(
                "same_features",
                f"{champion.entry.model}/{champion.entry.version} reads features {features_version}, but the current settings make {filled.version}",
                "register a version with the current settings first: penumbra run",
            )
    return ingested


def _validated(frozen: Work, champion: LoadedModel, center: str, steps: Steps) -> Dataset:
    """Step b: the patients as the champion reads them."""
    assert champion.network_path is not None, "a registered model carries its network"
    embed(frozen, champion.feature_versions[DEEP], champion.network_path)
    data = read_dataset(frozen, champion.feature_versions[DEEP])
    precision = validation.expected(champion, data, center)
    sentences = (precision.sentence, validation.validate(frozen, champion, data, center), shadow.at_center(frozen, champion, center))
    steps.write("validation", "; ".join(filter(None, sentences)), {"version": champion.entry.version, "expected_half_widths": precision.facts})
    return data


def _checked(work: Work, champion: LoadedModel, data: Dataset, center: str, ingested: IngestedCenter, steps: Steps) -> tuple[int, str]:
    """Step c: the deaths at the center, and in words how many are outside what the champion is for where that is too many."""
    events = int(data.event[data.centers == center].sum())
    assessed = applicability.assessed(champion.model, applicability.intended_for(champion.settings), data, data.centers == center)
    words = applicability.counts(assessed)
    shift = shifted(data, champion.model.columns, center)
    large = sum(abs(value) > LARGE for value in shift.values())
    steps.write(
        "checks",
        f"{events} deaths among {len(ingested.accepted)}; {sum(ingested.rejected.values())} refused, {sum(ingested.flagged.values())} remarks;"
        f" {large} of {len(shift)} features of the champion differ by more than {LARGE:g} standard deviations;"
        f" {', '.join(f'{n} {word}' for word, n in words.items())} of what the champion is for{applicability.use_of(data, center)}",
        {"events": events, "rejected": ingested.rejected, "flagged": ingested.flagged, "drift": shift, "applicability": words},
    )
    return events, applicability.too_many_outside(assessed, work.settings.retrain.max_outside)


def _refitted(work: Work, champion: LoadedModel, data: Dataset, center: str, steps: Steps) -> Outcome:
    """Steps e to g: the challenger that is fitted on the center too, and the gate."""
    centers = tuple(sorted({*champion.lineage.train_centers, center}))
    refitted = replace(work, settings=replace(work.settings, cohort=replace(work.settings.cohort, train_centers=centers)))
    with part("refit"):
        for stage in (train, fuse, evaluate):
            sends(stage)(refitted)
        registered = sends(register)(refitted)
        sends(report)(refitted)
        if registered.version is None:
            return Outcome(Verdict("reject", f"Rejected: the challenger retained no feature ({registered.reason})."))
        version, evaluated = registered.version, manifests.read(work.home, EvaluateManifest)
        served = served_by(evaluated)
        left_out = decision_page.left_out_c(evaluated.metrics, served)
        finite_c = {place: c for place, c in left_out.items() if c == c}
        remarks_on_c = "".join(f"; without {place} its C there is {c:.3f}" for place, c in finite_c.items() if place in centers)
        steps.write("refit", f"version {version} on {', '.join(centers)}{remarks_on_c}", {"digest": registered.digest, "left_out": finite_c})
    if version == champion.entry.version:
        return Outcome(Verdict("keep", "Kept: refitting reproduces the champion."), version, left_out)

    with part("gate"):
        compared = challenge(refitted, champion, data, served)
        verdict = gate(compared.evidence)
        steps.write("gate", verdict.reason, {"decision": verdict.decision, "evidence": compared.evidence.to_json()})
    return Outcome(verdict, version, left_out, compared)
