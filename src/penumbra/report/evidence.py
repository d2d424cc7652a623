"""Tables of calibration, of what a model adds to the controls, and of what generalizes from center to center."""

import math
from dataclasses import replace

from penumbra.evaluate import EXTERNAL, LEFT_OUT, MetricRow
from penumbra.report.inputs import CenterColumn, ModelRow, ReportInputs
from penumbra.report.tables import Cell, Table, find_row, header_cells, measured_in, metric_cell, metrics_csv, of_set
from penumbra.report.words import ABSENT, interval, number, p_value
from penumbra.survival.horizons import horizon_name, horizon_words


def calibration_summary(inputs: ReportInputs) -> Table:
    """Calibration and overall accuracy of the served model on every set."""
    horizons = inputs.measures.horizons_days
    metrics = {
        "calibration_slope": "slope",
        "calibration_intercept": "intercept",
        **{f"observed_expected_{horizon_name(day)}": f"observed / expected, {horizon_words(day)}" for day in horizons},
        **{f"brier_{horizon_name(day)}": f"Brier, {horizon_words(day)}" for day in horizons},
        "brier_integrated": "Brier, mean over time",
    }
    model = next(model for model in inputs.models if model.name == inputs.combined)
    rows = []
    for column in measured_in(inputs, tuple(metrics)):
        cells = [_remarked(inputs, model, column, metric) for metric in metrics]
        rows.append(of_set(column, (Cell(column.label), *cells)))
    caption = (
        f"{model.label}: slope 1, intercept 0 and observed / expected 1 are perfect; a slope below 1 says that predictions are too extreme. "
        "Observed / expected near 1 says that the predictions are right on average, and nothing of whom they are right for: read it with the slope. "
        "Brier score: the lower, the better."
    )
    return Table("calibration_summary", caption, header_cells("set", *metrics.values()), tuple(rows), metrics_csv(inputs, tuple(metrics), model.name))


def _remarked(inputs: ReportInputs, model: ModelRow, column: CenterColumn, metric: str) -> Cell:
    """A measure of calibration, with what its slope says of it."""
    cell = metric_cell(inputs.metrics, inputs.paper, model, column, metric, False)
    slope = find_row(inputs.metrics, model.name, column, "calibration_slope")
    if slope is None or not math.isfinite(slope.value) or cell.note:
        return cell
    flat = slope.value <= 0 or slope.lower <= 0  # NaN limits are no reason
    if metric == "calibration_slope":
        return replace(cell, note=slope_words(slope))
    return replace(
        cell, note="right on average only" if flat and metric.startswith("observed_expected") and _is_near_one(inputs, model, column, metric) else ""
    )


def slope_words(slope: MetricRow) -> str:
    """What a calibration slope says of the predictions; "" where it is compatible with 1."""
    if slope.value <= 0:
        return "higher risk did not die earlier"
    if slope.lower <= 0:
        return "not shown to be above 0"
    if slope.upper < 1:
        return "too extreme"
    return "too alike" if slope.lower > 1 else ""


def _is_near_one(inputs: ReportInputs, model: ModelRow, column: CenterColumn, metric: str) -> bool:
    row = find_row(inputs.metrics, model.name, column, metric)
    return row is not None and 1 / NEAR_ONE < row.value < NEAR_ONE


def increments_table(inputs: ReportInputs) -> Table:
    """What every model adds to volume and to age and stage: paired difference of C with p, and DeLong's p against the served model."""
    rows = []
    deltas = {"delta_c_volume": "C minus volume's", "delta_c_clinical": "C minus age and stage's", "delta_c_combined": "served model's C minus its"}
    delongs = {f"delong_p_{horizon_name(day)}": f"DeLong p, {horizon_words(day)}" for day in inputs.measures.horizons_days}
    for model in inputs.models:
        for column in measured_in(inputs, tuple(deltas)):
            cells = []
            for metric in deltas:
                cell = metric_cell(inputs.metrics, inputs.paper, model, column, metric, False)
                p = find_row(inputs.metrics, model.name, column, f"{metric}_p")
                cells.append(Cell(cell.text, f"p {p_value(p.value)}" if p is not None and math.isfinite(p.value) else cell.note))
            tested = [find_row(inputs.metrics, model.name, column, metric) for metric in delongs]
            cells += [Cell(ABSENT if row is None else p_value(row.value)) for row in tested]
            rows.append(of_set(column, (Cell(model.label), Cell(column.label), *cells)))
    header = header_cells("model", "set", *deltas.values(), *delongs.values())
    names = (*deltas, *(f"{metric}_p" for metric in deltas), *delongs)
    caption = (
        "Differences of Harrell's C on the same bootstrap resamples with 95 % interval and two-sided p; DeLong's test of each model's AUC against that of the"
        " served model."
    )
    return Table("increments", caption, header, tuple(rows), metrics_csv(inputs, names), words=2)


