"""Tables of two models on the same patients, in the words of the pages."""

import math
from collections.abc import Mapping, Sequence

from penumbra.evaluate.rows import PairedRow
from penumbra.report import overlay
from penumbra.report.sections import Section
from penumbra.report.words import number, p_value
from penumbra.survival.horizons import horizon_name, horizon_words

WORDS = {"harrell_c": "C", "auc": "AUC", "brier": "Brier score", "calibration": "calibration"}
FITTED_MARK = " *"  # at a center that one of the two was fitted on


def cells(row: PairedRow, fitted: Mapping[str, tuple[bool, bool]], horizons_days: Sequence[float]) -> tuple[str, str, int, int, str, str, str, str]:
    """One paired measure: center (marked where one of the two was fitted), measure, patients, deaths, both values, their difference, and p."""
    return (
        row.center + mark(fitted, row.center),
        measure_words(row.metric, horizons_days),
        row.n,
        row.events,
        number(row.first, 3),
        number(row.second, 3),
        difference_words(row),
        p_value(row.p),
    )


def who_predicts_better(
    rows: Sequence[PairedRow], labels: tuple[str, str], fitted: Mapping[str, tuple[bool, bool]], words: str, horizons_days: Sequence[float]
) -> Section:
    """All paired measures as one table, with the figure of the differences of C.

    Parameters
    ----------
    labels
        Of the two models.
    fitted
        Center -> whether the first and the second were fitted there.
    words
        Above the table.
    horizons_days
        Those that measures may be named by.
    """
    body = tuple(cells(row, fitted, horizons_days) for row in rows)
    header = ("center", "measure", "patients", "died", *labels, "difference (95 %)", "p")
    return Section("Who predicts better", words, header, body, 2, (overlay.differences(rows, fitted, labels, "difference"),))


def mark(fitted: Mapping[str, tuple[bool, bool]], center: str) -> str:
    """The mark of a center that one of the two models was fitted on."""
    return FITTED_MARK if any(fitted.get(center, (False, False))) else ""


def measure_words(metric: str, horizons_days: Sequence[float]) -> str:
    """A measure in words: "AUC, 2 years"; horizons_days: those that it may be named by."""
    name, _, suffix = metric.rpartition("_")
    return WORDS[metric] if metric in WORDS else f"{WORDS[name]}, {next(horizon_words(day) for day in horizons_days if horizon_name(day) == suffix)}"


def difference_words(row: PairedRow) -> str:
    """A difference with its limits, or why there is none."""
    return f"{row.difference:+.3f} ({row.lower:+.3f} to {row.upper:+.3f})" if math.isfinite(row.difference) else row.reason
