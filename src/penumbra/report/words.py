"""How numbers are written in tables."""

import math

from penumbra.evaluate import MetricRow

NOT_KNOWN = "not known"  # begins the answer to a question that the data do not answer
NOT_MEASURED = "not measured"  # begins the answer to one that a command would answer, which it names
ABSENT = "–"
METRICS = {
    "harrell_c": "C (Harrell)",
    "harrell_c_se": "standard error of C",
    "harrell_c_corrected": "C less optimism",
    "harrell_c_optimism": "optimism of C",
    "harrell_c_pooled": "C, mean over centers",
    "harrell_c_prediction": "C of a further center",
    "uno_c": "C (Uno)",
    "delta_c_volume": "C minus volume's",
    "delta_c_volume_within": "C minus volume's, pairs of one center",
    "delta_c_clinical": "C minus age and stage's",
    "delta_c_combined": "served model's C minus its",
    "calibration_slope": "calibration slope",
    "calibration_slope_pooled": "calibration slope, mean over centers",
    "calibration_slope_prediction": "calibration slope of a further center",
    "calibration_intercept": "log of observed over expected deaths",
    "brier_integrated": "Brier score, mean over time",
    "hazard_ratio": "hazard ratio, high against low risk",
    "log_rank_p": "log-rank p",
    "internal_external_c": "C, center left out",
    "internal_external_slope": "calibration slope, center left out",
    "internal_external_intercept": "log of observed over expected deaths, center left out",
    "beyond_limits": "share of probabilities beyond the limits",
}
AT_A_TIME = {"observed_expected": "observed over expected deaths", "brier": "Brier score", "auc": "AUC", "calibration": "calibration", "delong_p": "DeLong p"}
TIMES = {"y": "year", "m": "month", "d": "day"}
SMALLEST_P = 0.001


def number(value: float, digits: int = 2) -> str:
    """Fixed digits with a true minus sign; a dash where undefined."""
    return f"{value:.{digits}f}".replace("-", "−") if math.isfinite(value) else ABSENT


def interval(row: MetricRow, digits: int = 2) -> str:
    """ "0.66 (0.58–0.74)", without the brackets where limits are undefined."""
    if not (math.isfinite(row.lower) and math.isfinite(row.upper)):
        return number(row.value, digits)
    return f"{number(row.value, digits)} ({number(row.lower, digits)}–{number(row.upper, digits)})"


def percent(share: float) -> str:
    """ "63 %"; a dash where undefined."""
    return f"{100 * share:.0f} %" if math.isfinite(share) else ABSENT


def p_value(value: float) -> str:
    """Three digits, or "< 0.001"."""
    if not math.isfinite(value):
        return ABSENT
    return f"< {SMALLEST_P}" if value < SMALLEST_P else f"{value:.3f}"


def metric_words(metric: str) -> str:
    """A metric as a reader calls it: "AUC, 2 years" for auc_2y; the one table of these words."""
    if metric in METRICS:
        return METRICS[metric]
    name, _, time = metric.rpartition("_")
    if name in AT_A_TIME and time[:-1].replace(".", "").isdigit() and time[-1] in TIMES:
        one = time[:-1] == "1"
        return f"{AT_A_TIME[name]}, {time[:-1]} {TIMES[time[-1]]}{'' if one else 's'}"
    return metric.removesuffix("_p").replace("_", " ") + (", p" if metric.endswith("_p") else "")


def count(quantity: int, noun: str) -> str:
    """ "1 death", "2 deaths"."""
    return f"{quantity} {noun}" if quantity == 1 else f"{quantity} {noun}s"
