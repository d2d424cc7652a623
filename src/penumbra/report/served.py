"""What is served and why: the first sentence of the report, the candidates it was chosen from, and what it had to beat."""

import math

from penumbra.evaluate import CROSS_FITTED, TRAINING, MetricRow
from penumbra.report.inputs import ReportInputs
from penumbra.report.tables import Cell, Table, csv_text, header_cells
from penumbra.report.words import ABSENT, number


def first_sentence(inputs: ReportInputs) -> str:
    """Which model is served, why, and how it compares with volume inside the training centers."""
    label = next(model.label for model in inputs.models if model.name == inputs.combined)
    unchosen = f"{label} is served, as register.served names it; no evidence inside the training centers chose it"
    reason = unchosen if inputs.choice is None else inputs.choice.reason.rstrip(".")
    return f"{reason}. {_against_volume(inputs, label)}"


def _against_volume(inputs: ReportInputs, label: str) -> str:
    c, difference = (_inside(inputs, metric) for metric in ("harrell_c", "delta_c_volume"))
    if c is None or not math.isfinite(c.value):
        return f"How {label} compares with volume inside the training centers was not measured."
    concordance = f"Inside the training centers, cross-fitted, its C is {_limited(c)}"
    if difference is None:
        return f"{concordance}; it is the volume of the tumor itself, so there is no difference to state."
    if not math.isfinite(difference.value):
        return f"{concordance}; its difference from volume is not defined: {difference.reason}."
    return f"{concordance}; C minus volume's is {_signed(difference)}."


def _inside(inputs: ReportInputs, metric: str) -> MetricRow | None:
    """A cross-fitted row of the served model over all training centers."""
    key = (inputs.combined, CROSS_FITTED, TRAINING, metric)
    return next((row for row in inputs.metrics if (row.model, row.split, row.center, row.metric) == key), None)


def _limited(row: MetricRow) -> str:
    return f"{number(row.value, 3)} ({number(row.lower, 3)} to {number(row.upper, 3)})" if math.isfinite(row.lower) else number(row.value, 3)


def _signed(row: MetricRow) -> str:
    value, lower, upper = (f"{part:+.3f}".replace("-", "−") for part in (row.value, row.lower, row.upper))
    return f"{value} ({lower} to {upper})" if math.isfinite(row.lower) else value


def candidates_table(inputs: ReportInputs) -> Table | None:
    """The models that could be served, the simplest first; None where none were compared."""
    if inputs.choice is None or not inputs.choice.candidates:
        return None
    labels = {model.name: model.label for model in inputs.models}
    rows, lines = [], []
    for entry in inputs.choice.candidates:
        strong = entry.model == inputs.choice.served
        beaten = "control" if entry.control else ", ".join(entry.unbeaten) or "none"
        defined = math.isfinite(entry.c)
        texts = (
            f"{number(entry.c, 3)} ± {number(entry.se, 3)}" if defined else ABSENT,
            f"{number(entry.behind, 3)} ± {number(entry.behind_se, 3)}" if defined else ABSENT,
            ("yes" if entry.within else "no") if defined else ABSENT,
            beaten if defined or entry.control else ABSENT,
            "served" if strong else "challenger" if entry.model == inputs.choice.challenger else "",
        )
        rows.append((Cell(labels.get(entry.model, entry.model), strong=strong), *(Cell(text, strong=strong) for text in texts)))
        lines.append((entry.model, entry.c, entry.se, entry.behind, entry.behind_se, entry.within, entry.control, "; ".join(entry.unbeaten), strong))
    header = header_cells("candidate", "C inside ± SE", "behind the best ± SE", "within one SE", "not shown to beat", "")
    names = ("model", "c", "se", "behind", "behind_se", "within", "control", "unbeaten", "served")
    caption = (
        "The simplest first. Served is the simplest whose C inside the training centers lies within one standard error of the best; behind the best: paired"
        " difference of C with its standard error. A control has nothing to beat."
    )
    return Table("candidates", caption, header, tuple(rows), csv_text(names, lines))


def falsifiers_table(inputs: ReportInputs) -> Table | None:
    """The served or named model against each falsifier; None for a control."""
    if inputs.choice is None or not inputs.choice.falsifiers:
        return None
    model = inputs.choice.named or inputs.choice.served
    label = next((each.label for each in inputs.models if each.name == model), model)
    rows, lines = [], []
    for row in inputs.choice.falsifiers:
        beaten = row.reason or ("yes" if row.lower_one_sided > 0 else "no")
        values = (row.challenger, row.other, row.difference, row.lower_one_sided, row.lower, row.upper)
        rows.append((Cell(row.against), *(Cell(number(value, 3)) for value in values), Cell(beaten)))
        lines.append((row.against, *values, row.n, row.events, row.pairs, row.reason))
    header = header_cells("against", f"C of {label}", "C of it", "difference", "one-sided lower limit", "lower", "upper", "shown to beat it")
    names = ("against", "c", "c_against", "difference", "lower_one_sided", "lower", "upper", "patients", "deaths", "pairs", "reason")
    caption = f"{label} against what knows nothing of the image, or nothing but its size, on cross-fitted risks; pairs of patients of one center."
    return Table("falsifiers", caption, header, tuple(rows), csv_text(names, lines))
