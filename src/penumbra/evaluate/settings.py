"""The numbers of the evaluation as a frozen dataclass; their values are in params.yaml."""

from dataclasses import dataclass

from penumbra.base.yaml_files import ParamsError, wrong
from penumbra.survival.horizons import unfit_horizons


@dataclass(frozen=True)
class Evaluating:
    """The group `evaluate`, docs/method.md#evaluation.

    Parameters
    ----------
    horizons_days
        Of AUC, Brier score and S(t), rising; columns and metrics are named by them (survival.horizons.horizon_name).
    bootstraps
        Resamples of every interval.
    refits
        Resamples in which the served model is refitted, for stability of selection and optimism.
    calibration_groups
        Of equal size.
    thresholds
        Probabilities of death at which net benefit is shown.
    age_split
        Years, of the subgroups.
    confidence
        Of the intervals.
    seed
        Of the resamples.
    shrinkage
        Of the coefficients, that the sample-size criterion allows to be expected.
    sample_size_c
        C-indices at which that criterion is stated before a C inside the training centers is known.
    external_events
        Deaths at external centers from which calibration can be judged.
    subgroup_events
        Deaths from which a subgroup has measures of its own.
    """

    horizons_days: tuple[float, ...]
    bootstraps: int
    refits: int
    calibration_groups: int
    thresholds: tuple[float, ...]
    age_split: float
    confidence: float
    seed: int
    shrinkage: float
    sample_size_c: tuple[float, ...]
    external_events: int
    subgroup_events: int

    def __post_init__(self) -> None:
        problem = unfit_horizons(self.horizons_days)
        if problem:
            raise horizons_error("evaluate.horizons_days", f"[{', '.join(f'{day:g}' for day in self.horizons_days)}]", problem)


def horizons_error(key: str, value: str, problem: str) -> ParamsError:
    """The error for days that cannot be horizons; problem: of `unfit_horizons`."""
    what, _, advice = problem.partition("; ")
    return wrong(key, f"{key} is {value}: {what}", advice or "List days in rising order")
