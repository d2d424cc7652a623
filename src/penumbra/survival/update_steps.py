"""The steps from leaving a frozen model as it is to fitting it again, and the test of one: what is read without the statistics."""

from dataclasses import dataclass
from typing import Final, Literal

Step = Literal["as it is", "intercept", "slope", "refit"]
AS_IT_IS: Final = "as it is"
INTERCEPT: Final = "intercept"
SLOPE: Final = "slope"
REFIT: Final = "refit"


@dataclass(frozen=True)
class UpdateTest:
    """The likelihood ratio of the widest step, refit, against a narrower one.

    Parameters
    ----------
    against
        The narrower step.
    statistic
        Twice the difference of the log likelihoods.
    df
        Parameters that the widest step has more.
    p
        Of the chi-square distribution with so many degrees of freedom.
    """

    against: str
    statistic: float
    df: int
    p: float
