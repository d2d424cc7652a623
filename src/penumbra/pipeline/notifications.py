"""The notifications of a state folder: one file per decision, which flows/notify.py sends on."""

from collections.abc import Sequence
from pathlib import Path

from penumbra.base.whole_files import write_whole
from penumbra.pipeline.decisions import page_of
from penumbra.pipeline.manifests import BY_HAND, OVERTAKEN, PROPOSED, DecisionManifest

FOLDER = "notifications"
SUBJECTS = {  # of decisions that a person takes or has to take; the others are their own word
    PROPOSED: "{center} arrived, a new champion is proposed",
    BY_HAND: "the champion proposed for {center} was promoted by hand",
    OVERTAKEN: "the champion proposed for {center} was overtaken",
}


def notify(home: Path, decided: DecisionManifest) -> Path:
    """Leave a decision as a file in notifications/, once for each retraining, and once for what became of a proposal."""
    closed = "-closed" if decided.decision in (BY_HAND, OVERTAKEN) else ""
    path = home / FOLDER / f"{decided.center}-{decided.key}{closed}.txt"
    path.parent.mkdir(parents=True, exist_ok=True)
    subject = SUBJECTS.get(decided.decision, "{center} arrived, {decision}").format(center=decided.center, decision=decided.decision)
    write_whole(path, f"penumbra: {subject}\n\n{decided.reason}\n\n{home / page_of(decided.center)}\n")
    return path


def unsent(home: Path) -> Sequence[Path]:
    """Notifications that no service took yet, oldest first."""
    folder = home / FOLDER
    waiting = [path for path in folder.glob("*.txt") if not path.with_suffix(".sent").exists()] if folder.is_dir() else []
    return sorted(waiting, key=lambda path: path.stat().st_mtime)
