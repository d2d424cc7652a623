"""Harrell's C over pairs of patients of one center, for many risks on the same resamples; patients are resampled within each center.

A C over pairs of different centers rewards a risk that only tells the centers apart: where survival differs between centers, that alone ranks
patients. Here such a risk has 0.5.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import ArrayLike

from penumbra.survival.bootstrap import resample_counts, right_and_comparable
from penumbra.survival.concordance import NO_SPREAD
from penumbra.survival.outcome import Bools, Floats, Undefined, checked_outcome, checked_risk

IntervalKind = Literal["percentile", "basic"]


@dataclass(frozen=True)
class Pairs:
    """Pairs of k risks, counted on the patients themselves (column 0) and on b resamples of them.

    Parameters
    ----------
    right : shape (k, 1 + b)
        Pairs in the right order, those tied in risk as a half; the mean over the draws of a risk that was drawn several times.
    comparable : shape (1 + b,)
        Pairs of which one patient is known to have died first.
    constant : shape (k,), bool
        A risk has one value for all patients of a center.
    """

    right: Floats
    comparable: Floats
    constant: Bools

    def c(self, which: int) -> float:
        """Harrell's C of one risk on the patients themselves; nan without a comparable pair."""
        return float(self.right[which, 0] / self.comparable[0]) if self.comparable[0] > 0 else float("nan")

    def difference(self, which: int, other: int) -> Drawn:
        """C of one risk minus that of another.

        Raises
        ------
        Undefined
            "no comparable pair".
        """
        if not self.comparable[0] > 0:
            raise Undefined("no comparable pair")
        # a resample without a pair says nothing for or against: no difference, so that few pairs cannot make a narrow interval
        gained = (self.right[which] - self.right[other]) / np.maximum(self.comparable, 1.0)
        return Drawn(float(gained[0]), gained[1:])


@dataclass(frozen=True)
class Drawn:
    """A value on the patients themselves, and on each resample, shape (b,)."""

    value: float
    resampled: Floats

    def limit(self, share: float, kind: IntervalKind = "percentile") -> float:
        """The limit that the true value is below with probability `share`.

        Parameters
        ----------
        share
            In (0, 1): 0.1 is the lower limit of a one-sided 90 % interval, 0.025 and 0.975 are those of a two-sided 95 % interval.
        kind
            "percentile": the quantile of the resamples; "basic": that of their distance from the value, the other way round.

        References
        ----------
        Davison and Hinkley 1997, Bootstrap Methods and their Application, ch. 5.
        """
        if kind == "basic":
            return float(2.0 * self.value - np.quantile(self.resampled, 1.0 - share))
        return float(np.quantile(self.resampled, share))


def pairs_within(
    event: ArrayLike, time: ArrayLike, center: ArrayLike, log_risks: ArrayLike | Sequence[ArrayLike], *, resamples: int, seed: int
) -> dict[str, Pairs]:
    """Count the pairs of each center by itself, on its patients and on resamples of them.

    The sum of some centers (see `together`) counts pairs within these centers.

    Parameters
    ----------
    event : shape (n,), bool
        True = died.
    time : shape (n,), days
        To death, or to the last day of follow-up.
    center : shape (n,)
        Names.
    log_risks : shape (k, n), or k of shape (n,) or (r, n)
        Finite; higher = earlier death. A risk with r rows was drawn r times (cross-fitted with r draws of the folds): its pairs are the mean over the draws,
        so that its C is. Risks of a center that differ by rounding alone are taken as equal.
    resamples
        How many, of the patients of each center.
    seed
        Of numpy's default generator.

    Returns
    -------
    dict
        Name of the center -> its Pairs.

    Raises
    ------
    ValueError
        "center must have shape (n,), one name per patient; found ...", and as the functions of one center.

    References
    ----------
    Efron and Tibshirani 1993, An Introduction to the Bootstrap, ch. 8 and 16 (several samples, pairs).

    Examples
    --------
    >>> from penumbra.survival import pairs_within
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> center = ["a", "b", "a", "b", "a", "b", "a", "b"]
    >>> pairs = pairs_within(event, time, center, [log_risk], resamples=100, seed=0)
    >>> {name: round(one.c(0), 4) for name, one in pairs.items()}
    {'a': 1.0, 'b': 0.6667}
    """
    events, times = checked_outcome(event, time)
    each = list(log_risks) if np.ndim(log_risks[0]) else [log_risks]  # type: ignore[index, arg-type]  # of shape (n,): one risk
    drawn = [np.stack([checked_risk(draw, events.size) for draw in np.atleast_2d(np.asarray(risk, dtype=float))]) for risk in each]
    risks, begins = np.concatenate(drawn), np.cumsum([0, *(len(risk) for risk in drawn[:-1])])
    draws = np.array([len(risk) for risk in drawn])
    centers = np.asarray(center)
    if centers.shape != events.shape:
        raise ValueError(f"center must have shape ({events.size},), one name per patient; found {centers.shape}")
    rng = np.random.default_rng(seed)
    by_center = {}
    for name in sorted(set(centers.tolist())):
        here = centers == name
        size = int(here.sum())
        counts = np.vstack([np.ones((1, size), dtype=np.int64), resample_counts(size, resamples, rng)])
        even = np.stack([_even(risk[here]) for risk in risks])
        right, comparable = right_and_comparable(events[here], times[here], even, counts)
        constant = np.logical_and.reduceat(np.ptp(even, axis=1) == 0, begins)
        by_center[str(name)] = Pairs(np.add.reduceat(right, begins) / draws[:, None], comparable, constant)
    return by_center


def together(pairs: Iterable[Pairs]) -> Pairs:
    """Add up the pairs of several centers: pairs between centers are not among them.

    Parameters
    ----------
    pairs
        Those of each center, from `pairs_within` with the same risks and resamples.

    Returns
    -------
    Pairs
        The sums; a risk is constant where it is constant in every center.

    Examples
    --------
    >>> from penumbra.survival import pairs_within, together
    >>> event = [1, 1, 0, 1, 0, 1, 0, 1]
    >>> time = [100, 200, 250, 300, 400, 500, 600, 700]
    >>> log_risk = [1.2, 0.4, 0.9, 0.1, -0.3, 0.5, -0.8, -1.0]
    >>> center = ["a", "b", "a", "b", "a", "b", "a", "b"]
    >>> pairs = pairs_within(event, time, center, [log_risk], resamples=100, seed=0)
    >>> round(together(pairs.values()).c(0), 4)
    0.7778
    """
    parts = list(pairs)
    right, comparable = (np.sum([getattr(part, name) for part in parts], axis=0) for name in ("right", "comparable"))
    return Pairs(right, comparable, np.all([part.constant for part in parts], axis=0))


def _even(risk: Floats) -> Floats:
    """Risks of one center, made equal where all of them differ by rounding alone."""
    spread, size = float(np.ptp(risk)), float(np.abs(risk).max())
    return np.full_like(risk, risk[0]) if spread <= NO_SPREAD * max(1.0, size) else risk