NEAR_ONE = 1.25  # a ratio of observed to expected deaths that reads as right
PERFORMANCE = ("harrell_c_pooled", "harrell_c_prediction", "calibration_slope_pooled", "calibration_slope_prediction")  # over the test centers
LEFT_OUT_POOL = tuple(f"internal_external_{name}" for name in ("c_pooled", "c_prediction", "slope_pooled", "slope_prediction"))
LEFT_OUT_ONE = ("internal_external_c", "", "internal_external_slope", "", "internal_external_intercept")
OPTIMISM = ("harrell_c_corrected", "harrell_c_optimism")


def across_table(inputs: ReportInputs) -> Table:
    """Over centers: random-effects means with limits and prediction intervals, and what a model is worth where it was not fitted."""
    by_key = {(row.model, row.center, row.metric): row for row in inputs.metrics}
    metric_names = (*PERFORMANCE, *LEFT_OUT_POOL, *filter(None, LEFT_OUT_ONE), *OPTIMISM)
    rows: list[tuple[Cell, ...]] = []
    for where, center, metrics in (("test centers", EXTERNAL, PERFORMANCE), ("each center left out", LEFT_OUT, LEFT_OUT_POOL)):
        rows += _without_repetition([_line(model, where, [by_key.get((model.name, center, metric)) for metric in metrics]) for model in inputs.models])
    for center in dict.fromkeys(row.center for row in inputs.metrics if row.metric == "internal_external_c"):
        for model in inputs.models:
            rows += _line(model, f"{center}, left out", [by_key.get((model.name, center, metric)) for metric in LEFT_OUT_ONE])
    for model in inputs.models:
        for row in (row for row in inputs.metrics if (row.model, row.metric) == (model.name, OPTIMISM[0])):
            optimism = by_key.get((model.name, row.center, OPTIMISM[1]))
            note = row.reason or (f"optimism {number(optimism.value)}" if optimism else "")
            rows.append((Cell(model.label), Cell("training, less optimism"), Cell(number(row.value), note), *(Cell("") for _ in range(4))))
    header = header_cells("model", "where", "C", "C of a further center", "slope", "slope of a further center", "intercept")
    caption = (
        "Over several centers: the random-effects mean, and in the columns next to it the interval in which the value of a further center is expected. "
        "Left out: everything after the features was refitted on the other centers."
    )
    return Table("across_centers", caption, header, tuple(rows), metrics_csv(inputs, metric_names), words=2)


def _line(model: ModelRow, where: str, measured: list[MetricRow | None]) -> list[tuple[Cell, ...]]:
    """One row for a model, none where nothing was measured; a reason is given at the first value that it explains."""
    if not any(measured):
        return []
    cells, reasons = [], {""}
    for row in measured:
        if row is None:
            cells.append(Cell(""))
            continue
        words = f"{number(row.lower)}–{number(row.upper)}" if row.metric.endswith("prediction") and math.isfinite(row.lower) else interval(row)
        cells.append(Cell(words, "" if row.reason in reasons else row.reason))
        reasons.add(row.reason)
    return [(Cell(model.label), Cell(where), *cells, *(Cell("") for _ in range(5 - len(cells))))]


def _without_repetition(lines: list[list[tuple[Cell, ...]]]) -> list[tuple[Cell, ...]]:
    """The rows of every model; one row where all say the same."""
    rows = [row for line in lines for row in line]
    if len(rows) > 1 and len({row[1:] for row in rows}) == 1:
        return [(Cell("every model"), *rows[0][1:])]
    return rows
