"""The facts that answer the items of reporting guidelines, from lineage, manifests and settings; PROBAST+AI's begin with yes, no, or not known."""

import math
from collections.abc import Sequence

from penumbra import fusion
from penumbra.base.params import project_root, read_yaml
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, TRAINING
from penumbra.evaluate.sample_size import Demand
from penumbra.fusion import Declaration
from penumbra.pipeline import decisions, manifests
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.manifests import EvaluateManifest, PopulateManifest
from penumbra.pipeline.sample_size import demands_of, sample_of
from penumbra.pipeline.settings import Settings
from penumbra.pipeline.workspace import Work
from penumbra.report import checklist
from penumbra.report import inputs as page
from penumbra.report.checks import NOT_KNOWN, NOT_MEASURED
from penumbra.report.sample_size import sample_statement
from penumbra.report.words import count, number
from penumbra.survival.horizons import beyond, horizon_words

BY_UNIVARIATE_P = ("signature", "components")  # kinds of models whose columns are selected by a univariate test


def guidelines(
    work: Work,
    data: Dataset,
    card: page.ModelCard,
    flow: tuple[page.CenterFlow, ...],
    evaluated: EvaluateManifest,
    model: fusion.SurvivalModel,
    stability: tuple[page.StabilityOfRoi, ...] = (),
) -> tuple[page.ChecklistItem, ...]:
    """The checklist with what lineage, manifests and settings answer; the rest stays unanswered.

    Parameters
    ----------
    model
        The one that is served.
    stability
        Of the features, by ROI; empty where it was not measured.
    """
    sample = sample_of(work.home, work.settings)
    demands = demands_of(work.home, work.settings, sample)
    asked_of = next((demand for demand in demands if demand.model == model.name), None)
    facts = {
        **_facts(work, data, card, flow),
        "sample_size": sample_statement(sample, demands, model.name, work.settings.evaluate.sample_size_c),
        "updating": _updating(work),
        "enough_patients": _enough_patients(asked_of),
        "follow_up": _follow_up(work.settings, model),
        "everybody": _everybody(flow),
        "missing_values": _missing_values(model),
        "univariate": _univariate(fusion.declarations(work.settings.models)[model.name], work.settings.fuse.alpha),
        "overfitting": _overfitting(work.settings, evaluated),
        "calibrated": _calibrated(work.settings),
        "external": _external(flow),
        "enough_outside": _enough_outside(data, work.settings.evaluate.external_events),
        "against_volume": _against_volume(evaluated, model.name),
        "stability": _stability(evaluated),
        "intended": "; ".join(f"{name} {words}" for name, words in work.settings.intended_use.rows),
        "robustness": _robustness(stability),
        "subgroup_events": work.settings.evaluate.subgroup_events,
    }
    return checklist(read_yaml(project_root() / "models" / "checklist.yaml"), facts)


