"""The gate: does a challenger become champion? A pure decision on numbers, with its reason in words."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

Decision = Literal["promote", "keep", "reject", "stop", "set aside"]


@dataclass(frozen=True)
class Margins:
    """What the gate tolerates; differences of a discrimination measure (challenger minus champion).

    min_events       a center with fewer deaths has no say.
    pooled_better    the pooled difference must be above this to promote.
    pooled_worse     a pooled difference below minus this rejects.
    center_worse     a difference below minus this at any center with a say rejects.
    falsifier        the challenger's pooled value must exceed every falsifier's by this.
    """

    min_events: int
    pooled_better: float
    pooled_worse: float
    center_worse: float
    falsifier: float


@dataclass(frozen=True)
class CenterScore:
    """Champion and challenger on one center, each on patients it was not fitted on."""

    center: str
    events: int
    champion: float
    challenger: float

    @property
    def difference(self) -> float:
        return self.challenger - self.champion


@dataclass(frozen=True)
class Verdict:
    """reason is one paragraph. decision: "promote", "keep" (as challenger), "reject", "stop" (before there was a challenger), "set aside" (killed)."""

    decision: Decision
    reason: str


def gate(pooled: CenterScore, centers: Sequence[CenterScore], falsifiers: Mapping[str, float], margins: Margins, *, metric: str = "Harrell's C") -> Verdict:
    """Decide on a challenger: better pooled, nowhere worse beyond the margin, and better than what knows no texture.

    pooled      both versions on all evaluated patients together.
    centers     the same per center.
    falsifiers  name -> pooled value of a model that must be beaten (volume only, clinical only, shuffled ROI).
    margins     see `Margins`.
    """
    decision, why = _decide(pooled, [score for score in centers if score.events >= margins.min_events], falsifiers, margins, metric)
    facts = f"{metric} pooled over {len(centers)} center{'s' * (len(centers) != 1)} ({pooled.events} events): {_change(pooled)}."
    silent = [score.center for score in centers if score.events < margins.min_events]
    if silent:
        facts += f" No say for want of events (fewer than {margins.min_events}): {', '.join(silent)}."
    opening = {"promote": "Promoted", "keep": "Kept as challenger", "reject": "Rejected"}[decision]
    return Verdict(decision, f"{opening}: {why}. {facts}")


def _decide(pooled: CenterScore, heard: Sequence[CenterScore], falsifiers: Mapping[str, float], margins: Margins, metric: str) -> tuple[Decision, str]:
    if pooled.events < margins.min_events:
        return "keep", f"only {pooled.events} events in all, {margins.min_events} are needed to decide"
    undefined = [score.center for score in [pooled, *heard] if not (math.isfinite(score.champion) and math.isfinite(score.challenger))]
    if undefined:
        return "keep", f"{metric} is undefined at {', '.join(undefined)}"
    unbeaten = [f"{name} {value:.3f}" for name, value in falsifiers.items() if not pooled.challenger - value > margins.falsifier]
    if unbeaten:
        return "reject", f"the challenger is not better by more than {margins.falsifier:g} than what it must beat ({', '.join(unbeaten)})"
    harmed = [f"{score.center} ({_change(score)})" for score in heard if score.difference < -margins.center_worse]
    if harmed:
        return "reject", f"worse by more than {margins.center_worse:g} at {'; '.join(harmed)}"
    if pooled.difference < -margins.pooled_worse:
        return "reject", f"worse pooled by more than {margins.pooled_worse:g}"
    nowhere_worse = f"no center is worse by more than {margins.center_worse:g}"
    if not pooled.difference > margins.pooled_better:
        return "keep", f"the pooled gain is not above {margins.pooled_better:g}, though {nowhere_worse}"
    return "promote", f"the pooled gain is above {margins.pooled_better:g}, {nowhere_worse}, and every falsifier is beaten"


def _change(score: CenterScore) -> str:
    return f"champion {score.champion:.3f}, challenger {score.challenger:.3f}, {score.difference:+.3f}"
