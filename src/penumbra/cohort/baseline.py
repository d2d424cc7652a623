"""The baseline table (the paper's Table 2): what groups of patients are like, and whether they differ."""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from penumbra import survival

NORMAL_FROM = 0.05  # p of Shapiro-Wilk from which on a variable counts as normal (paper: alpha 0.05)
MIN_EXPECTED = 5.0  # patients expected in a cell from which on chi-square holds (Cochran 1954)
RESAMPLES = 9999  # of Fisher's test on tables larger than 2 x 2, and the seed below (ours)
SEED = 1
UNKNOWN = "unknown"
CONTINUOUS = {"age": "Age (years)"}
FOLLOWED = "Follow-up, reverse Kaplan-Meier (days)"
SURVIVED = "Survival, Kaplan-Meier (days)"
OBSERVED = "Observed time, died or censored (days)"
CATEGORICAL = {
    "sex": "Sex",
    "histology": "Histology",
    "t_stage": "T stage",
    "n_stage": "N stage",
    "m_stage": "M stage",
    "overall_stage": "Overall stage",
    "event": "Died",
}


@dataclass(frozen=True)
class BaselineRow:
    """One line: a variable, or one level of it.

    Parameters
    ----------
    level
        None on the line of the variable itself.
    cells
        Per group: median (lower to upper quartile), median of a curve (95 % limits), or n (%) of the group.
    p
        Of the difference between the groups, two-sided; None where it cannot be tested, and on the lines of levels.
    test
        Name of the test behind p.
    """

    variable: str
    level: str | None
    cells: tuple[str, ...]
    p: float | None = None
    test: str = ""


