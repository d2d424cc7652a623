"""The notifications of a state folder: one file per decision, which flows/notify.py sends on."""

from collections.abc import Sequence
from pathlib import Path

from penumbra.base.whole_files import write_whole
from penumbra.pipeline.decisions import page_of
from penumbra.pipeline.live import Signal
from penumbra.pipeline.manifests import BY_HAND, OVERTAKEN, PROPOSED, DecisionManifest
from penumbra.pipeline.workspace import Work

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


def notify_signal(home: Path, signal: Signal, page: str) -> bool:
    """Leave a signal of live patients as a file in notifications/, once for each version and center; whether it is news."""
    path = home / FOLDER / f"{signal.center}-{signal.model}-{signal.version}-signal.txt"
    if path.is_file():
        return False
    path.parent.mkdir(parents=True, exist_ok=True)
    write_whole(path, f"penumbra: deaths at {signal.center} do not come as expected\n\n{signal}.\n\n{home / page}\n")
    return True


def service(work: Work) -> str:
    """The block of the service that something waits for, as `serve.notification_block` names it; "" where there is none, or nothing waits."""
    slug = work.settings.serve.notification_block or ""
    return slug if unsent(work.home) else ""


def unsent(home: Path) -> Sequence[Path]:
    """Notifications that no service took yet, oldest first."""
    folder = home / FOLDER
    waiting = [path for path in folder.glob("*.txt") if not path.with_suffix(".sent").exists()] if folder.is_dir() else []
    return sorted(waiting, key=lambda path: path.stat().st_mtime)
