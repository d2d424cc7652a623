"""Centers that a person set aside: no retraining begins for them until somebody takes them back. Each change is a row of `retrainings`."""

import json
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from penumbra import store
from penumbra.base.account import account
from penumbra.base.documents import Document
from penumbra.base.refusal import Refusal, choose
from penumbra.base.whole_files import write_whole
from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.workspace import Work

STEPS = ("set aside", "taken back")


@dataclass(frozen=True)
class Aside(Document):
    """One center that is set aside: why, by which account, and when (UTC, ISO 8601)."""

    center: str
    reason: str
    by: str
    at: str

    @property
    def sentence(self) -> str:
        return f'Set aside by {self.by}: {self.reason}. To take it back: penumbra set-aside {self.center} --undo --reason "..."'


def of(home: Path) -> dict[str, Aside]:
    """Center -> what is asides of its being set aside."""
    asides = {}
    for path in sorted((home / manifests.FOLDER).glob("aside-*.json")):
        aside = Aside.from_json(json.loads(path.read_text(encoding="utf-8")))
        asides[aside.center] = aside
    return asides


def put(work: Work, center: str, reason: str) -> Aside:
    """Set a center aside.

    Raises
    ------
    Refusal
        "reason_given", "center_arrived", "center_aside" where it is already.
    """
    require(work, center, aside=False)
    aside = Aside(center, _require_reason(reason), account(), datetime.now(UTC).isoformat(timespec="seconds"))
    _record(work, center, STEPS[0], aside.reason)
    write_whole(_file(work.home, center), json.dumps(aside.to_json()) + "\n")
    return aside


def take_back(work: Work, center: str, reason: str) -> None:
    """Let a center take part again.

    Raises
    ------
    Refusal
        "reason_given", "center_aside" where it is not set aside.
    """
    require(work, center, aside=True)
    _record(work, center, STEPS[1], _require_reason(reason))
    _file(work.home, center).unlink()


def require(work: Work, center: str, *, aside: bool) -> None:
    """Refuse a center that has not arrived, and one that is, or is not, set aside.

    Raises
    ------
    Refusal
        "center_arrived", "center_aside".
    """
    asides = of(work.home)
    if aside:
        if center not in asides:
            raise Refusal("center_aside", f"{center} is not set aside", choose(center, asides, what="set aside"))
        return
    arrived = arrivals.center_folders(work.home)
    if center not in arrived:
        raise Refusal("center_arrived", f"no center {center!r} in incoming/", choose(center, arrived, what="there are"))
    if center in asides:
        raise Refusal("center_aside", f"{center} is set aside", asides[center].sentence)


def _require_reason(reason: str) -> str:
    if not reason.strip():
        raise Refusal("reason_given", "no reason", 'say why: --reason "..."')
    return " ".join(reason.split())


def _record(work: Work, center: str, step: str, reason: str) -> None:
    row = {"retraining": f"aside-{work.run}", "center": center, "step": step, "outcome": reason, "facts": {"by": account()}}
    with store.connect(work.home) as lake:
        lake.write({"retrainings": [row]}, run=work.run, what=f"{center}: {step}")


def _file(home: Path, center: str) -> Path:
    return manifests.file_of(home, f"aside-{center}")
