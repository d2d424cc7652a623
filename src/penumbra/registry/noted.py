"""What penumbra left in MLflow when it last looked, as a file next to the database.

It shows whether anything was changed outside, and costs no store. And the change of an alias that is under way: one that was killed between MLflow and
the store is penumbra's own, and is recorded later.
"""

import json
from dataclasses import asdict, dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from penumbra.base.whole_files import write_whole
from penumbra.registry.database import root

FILE = "noted.json"


@dataclass(frozen=True)
class AliasChange:
    """An alias that moved: one row for the audit trail.

    Parameters
    ----------
    model, alias
        What moved.
    version
        None: it was removed.
    previous
        None: no version had it.
    digest
        Of the version.
    reason
        In words, of the person who promoted it or of the program.
    who
        Account, or "outside" for a change that penumbra did not make.
    at
        When, UTC.
    """

    model: str
    alias: str
    version: int | None
    previous: int | None
    digest: str | None
    reason: str
    who: str
    at: datetime


@dataclass(frozen=True)
class Noted:
    """What was noted of a model.

    Parameters
    ----------
    state
        Of MLflow when it was last recorded in the store, "" before.
    stamp
        Of MLflow's database then, see `database.stamp`.
    pending
        Changes of aliases that the store may not have yet.
    """

    state: str = ""
    stamp: str = ""
    pending: tuple[AliasChange, ...] = ()


def read(home: Path, model: str) -> Noted:
    """What was noted of a model; nothing where no file is, or none that can be read."""
    content = _content(home).get(model, {})
    try:
        pending = tuple(AliasChange(**{**entry, "at": datetime.fromisoformat(entry["at"])}) for entry in content.get("pending", []))
        return Noted(str(content.get("state", "")), str(content.get("stamp", "")), pending)
    except (TypeError, KeyError, ValueError, AttributeError):
        return Noted()


def models(home: Path) -> list[str]:
    """The models of which something was noted."""
    return sorted(_content(home))


def write(home: Path, model: str, noted: Noted) -> None:
    """Replace what is noted of a model (inside `writing`)."""
    content = _content(home)
    content[model] = {"state": noted.state, "stamp": noted.stamp, "pending": [{**asdict(entry), "at": entry.at.isoformat()} for entry in noted.pending]}
    write_whole(root(home) / FILE, json.dumps(content, sort_keys=True, indent=1) + "\n")


def _content(home: Path) -> dict[str, Any]:
    try:
        content = json.loads((root(home) / FILE).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}
