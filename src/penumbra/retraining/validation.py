"""The step validation of a retraining: what it can tell, from how many patients and deaths there are, and what it tells."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

import numpy as np

from penumbra import registry, store
from penumbra.evaluate.metrics import is_calibration
from penumbra.pipeline import looks, recording, shadow, updating
from penumbra.pipeline.challenge import METRIC
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.evaluate import measured
from penumbra.pipeline.fuse import risks
from penumbra.pipeline.recalibration import calibration_rows
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.survival import Undefined
from penumbra.survival.precision import expected_precision

FITTED = "the champion was fitted on this center: nothing to validate"


@dataclass(frozen=True)
class Expected:
    """What a validation can tell: in words, and half-widths of 95 % intervals by measure; both empty where there is none."""

    sentence: str = ""
    facts: Mapping[str, float] = field(default_factory=dict)


def expected(champion: LoadedModel, data: Dataset, center: str) -> Expected:
    """How precisely the champion can be validated at a center, from its risks there and the number of deaths alone: no order of deaths is looked at."""
    if center in champion.lineage.train_centers:
        return Expected()
    here = data.centers == center
    risk, events = updating.answering(champion, data, here).log_risk, int(data.event[here].sum())
    if not np.isfinite(risk).all():
        return Expected()
    try:
        precision = expected_precision(risk, events)
    except Undefined as undefined:
        return Expected(f"{undefined}")
    sentence = (
        f"{events} deaths of {int(here.sum())} patients can tell C to +-{precision.concordance:.2f}, the calibration slope to +-{precision.slope:.1f}, and"
        f" deaths observed over expected to a factor of {precision.ratio:.2f}"
    )
    return Expected(sentence, asdict(precision))


def validate(work: Work, champion: LoadedModel, data: Dataset, center: str) -> str:
    """The frozen champion on the new center, into the store and MLflow; one sentence. A center it was fitted on does not validate it."""
    if center in champion.lineage.train_centers:
        return FITTED
    model_risks = risks(champion.models, data)
    rows = [row for row in measured(work, model_risks, data, combined=champion.served) if row.center == center]
    if center in champion.updates:
        here = data.centers == center
        shown = (champion, center, data.event[here], data.time[here], work.settings.evaluate.confidence)
        rows = [row for row in rows if row.model != champion.served or not is_calibration(row.metric)]
        rows += calibration_rows(*shown, updating.answering(champion, data, here), "")
    entry, here = champion.entry, data.centers == center
    look = looks.Look("validation", {"digest": entry.digest, "data": data.key_of(np.flatnonzero(here))}, entry.model, str(entry.version))
    looks.count(work.home, work.run, look, data.centers[here], data.event[here])
    metrics = recording.of_version(entry.version, {"model_metrics": recording.metric_records(entry.model, champion.served, rows)})
    records = {**metrics, **shadow.predicted(champion, data, np.ones(len(data.patients), dtype=bool))}
    with store.connect(work.home) as lake:
        lake.write(records, run=work.run, what=f"{entry.model}/{entry.version} on {center}")
    registry.record_metrics(work.home, entry.version, rows, model=entry.model)
    c = next(row for row in rows if (row.model, row.metric) == (champion.served, METRIC))
    since = f"; its probabilities there were fitted to {champion.updates[center].deaths} deaths of this center" if center in champion.updates else ""
    return f"{entry.model}/{entry.version} has C {c.value:.3f} ({c.lower:.3f} to {c.upper:.3f}) on {c.n} patients, {c.events} deaths{since}"
