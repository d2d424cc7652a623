"""How much of a frozen model a center's patients ask to change, as a retraining leaves it."""

from dataclasses import dataclass

from penumbra.base.documents import Document
from penumbra.survival.update_steps import UpdateTest


@dataclass(frozen=True, kw_only=True)
class UpdateEvidence(Document):
    """How much of the champion the patients of a center ask to change.

    Parameters
    ----------
    step
        "as it is", "intercept", "slope" or "refit".
    tests
        Of refit against the narrower steps, up to the first that is not rejected.
    alpha
        Of each.
    terms
        What refit frees: "columns", "members" or "blocks" of the model, or "the slope, and the hazard from the middle on".
    patients, deaths, expected
        That it rests on, and deaths expected of the champion as it is.
    intercept, slope
        Of the step: what the log_risk of the center's patients becomes, on top of what the champion does there already.
    reason
        Why another step was taken than the tests say; "" where none was.
    """

    step: str
    tests: tuple[UpdateTest, ...]
    alpha: float
    terms: str
    patients: int
    deaths: int
    expected: float
    intercept: float = 0.0
    slope: float = 1.0
    reason: str = ""
