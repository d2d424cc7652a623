"""Concordance: of two patients of whom one is known to die first, how often had that one the higher risk."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.censoring import censoring_survival
from penumbra.survival.dominance import sums_below
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, checked_risk, on_times

NO_SPREAD = 1e-12  # a standard error or a difference below this is rounding


@dataclass(frozen=True)
class Concordance:
    """A concordance, and the pairs that it was counted from.

    Parameters
    ----------
    c, se
        The concordance and its standard error.
    concordant, discordant, tied_risk
        The (weighted) number of comparable pairs of each kind.
    tied_time, tied_both
        Pairs of deaths at the same time, with different and with equal risk; not comparable, counted unweighted.
    influence : shape (n,)
        Derivative of c for each patient's weight: the standard error is the root of its sum of squares.
    """

    c: float
    se: float
    concordant: float
    discordant: float
    tied_risk: float
    tied_time: float
    tied_both: float
    influence: Floats


@dataclass(frozen=True)
class Difference:
    """Two values on the same patients, value = a - b with its standard error, 95 % limits, z and two-sided p."""

    a: float
    b: float
    value: float
    se: float
    lower: float
    upper: float
    z: float
    p: float


def concordance_index(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike) -> float:
    """Return Harrell's C: concordant pairs, and half of those tied in risk, over comparable pairs.

    A pair is comparable when the shorter time is a death; a patient censored at a time of death outlived that death; two deaths at the
    same time are not comparable.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.

    Returns
    -------
    float
        1 when every comparable pair is in order, 0.5 for a risk that knows nothing.

    Raises
    ------
    Undefined
        "no comparable pair among n patients ...".

    References
    ----------
    Harrell et al. 1982, JAMA 247:2543. Equals R's survival::concordance; n log n, a second for 100,000 patients.

    Examples
    --------
    >>> from penumbra.survival import concordance_index
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> round(concordance_index(event, time, log_risk), 4)
    0.8421
    """
    concordant, ties, comparable, _ = _death_sums(*_checked(event, time, log_risk))
    return float(concordant.sum() + 0.5 * ties.sum()) / float(comparable.sum())


def harrell(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike) -> Concordance:
    """Return Harrell's C with its infinitesimal-jackknife standard error.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.

    Returns
    -------
    Concordance
        With c, se, the number of pairs of each kind, and each patient's influence.

    Raises
    ------
    Undefined
        "no comparable pair among n patients ...".

    References
    ----------
    Therneau and Atkinson, vignette "Concordance" of R's survival package (2020).

    Examples
    --------
    >>> from penumbra.survival import harrell
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> harrell_c = harrell(event, time, log_risk)
    >>> round(harrell_c.c, 4), round(harrell_c.se, 4), harrell_c.concordant, harrell_c.discordant
    (0.8421, 0.1175, 16.0, 3.0)
    """
    events, times, risk = _checked(event, time, log_risk)
    return _with_error(events, times, risk, np.ones(events.size))


def uno(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, *, tau: float | None = None) -> Concordance:
    """Return Uno's C with its standard error (the censoring weights taken as known, as in R).

    Each comparable pair weighs 1 / G(t-)^2, with G the Kaplan-Meier estimate of remaining uncensored and t the earlier, dying time; deaths
    come before censorings at the same time. Assumes censoring independent of risk.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    tau : days
        Deaths after it do not count; None: all count.

    Returns
    -------
    Concordance
        With c, se, the weighted number of pairs of each kind, and each patient's influence.

    Raises
    ------
    Undefined
        "no comparable pair among n patients ...".

    References
    ----------
    Uno et al. 2011, Stat Med 30:1105. Equals R's survival::concordance(timewt = "n/G2").

    Examples
    --------
    >>> from penumbra.survival import uno
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> uno_c = uno(event, time, log_risk, tau=600)
    >>> round(uno_c.c, 4), round(uno_c.se, 4)
    (0.8559, 0.1009)
    """
    events, times, risk = _checked(event, time, log_risk)
    weights = censoring_survival(events, times).left_limit(times) ** -2.0
    if tau is not None:
        weights = np.where(times <= on_times(tau, np.unique(times)), weights, 0.0)
    return _with_error(events, times, risk, np.where(events, weights, 0.0))


def uno_c(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike, *, tau: float | None = None) -> float:
    """Return Uno's C alone; see `uno` for its definition and its standard error.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk : shape (n,)
        Higher = earlier death.
    tau : days
        Deaths after it do not count; None: all count.

    Returns
    -------
    float
        Uno's C.

    Raises
    ------
    Undefined
        "no comparable pair among n patients ...".

    Examples
    --------
    >>> from penumbra.survival import uno_c
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> round(uno_c(event, time, log_risk), 4)
    0.8559
    """
    return uno(event, time, log_risk, tau=tau).c


def compare_c(event: ArrayLike, time: ArrayLike, log_risk_a: ArrayLike, log_risk_b: ArrayLike) -> Difference:
    """Compare two Harrell's C on the same patients.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    log_risk_a, log_risk_b : shape (n,)
        Of the two models; higher = earlier death.

    Returns
    -------
    Difference
        Both concordances, a - b with its standard error and 95 % limits, z and two-sided p.

    Raises
    ------
    Undefined
        "no comparable pair among n patients ..." / "the concordances ... and ... have no standard error: ...".

    References
    ----------
    Therneau and Atkinson (2020), vignette "Concordance" of R's survival package; equals survival::concordance of two fits.

    Examples
    --------
    >>> from penumbra.survival import compare_c
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> risk_a = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> risk_b = [0.2, 0.9, 0.4, -0.1, 0.3, 0.1, -0.2, 0.0]
    >>> difference = compare_c(event, time, risk_a, risk_b)
    >>> round(difference.a, 4), round(difference.b, 4), round(difference.value, 4)
    (0.8421, 0.6842, 0.1579)
    """
    from penumbra.survival.regression import two_sided_p

    a, b = harrell(event, time, log_risk_a), harrell(event, time, log_risk_b)
    value, se = a.c - b.c, float(np.sqrt(np.sum((a.influence - b.influence) ** 2)))
    if se <= NO_SPREAD < abs(value):
        raise Undefined(f"the concordances {a.c:g} and {b.c:g} have no standard error: one of the risks orders all pairs perfectly")
    z = value / se if se > NO_SPREAD else 0.0
    return Difference(a.c, b.c, value, se, value - 1.959963984540054 * se, value + 1.959963984540054 * se, z, float(two_sided_p(z)))


def counted_pairs(event: Bools, time: Floats, log_risk: Floats) -> tuple[float, float, float]:
    """Return the concordant pairs, those tied in risk, and all comparable pairs; arguments checked already, having no pair is not an error."""
    try:
        concordant, ties, comparable, _ = _death_sums(event, time, log_risk)
    except Undefined:
        return 0.0, 0.0, 0.0
    return float(concordant.sum()), float(ties.sum()), float(comparable.sum())


def _checked(event: ArrayLike, time: ArrayLike, log_risk: ArrayLike) -> tuple[Bools, Floats, Floats]:
    events, times = checked_outcome(event, time)
    return events, times, checked_risk(log_risk, events.size)


def _death_sums(event: Bools, time: Floats, risk: Floats) -> tuple[Floats, Floats, Floats, np.ndarray]:
    """Return per death: how many outlived it with lower, equal and any risk; and the rows of the deaths."""
    rank = np.unique(risk, return_inverse=True)[1]
    # longest time first, a death after the censored ones of its time: those who outlived a death come before all deaths of its time
    order = np.lexsort((event, -time))
    position = _outlived(event, time)
    died = np.flatnonzero(event)
    below, equal = sums_below(rank[order], None, position[died], rank[died])
    comparable = position[died].astype(float)
    if not comparable.sum() > 0:
        raise Undefined(f"no comparable pair among {event.size} patients ({int(event.sum())} events): concordance needs a death that somebody outlived")
    return below, equal, comparable, died


def _outlived(event: Bools, time: Floats) -> np.ndarray:
    """Return for each patient how many are known to have outlived the patient's time (meaningful for deaths)."""
    latest = np.sort(time)
    censored = np.sort(time[~event])
    longer = time.size - np.searchsorted(latest, time, side="right")
    at_it = np.searchsorted(censored, time, side="right") - np.searchsorted(censored, time, side="left")
    return longer + at_it


