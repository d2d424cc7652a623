"""Tables of calibration, of what a model adds to the controls, and of what carries over from center to center."""

import math

from penumbra.report.inputs import ReportInputs
from penumbra.report.tables import Cell, Table, find_row, header_cells, metric_cell, metrics_csv
from penumbra.report.words import ABSENT, count, interval, number, p_value


def calibration_summary(inputs: ReportInputs) -> Table:
    """Calibration and overall accuracy of the combined model on every set."""
    years = range(1, len(inputs.measures.horizons_days) + 1)
    metrics = {
        "calibration_slope": "slope",
        "calibration_intercept": "intercept",
        **{f"observed_expected_{year}y": f"observed / expected, {count(year, 'year')}" for year in years},
        **{f"brier_{year}y": f"Brier, {count(year, 'year')}" for year in years},
        "brier_integrated": "Brier, mean over time",
    }
    model = next(model for model in inputs.models if model.name == inputs.combined)
    rows = [(Cell(column.label), *(metric_cell(inputs.metrics, inputs.paper, model, column, metric, False) for metric in metrics)) for column in inputs.columns]
    caption = (
        f"{model.label}: slope 1, intercept 0 and observed / expected 1 are perfect; a slope below 1 says that predictions are too extreme. "
        "Brier score: the lower, the better."
    )
    return Table("calibration_summary", caption, header_cells("set", *metrics.values()), tuple(rows), metrics_csv(inputs, tuple(metrics), model.name))


def increments_table(inputs: ReportInputs) -> Table:
    """What every model adds to volume and to age and stage: paired difference of C with p, and DeLong's p against the combined model."""
    rows = []
    deltas = {"delta_c_volume": "C minus volume's", "delta_c_clinical": "C minus age and stage's", "delta_c_combined": "combined's C minus its"}
    delongs = [f"delong_p_{year}y" for year in range(1, len(inputs.measures.horizons_days) + 1)]
    for model in inputs.models:
        for column in inputs.columns:
            cells = []
            for metric in deltas:
                cell = metric_cell(inputs.metrics, inputs.paper, model, column, metric, False)
                p = find_row(inputs.metrics, model.name, column.center, f"{metric}_p")
                cells.append(Cell(cell.text, f"p {p_value(p.value)}" if p is not None and math.isfinite(p.value) else cell.note))
            tested = [find_row(inputs.metrics, model.name, column.center, metric) for metric in delongs]
            rows.append((Cell(model.label), Cell(column.label), *cells, *(Cell(ABSENT if row is None else p_value(row.value)) for row in tested)))
    header = header_cells("model", "set", *deltas.values(), *(f"DeLong p, {count(year, 'year')}" for year in range(1, len(delongs) + 1)))
    names = (*deltas, *(f"{metric}_p" for metric in deltas), *delongs)
    caption = (
        "Differences of Harrell's C on the same bootstrap resamples with 95 % interval and two-sided p; DeLong's test of each model's AUC against the combined."
    )
    return Table("increments", caption, header, tuple(rows), metrics_csv(inputs, names), words=2)


def across_table(inputs: ReportInputs) -> Table:
    """Over centers: random-effects means with limits and prediction intervals, and what a model is worth where it was not fitted."""
    metrics = {"harrell_c": "Harrell's C", "calibration_slope": "calibration slope"}
    left_out = {"internal_external_c": "C", "internal_external_slope": "calibration slope", "internal_external_intercept": "calibration intercept"}
    labels = {model.name: model.label for model in inputs.models}
    rows: list[tuple[Cell, ...]] = []
    names: list[str] = []
    for row in inputs.metrics:
        base, _, kind = row.metric.rpartition("_")
        if kind in ("pooled", "prediction") and base in (*metrics, *left_out):
            what = f"{metrics.get(base) or left_out[base]}, {'mean over centers' if kind == 'pooled' else 'prediction interval'}"
            where = "test centers" if base in metrics else "each center left out"
        elif row.metric in left_out:
            what, where = left_out[row.metric], f"{row.center}, left out"
        elif row.metric in ("harrell_c_optimism", "harrell_c_corrected"):
            what, where = ("optimism of C" if row.metric.endswith("optimism") else "C less optimism"), "training"
        else:
            continue
        names.append(row.metric)
        words = interval(row) if kind != "prediction" or not math.isfinite(row.lower) else f"{number(row.lower)}–{number(row.upper)}"
        rows.append((Cell(labels.get(row.model, row.model)), Cell(where), Cell(what), Cell(words, row.reason)))
    caption = (
        "Mean over centers: random effects. Prediction interval: where the value of a further center is expected. "
        "Left out: everything after the features was refitted on the other centers."
    )
    text = metrics_csv(inputs, tuple(dict.fromkeys(names)))
    return Table("across_centers", caption, header_cells("model", "where", "what", "value"), tuple(rows), text, words=3)
