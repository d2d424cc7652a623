"""The gate: does a challenger become champion? A pure decision on limits of differences, with its reason in words.

What it decides on is written down with the decision (`Evidence.to_json`), and the same limits always give the same verdict.
"""

import math
from dataclasses import dataclass
from typing import Literal

from penumbra.base.documents import Document
from penumbra.base.yaml_files import wrong

Decision = Literal["promote", "propose", "keep", "reject", "stop", "set aside", "promoted by hand", "overtaken"]
METRIC = "Harrell's C within centers"


@dataclass(frozen=True)
class GateLimits:
    """How sure the gate has to be (docs/method.md#served); the group retrain.gate.

    Parameters
    ----------
    noise
        Share of challengers that are no better and are promoted nevertheless: the lower limit of the one-sided interval at 1 - noise of the difference in
        C must be above 0, against the champion and against every baseline.
    confidence
        Of the two-sided intervals whose upper limit below 0 means worse.
    interval
        "percentile" or "basic": how limits are read from the resamples.
    min_events
        A center with fewer deaths is not judged alone; its pairs still count over all centers.
    resamples
        Of the patients of each center.
    seed
        Of the resamples.
    """

    noise: float
    confidence: float
    interval: Literal["percentile", "basic"]
    min_events: int
    resamples: int
    seed: int

    def __post_init__(self) -> None:
        _require("noise", "above 0 and at most 0.5", 0 < self.noise <= 0.5, self.noise)
        _require("confidence", "at least 0.5 and below 1", 0.5 <= self.confidence < 1, self.confidence)
        _require("min_events", "at least 1", self.min_events >= 1, self.min_events)
        enough = math.ceil(1 / min(self.noise, 0.5 * (1 - self.confidence)) - 1e-9)
        _require("resamples", f"at least {enough}, one beyond each limit", self.resamples >= enough, self.resamples)


@dataclass(frozen=True)
class Contrast:
    """The challenger against one other model on the patients of a center, or of all centers; pairs of patients of one center count.

    Parameters
    ----------
    n, events, pairs
        Patients, deaths, comparable pairs.
    other, challenger
        C of both; NaN where undefined, and so are the limits, with a reason.
    constant
        Whether the challenger gives all patients of a center the same risk.
    lower_one_sided
        Lower limit of the one-sided interval at 1 - noise of the difference, challenger minus other.
    lower, upper
        Of its two-sided interval at `confidence`.
    """

    center: str
    against: str
    n: int
    events: int
    pairs: int
    other: float
    challenger: float
    constant: bool
    lower_one_sided: float
    lower: float
    upper: float
    reason: str = ""

    @property
    def difference(self) -> float:
        return self.challenger - self.other

    @property
    def defined(self) -> bool:
        return all(math.isfinite(value) for value in (self.difference, self.lower_one_sided, self.upper))


@dataclass(frozen=True)
class Evidence(Document):
    """All that the gate decides on.

    Parameters
    ----------
    overall
        Against the champion, all centers.
    centers
        Against the champion, each center.
    baselines
        Against each model that must be beaten, all centers: volume, age and stage, the challenger's own risks permuted within centers, its recipe on shuffled
        columns, a network with random weights. None where the challenger is a control.
    """

    limits: GateLimits
    overall: Contrast
    centers: tuple[Contrast, ...]
    baselines: tuple[Contrast, ...]


@dataclass(frozen=True)
class Verdict:
    """What was decided on a center.

    Parameters
    ----------
    decision
        Of the gate: "promote", "keep" (as challenger), "reject". Of the protocol: "stop" (before there was a challenger), "set aside" (killed),
        "propose" (a promotion that waits for a person), and what became of a proposal: "promoted by hand", "overtaken" (by another champion).
    reason
        One paragraph.
    """

    decision: Decision
    reason: str


def gate(evidence: Evidence) -> Verdict:
    """Decide on a challenger.

    Promote when a gain is shown over all centers and over every baseline, and no center with a say is shown to be worse. Reject when all centers
    together are shown to be worse. Otherwise keep, and so wherever the limits are undefined.
    """
    decision, grounds = _decide(evidence)
    opening = {"promote": "Promoted", "keep": "Kept as challenger", "reject": "Rejected"}[decision]
    overall, limits, count = evidence.overall, evidence.limits, len(evidence.centers)
    facts = f"{METRIC}, {count} center{'s' * (count != 1)}, {overall.events} events"
    if overall.defined:
        interval = f"{100 * limits.confidence:g} % {overall.lower:+.3f} to {overall.upper:+.3f}"
        facts += f": champion {overall.other:.3f}, challenger {overall.challenger:.3f}, {overall.difference:+.3f} ({interval})"
    silent = [row.center for row in evidence.centers if row.events < limits.min_events]
    few = f" Not judged alone, fewer than {limits.min_events} events: {', '.join(silent)}." if silent else ""
    return Verdict(decision, f"{opening}: {grounds}. {facts}.{few}")


def _decide(evidence: Evidence) -> tuple[Decision, str]:
    limits, overall = evidence.limits, evidence.overall
    heard = [row for row in evidence.centers if row.events >= limits.min_events]
    if not heard:
        return "keep", f"no center has {limits.min_events} events, the minimum for a decision"
    undefined = [row for row in (overall, *heard) if not row.defined]
    if undefined:
        return "keep", f"the difference is undefined at {'; '.join(f'{row.center} ({row.reason})' for row in undefined)}"
    sure = f"{100 * (1 - limits.noise):g} %"
    if overall.upper < 0:
        return "reject", f"the challenger is worse (upper {100 * limits.confidence:g} % limit of the difference {overall.upper:+.3f})"
    against = []
    if overall.constant:
        against.append("it gives all patients of a center the same risk")
    if not overall.lower_one_sided > 0:
        against.append(f"no gain is shown (lower {sure} limit of the difference {overall.lower_one_sided:+.3f}, must be above 0)")
    against += [f"{row.center} is worse (upper limit {row.upper:+.3f})" for row in heard if row.upper < 0]
    for row in evidence.baselines:
        if not row.defined:
            against.append(f"the comparison with {row.against} is undefined ({row.reason})")
        elif not row.lower_one_sided > 0:
            against.append(f"it is not shown to beat {row.against} (C {row.other:.3f}, lower limit of the difference {row.lower_one_sided:+.3f})")
    if against:
        return "keep", "; ".join(against)
    gain = f"a gain is shown (lower {sure} limit of the difference {overall.lower_one_sided:+.3f})"
    return "promote", f"{gain}, no center is shown to be worse{', and every baseline is beaten' if evidence.baselines else ''}"


def _require(name: str, limits: str, holds: bool, value: float) -> None:
    if not holds:
        raise wrong(f"retrain.gate.{name}", f"retrain.gate.{name} is {value:g}, out of its range", f"Give a number {limits}")