def _with_error(event: Bools, time: Floats, risk: Floats, weight: Floats) -> Concordance:
    below, equal, comparable, died = _death_sums(event, time, risk)
    death_weight = weight[died]
    pairs = float(death_weight @ comparable)
    if not pairs > 0:
        raise Undefined(f"no comparable pair among {event.size} patients: no death with a weight")
    c = float(death_weight @ (below + 0.5 * equal)) / pairs

    # the same pairs from the side of the survivor: earlier deaths of higher, equal and any risk
    rank = np.unique(-risk, return_inverse=True)[1]
    early = died[np.argsort(time[died], kind="stable")]
    death_times = time[early]
    earlier = np.where(event, np.searchsorted(death_times, time, side="left"), np.searchsorted(death_times, time, side="right"))
    higher, same = sums_below(rank[early], weight[early], earlier, rank)
    total = np.concatenate([[0.0], np.cumsum(weight[early])])[earlier]
    score, share = higher + 0.5 * same, total
    score[died] += death_weight * (below + 0.5 * equal)
    share[died] += death_weight * comparable
    influence = (score - c * share) / pairs
    return Concordance(
        c=c,
        se=float(np.sqrt(np.sum(influence**2))),
        concordant=float(death_weight @ below),
        discordant=float(death_weight @ (comparable - below - equal)),
        tied_risk=float(death_weight @ equal),
        tied_time=_pairs(time[died]) - _pairs(time[died], risk[died]),
        tied_both=_pairs(time[died], risk[died]),
        influence=influence,
    )


def _pairs(*columns: Floats) -> float:
    """Return how many pairs of rows are equal in every column."""
    counts = np.unique(np.stack(columns, axis=1), axis=0, return_counts=True)[1].astype(float)
    return float((counts * (counts - 1) / 2).sum())