def baseline_table(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> tuple[BaselineRow, ...]:
    """One column per group, in their order.

    Parameters
    ----------
    groups
        Name -> patients, each with the columns of the relation `patients`; None: not known. Percentages are of all patients of a group, with "unknown" as
        a level of its own; tests leave the unknown out.

    Notes
    -----
    Two groups: Welch's t-test where both are normal by Shapiro-Wilk, otherwise Mann-Whitney U; more: ANOVA or Kruskal-Wallis. Chi-square
    without continuity correction, or Fisher's exact test where a cell expects fewer than five patients. The paper's "survival time" is the median of
    observed times, whether they ended in death or in censoring; here that row says so and is not tested, and next to it are the follow-up (reverse
    Kaplan-Meier: censoring is the event, death ends the observation) and survival by Kaplan-Meier, each with a log-rank test. T, N, M
    are shown without letters, and stage with the letter in III alone, as the paper does.

    References
    ----------
    docs/method.md#cohort; the paper's Table 2 and section on statistics; Schemper and Smith 1996, Control Clin Trials 17:343 (follow-up); Brookmeyer and
    Crowley 1982, Biometrics 38:29 (limits of a median, as R's survfit with conf.type = "log").
    """
    rows: list[BaselineRow] = []
    for column, label in CONTINUOUS.items():
        values = [_numbers(patients, column) for patients in groups.values()]
        p, test = _continuous(values)
        cells = tuple(_quartiles(recorded, len(patients)) for recorded, patients in zip(values, groups.values(), strict=True))
        rows.append(BaselineRow(label, None, cells, p, test))
    rows += _outcome(groups)
    for column, label in CATEGORICAL.items():
        counts = [Counter(_level(column, patient.get(column)) for patient in patients) for patients in groups.values()]
        levels = sorted({level for count in counts for level in count if level != UNKNOWN})
        p, test = _categorical(np.array([[count[level] for level in levels] for count in counts]))
        rows.append(BaselineRow(label, None, ("",) * len(groups), p, test))
        for level in levels + [UNKNOWN] * any(count[UNKNOWN] for count in counts):
            shares = tuple(_share(count[level], len(patients)) for count, patients in zip(counts, groups.values(), strict=True))
            rows.append(BaselineRow(label, level, shares))
    return tuple(rows)


def _outcome(groups: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[BaselineRow]:
    """Follow-up, survival and observed time, of the patients whose time and event are known."""
    followed = [[row for row in patients if row.get("time") is not None and row.get("event") is not None] for patients in groups.values()]
    times = [np.array([float(row["time"]) for row in patients]) for patients in followed]
    events = [np.array([bool(row["event"]) for row in patients], dtype=bool) for patients in followed]
    missing = [len(patients) - len(some) for patients, some in zip(groups.values(), followed, strict=True)]
    rows = []
    for label, ends in ((FOLLOWED, [~event for event in events]), (SURVIVED, events)):
        p = _log_rank(ends, times)
        cells = tuple(_median(event, time, count) for event, time, count in zip(ends, times, missing, strict=True))
        rows.append(BaselineRow(label, None, cells, p, "" if p is None else "log-rank"))
    observed = [_numbers(patients, "time") for patients in groups.values()]
    cells = tuple(_quartiles(values, len(patients)) for values, patients in zip(observed, groups.values(), strict=True))
    return [*rows, BaselineRow(OBSERVED, None, cells)]


def _median(event: np.ndarray, time: np.ndarray, missing: int) -> str:
    """When the Kaplan-Meier curve of an event falls to one half, with limits."""
    if not time.size:
        return "-"
    curve = survival.kaplan_meier(event, time)
    if np.isnan([curve.median, curve.median_lower]).all():
        return "not reached" + (f", {missing} {UNKNOWN}" if missing else "")
    middle, low, high = ("not reached" if np.isnan(days) else f"{days:.0f}" for days in (curve.median, curve.median_lower, curve.median_upper))
    return f"{middle} (95 % CI {low}-{high})" + (f", {missing} {UNKNOWN}" if missing else "")


def _log_rank(events: Sequence[np.ndarray], times: Sequence[np.ndarray]) -> float | None:
    if len(times) < 2 or not all(time.size for time in times):
        return None
    group = np.repeat(np.arange(len(times)), [time.size for time in times])
    try:
        return survival.log_rank(np.concatenate(events), np.concatenate(times), group).p
    except survival.Undefined:
        return None


def _numbers(patients: Sequence[Mapping[str, Any]], column: str) -> np.ndarray:
    return np.array([float(patient[column]) for patient in patients if patient.get(column) is not None])


def _quartiles(values: np.ndarray, patients: int) -> str:
    if not values.size:
        return "-"
    low, middle, high = np.quantile(values, [0.25, 0.5, 0.75])
    missing = f", {patients - len(values)} {UNKNOWN}" if len(values) < patients else ""
    return f"{middle:.0f} ({low:.0f}-{high:.0f}){missing}"


def _share(count: int, patients: int) -> str:
    return f"{count} ({100 * count / patients:.1f} %)" if patients else "-"


def _level(column: str, value: Any) -> str:
    if value is None:
        return UNKNOWN
    if column == "event":
        return "yes" if value else "no"
    if column in ("t_stage", "n_stage", "m_stage"):
        return str(value)[:1] if str(value)[:1].isdigit() else str(value)
    if column == "overall_stage":
        return str(value) if str(value).startswith("III") else str(value).rstrip("ABC")
    return str(value)


def _continuous(values: Sequence[np.ndarray]) -> tuple[float | None, str]:
    from scipy import stats

    if len(values) < 2 or min(len(group) for group in values) < 3 or any(np.ptp(group) == 0 for group in values):
        return None, ""
    normal = all(stats.shapiro(group).pvalue >= NORMAL_FROM for group in values)
    if len(values) == 2:
        if normal:
            return float(stats.ttest_ind(*values, equal_var=False).pvalue), "t-test"
        return float(stats.mannwhitneyu(*values).pvalue), "Mann-Whitney U"
    if normal:
        return float(stats.f_oneway(*values).pvalue), "ANOVA"
    return float(stats.kruskal(*values).pvalue), "Kruskal-Wallis"


def _categorical(table: np.ndarray) -> tuple[float | None, str]:
    """Test whether a categorical variable differs between groups; return p and the name of the test.

    Parameters
    ----------
    table : shape (groups, levels)
        Numbers of patients.
    """
    from scipy import stats

    if table.size == 0:
        return None, ""
    table = table[:, table.any(axis=0)]
    if min(table.shape) < 2 or not table.any(axis=1).all():
        return None, ""
    expected = stats.contingency.expected_freq(table)
    if expected.min() >= MIN_EXPECTED:
        return float(stats.chi2_contingency(table, correction=False).pvalue), "chi-square"
    if table.shape == (2, 2):
        return float(stats.fisher_exact(table).pvalue), "Fisher"
    method = stats.MonteCarloMethod(n_resamples=RESAMPLES, rng=np.random.default_rng(SEED))
    return float(stats.fisher_exact(table, method=method).pvalue), "Fisher"
