"""`penumbra set-aside`: no retraining begins for a center until somebody takes it back."""

from penumbra.pipeline import asides, decisions, manifests
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.workspace import Work


def set_aside(work: Work, center: str, reason: str, *, undo: bool = False) -> str:
    """Set a center aside, or take it back; what changed, in one sentence.

    Raises
    ------
    Refusal
        "reason_given", "center_arrived", "center_aside".
    """
    if undo:
        asides.take_back(work, center, reason)
        return f"{center} takes part again; penumbra retrain --center {center} decides on it as it is now."
    return asides.put(work, center, reason).sentence


def foresee(work: Work, center: str, *, undo: bool = False) -> list[tuple[str, str]]:
    """What will happen; changes nothing.

    Raises
    ------
    Refusal
        "center_arrived", "center_aside".
    """
    asides.require(work, center, aside=undo)
    last = manifests.earlier(work.home, DecisionManifest, decisions.manifest_of(center))
    facts = [("center", center), ("last decision", f"{last.decision}: {last.reason}" if last else "none yet")]
    if undo:
        before = asides.of(work.home)[center]
        return [
            *facts,
            ("set aside", f"{before.at} by {before.by}: {before.reason}"),
            ("then", "penumbra serve and penumbra retrain consider it again"),
        ]
    return [
        *facts,
        ("then", "penumbra serve passes it over, and penumbra retrain --center refuses it, until it is taken back"),
        ("stays", "its patients, their features and predictions, every version and the champion; a retraining that has begun ends as it would have"),
    ]
