"""The choice of what is served, as it is kept: read by manifests, and so by `penumbra status`, without a numerical library."""

from dataclasses import dataclass

from penumbra.base.documents import Document
from penumbra.evaluate.gate import Contrast


@dataclass(frozen=True)
class Candidate(Document):
    """One model that could be served, by the evidence inside the training centers.

    Parameters
    ----------
    c, se
        Harrell's C within centers of its cross-fitted risks, the mean over the repeats, with its standard error over patients.
    behind, behind_se
        C of the best candidate minus its own, with the standard error of this paired difference; 0 for the best.
    control
        Whether it is what others have to beat.
    unbeaten
        Falsifiers that it is not shown to beat; empty for a control, which has nothing to beat.
    """

    model: str
    c: float
    se: float
    behind: float
    behind_se: float
    control: bool
    unbeaten: tuple[str, ...]

    @property
    def within(self) -> bool:
        """Whether it lies within one standard error of the best."""
        return self.behind <= self.behind_se


@dataclass(frozen=True)
class Choice(Document):
    """What is served, and why.

    Parameters
    ----------
    served
        The model that answers.
    reason
        One sentence, for people.
    candidates
        Of which it was chosen, the simplest first.
    named
        The model that register.served names; "" where the evidence chose.
    challenger
        `named`, where it is not shown to beat the controls inside and a control is served in its place; else "".
    falsifiers
        The model chosen or named against each of them; empty for a control.
    """

    served: str
    reason: str
    candidates: tuple[Candidate, ...]
    named: str
    challenger: str
    falsifiers: tuple[Contrast, ...]
