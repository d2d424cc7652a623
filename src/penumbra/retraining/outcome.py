"""What the steps of one retraining found."""

from collections.abc import Mapping
from dataclasses import dataclass, field

from penumbra.evaluate import MetricRow, Verdict
from penumbra.evaluate.updating import UpdateEvidence
from penumbra.pipeline.challenge import Challenge


@dataclass(frozen=True)
class Outcome:
    """What the steps a to g found: the challenger's version, C with each center left out, and the comparison, where it came so far.

    Parameters
    ----------
    update
        What the closed test chose, where one was made.
    calibration
        Of the champion at the center as it answers, and updated: where an update was registered.
    """

    verdict: Verdict
    version: int | None = None
    left_out: Mapping[str, float] = field(default_factory=dict)
    compared: Challenge | None = None
    update: UpdateEvidence | None = None
    calibration: tuple[MetricRow, ...] = ()
