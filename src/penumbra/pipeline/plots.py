"""What `dvc metrics`, `dvc exp show` and `dvc plots` show: a few numbers of the served model, and the points of its curves as small tables.

They are at the top of the project, next to dvc.yaml, and belong into git. Curves are given at fixed days and rates, which nobody's own day is, so that two
revisions have the same points and a table says nothing of one patient.
"""

import csv
import io
import json
import math
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra import survival
from penumbra.base import project
from penumbra.base.params import project_root
from penumbra.base.whole_files import write_whole
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, TRAINING, Evaluating, MetricRow, ModelRisk
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.report_patients import risk_panels
from penumbra.pipeline.workspace import Work
from penumbra.report.inputs import CenterColumn, RiskPanel
from penumbra.survival import Undefined
from penumbra.survival.horizons import horizon_name, middle

if TYPE_CHECKING:
    from penumbra.network import Ensemble

METRICS, FOLDER = "metrics.json", "plots"
STEP_DAYS = 30.0  # between two points of a survival curve
RATES = np.linspace(0.0, 1.0, 51)  # of false positives, at which an ROC curve is given
INSIDE = "inside"
Table = list[tuple[object, ...]]


def is_described(work: Work) -> bool:
    """Whether this state folder is the one that dvc.yaml describes: data/ of the project, also for an experiment in a copy of it."""
    experiment = project.experiment()
    return work.home == (project_root() if experiment is None else experiment.project) / "data"


def write_training(work: Work, trained: "Ensemble") -> None:
    """plots/training.csv: per epoch the mean over the networks that still learned."""
    if is_described(work):
        _write("training.csv", ("epoch", "train_loss", "validation_loss", "train_c", "validation_c"), _epochs(trained))


def write_evaluation(work: Work, data: Dataset, rows: Sequence[MetricRow], risk: ModelRisk | None, crossed: np.ndarray | None, served: str) -> None:
    """metrics.json and the tables of plots/ that evaluate leaves; without points where no model retained a feature.

    Parameters
    ----------
    risk
        Of the served model on every patient; None: there is none.
    crossed : (draws, n)
        Its cross-fitted risks of the training patients.
    """
    if not is_described(work):
        return
    numbers = work.settings.evaluate
    write_whole(project_root() / METRICS, json.dumps(few_numbers(rows, served, middle(numbers.horizons_days)[0]), indent=1) + "\n")
    _write("models.csv", ("model", "center", "harrell_c", "lower", "upper"), _of_models(rows))
    _write("harrell_c.csv", ("center", "harrell_c", "lower", "upper"), [row[1:] for row in _of_models(rows) if row[0] == served])
    column = CenterColumn(EXTERNAL, EXTERNAL, split="test") if not data.training.all() else CenterColumn(TRAINING, INSIDE, split=CROSS_FITTED)
    panels = [] if risk is None else risk_panels(data, {served: risk}, {} if crossed is None else {served: crossed}, (column,), numbers)
    panel = next(iter(panels), None)
    at = None if panel is None or not panel.days else panel.days.index(middle(panel.days)[0])
    shown = () if panel is None else (panel,)
    _write("kaplan_meier.csv", ("day", "low_risk", "high_risk", "patients"), [row for each in shown for row in _survival(each)])
    _write("calibration.csv", ("predicted", "observed", "patients"), [row for each in shown if at is not None for row in _calibration(each, at, numbers)])
    _write("roc.csv", ("false_positive_rate", "true_positive_rate", "patients"), [row for each in shown if at is not None for row in _roc(each, at)])


def few_numbers(rows: Iterable[MetricRow], served: str, day: float) -> dict[str, float]:
    """A handful of numbers of the served model, to four digits: C inside, at all external centers, at the lowest of them, and what says how it is calibrated.

    Parameters
    ----------
    day
        Of the ratio of observed to expected deaths.
    """
    values = {(row.center, row.split, row.metric): row.value for row in rows if row.model == served and math.isfinite(row.value)}
    single = [value for (center, split, metric), value in values.items() if (split, metric) == ("test", "harrell_c") and center != EXTERNAL]
    numbers = {
        "C_inside": values.get((TRAINING, CROSS_FITTED, "harrell_c")),
        "C_external": values.get((EXTERNAL, "test", "harrell_c")),
        "C_lowest": min(single, default=None),
        "C_gain": values.get((EXTERNAL, "test", "delta_c_volume")),
        "slope": values.get((EXTERNAL, "test", "calibration_slope")),
        f"OE_{horizon_name(day)}": values.get((EXTERNAL, "test", f"observed_expected_{horizon_name(day)}")),
    }
    return {name: round(value, 4) for name, value in numbers.items() if value is not None}


def _of_models(rows: Iterable[MetricRow]) -> Table:
    """C of every model: inside, then at each center and at all external ones."""
    places = {
        row: INSIDE if row.split == CROSS_FITTED else row.center for row in rows if (row.split, row.center) == (CROSS_FITTED, TRAINING) or row.split == "test"
    }
    return [
        (row.model, place, *_rounded(row.value, row.lower, row.upper))
        for row, place in places.items()
        if row.metric == "harrell_c" and math.isfinite(row.value)
    ]


def _survival(panel: RiskPanel) -> Iterator[tuple[object, ...]]:
    """Both risk groups up to the day to which both are followed."""
    groups = [panel.high_risk == high for high in (False, True)]
    if not all(group.any() for group in groups):
        return
    curves = [survival.kaplan_meier(panel.event[group], panel.time[group]) for group in groups]
    days = np.arange(0.0, min(float(curve.times[-1]) for curve in curves) + 1e-9, STEP_DAYS)
    for day, low, high in zip(days, *(curve.at(days)[0] for curve in curves), strict=True):
        yield (f"{day:g}", *_rounded(low, high), panel.title)


def _calibration(panel: RiskPanel, at: int, numbers: Evaluating) -> Iterator[tuple[object, ...]]:
    try:
        groups = survival.calibration(panel.event, panel.time, panel.alive(at), panel.days[at], groups=numbers.calibration_groups, resamples=0)
    except Undefined:
        return
    for predicted, observed in zip(groups.predicted, groups.observed, strict=True):
        if math.isfinite(observed):
            yield (*_rounded(predicted, observed), panel.title)


def _roc(panel: RiskPanel, at: int) -> Iterator[tuple[object, ...]]:
    try:
        curve = survival.roc_curve(panel.event, panel.time, panel.log_risk, panel.days[at])
    except Undefined:
        return
    # the highest rate of true positives that costs no more false ones
    place = np.searchsorted(curve.false_positive_rate, RATES + 1e-9, side="right") - 1
    for rate, true in zip(RATES, curve.true_positive_rate[place], strict=True):
        yield (*_rounded(rate, true), panel.title)


def _epochs(trained: "Ensemble") -> Iterator[tuple[object, ...]]:
    longest = max(len(member.history) for member in trained.members)
    for epoch in range(longest):
        here = [member.history[epoch] for member in trained.members if epoch < len(member.history)]
        means = (float(np.mean([getattr(one, name) for one in here])) for name in ("train_loss", "validation_loss", "train_c", "validation_c"))
        yield (epoch + 1, *_rounded(*means))


def _rounded(*values: float) -> list[str]:
    """To four digits; nothing for no number."""
    return [f"{value:.4f}" if math.isfinite(value) else "" for value in values]


def _write(name: str, header: Sequence[str], rows: Iterable[Sequence[object]]) -> Path:
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(header)
    writer.writerows(rows)
    return write_whole(project_root() / FOLDER / name, text.getvalue())