def _facts(work: Work, data: Dataset, card: page.ModelCard, flow: tuple[page.CenterFlow, ...]) -> dict[str, object]:
    settings, populate = work.settings, manifests.read(work.home, PopulateManifest)
    names = {split: ", ".join(center.center for center in flow if center.training is trains) for split, trains in (("train", True), ("test", False))}
    return {
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


def _updating(work: Work) -> str:
    """What becomes of the model when a center arrives, and what has become of it so far."""
    retrain = work.settings.retrain
    recalibrated = (
        f"recalibrated to a center from {retrain.recalibrate_from} of its deaths on" if retrain.recalibrate_from else "never recalibrated to one center"
    )
    history = "; ".join(f"{decided.center}: {decided.decision}" for decided in decisions.all_of(work.home)) or "none so far"
    extent = (
        "a closed test (Vergouwe 2017) then chooses how much changes: nothing, intercept or slope at that center alone, or everything; in that case"
        if retrain.update == "closed_testing"
        else "then"
    )
    return (
        f"a center that arrives first tests the model as it is; {extent} it is refitted with that center and compared by the gate ({retrain.promotion});"
        f" {recalibrated}. Centers that arrived: {history}"
    )


def _enough_patients(demand: Demand | None) -> str:
    if demand is None or not math.isfinite(demand.c):
        return f"{NOT_KNOWN}: no C inside the training centers is known"
    words = f"{demand.model} tries {count(demand.tried, 'candidate parameter')}, the patients carry {number(demand.allowed, 1)} at C {number(demand.c)} inside"
    return f"{'yes' if demand.missing == 0 else 'no'}: {words}"


def _follow_up(settings: Settings, model: fusion.SurvivalModel) -> str:
    last = settings.evaluate.horizons_days[-1]
    if not model.retained:
        return f"{NOT_KNOWN}: the model retained no feature"
    short, day = beyond(last, model.baseline.last_day), math.floor(model.baseline.last_day)
    return f"{'no' if short else 'yes'}: training patients were followed to day {day}; the last horizon is {horizon_words(last)}"


def _everybody(flow: Sequence[page.CenterFlow]) -> str:
    enrolled, accepted = sum(center.total for center in flow), sum(center.accepted for center in flow)
    if enrolled == accepted:
        return f"yes: all {enrolled}"
    return f"no: {accepted} of {enrolled}; {enrolled - accepted} were excluded, each by a rule that is counted"


def _missing_values(model: fusion.SurvivalModel) -> str:
    filled = [remark for part in model.parts for remark in part.training.remarks if "is missing for" in remark]
    if not filled:
        return "yes: no value that the served model reads is missing in a training patient"
    return f"no: {'; '.join(filled)}; one value for all, not multiple imputation"


def _univariate(declared: Declaration, alpha: float) -> str:
    by_p = [part.name for part in (declared.members or (declared,)) if part.kind in BY_UNIVARIATE_P]
    return f"no: {' and '.join(by_p)} keeps columns with univariate p < {alpha:g}, as the paper does" if by_p else "yes: the served model keeps none by its p"


def _overfitting(settings: Settings, evaluated: EvaluateManifest) -> str:
    if not any(row.split == CROSS_FITTED for row in evaluated.metrics):
        return "no: the models were not refitted without each fold"
    draws = count(settings.crossfit.repeats, "draw")
    return f"yes: every model is refitted without each of {settings.crossfit.folds} folds, {draws}; optimism by {settings.evaluate.refits} bootstrap refits"


def _calibrated(settings: Settings) -> str:
    if settings.crossfit.calibrate:
        return "yes: slope and baseline hazard come from cross-fitted risks"
    return "no: slope and baseline hazard come from the fit that saw the outcomes, as in the paper"


def _external(flow: Sequence[page.CenterFlow]) -> str:
    outside = [center.center for center in flow if not center.training and center.accepted]
    return f"yes: {', '.join(outside)}" if outside else "no: every center trained"


def _enough_outside(data: Dataset, needed_deaths: int) -> str:
    deaths = int(data.event[~data.training].sum())
    return f"{'yes' if deaths >= needed_deaths else 'no'}: {count(deaths, 'death')} outside; {needed_deaths} are asked for (Collins 2016)"


def _against_volume(evaluated: EvaluateManifest, model: str) -> str:
    """Whether the comparison was made, with its result inside and outside."""
    parts = []
    for split, center, metric, words in ((CROSS_FITTED, TRAINING, "delta_c_volume", "inside"), ("test", EXTERNAL, "delta_c_volume_within", "outside")):
        row = next((row for row in evaluated.metrics if (row.model, row.split, row.center, row.metric) == (model, split, center, metric)), None)
        if row is not None and math.isfinite(row.value):
            parts.append(f"{words} C minus volume's is {row.value:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})")
    return f"yes: {'; '.join(parts)}" if parts else "yes: volume, and age and stage, are fitted and measured next to every model"


def _stability(evaluated: EvaluateManifest) -> str:
    over = evaluated.instability
    if over is None:
        return "no: the served model was not refitted"
    mean, worst = number(over.summary()["mape"], 3), number(over.worst, 3)
    return f"yes: over {over.refits} refits a probability moves by {mean} in the mean, and by {worst} for the worst patient"


def _robustness(stability: tuple[page.StabilityOfRoi, ...]) -> str:
    """How many features are stable; which command measures it where nothing is known."""
    if not stability:
        return f"{NOT_MEASURED}: penumbra stability"
    shares = []
    for of_roi in stability:
        stable, total = sum(cell.stable * cell.features for cell in of_roi.cells), sum(cell.features for cell in of_roi.cells)
        shares.append(f"{of_roi.roi} {stable:.0f} of {total}")
    under, patients = ", ".join(stability[0].perturbations), count(stability[0].patients, "training patient")
    return f"{patients} measured again under {under}: ICC(2,1) with a lower limit of at least 0.75 under all of them: {'; '.join(shares)}"
