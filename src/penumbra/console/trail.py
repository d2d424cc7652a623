"""The log of access: who saw which patient, and who did what, when. `console/log.jsonl` of the state folder, see `base.chained_log`.

What is written down: each page, image and download in whose answer a patient's name is, with all patients that it names; signing in and out, and attempts
that failed; each action with its reason, and how it ended. A patient stands there as a keyed digest: "who saw N001?" can be answered by a person who has
the log and its key and names N001, also after N001 was withdrawn; nothing can be read off the file itself. The statement of a query, the text of a filter and
the output of a command are not kept: they may name somebody. The same page, seen again by the same account within a minute, is one entry.
"""

import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penumbra.base.chained_log import OF_ACCESS as FILE
from penumbra.base.chained_log import ChainedLog
from penumbra.base.refusal import Refusal
from penumbra.console.sessions import Account

MAX_NAMED = 200  # patients in one entry; of more the entry has their number, and counts as one that names anybody
ONCE_S = 60.0
REMEMBERED = 5_000


def log_of(home: Path) -> ChainedLog:
    """The log of a state folder."""
    return ChainedLog(home / FILE)


class Trail:
    """Writes the log of one console.

    Parameters
    ----------
    home
        The folder of all state.
    """

    def __init__(self, home: Path) -> None:
        self.log = log_of(home)
        self._seen: OrderedDict[tuple[Any, ...], float] = OrderedDict()
        self._named: OrderedDict[str, frozenset[str] | None] = OrderedDict()
        self._turn = threading.Lock()

    def note(self, account: Account, event: str, facts: Mapping[str, Any], patients: frozenset[str] = frozenset()) -> None:
        """Write one entry.

        Raises
        ------
        Refusal
            "log_written" where the disk does not take it, "log_whole" where the log was altered.
        """
        who = {"account": account.name, "role": account.role, "way": account.way}
        try:
            digests = sorted(map(self.log.digest, patients))
            self.log.append({"at": datetime.now(UTC).isoformat(timespec="seconds"), **who, "event": event, **facts, "patients": digests})
        except OSError as error:
            fault = f"the log of access cannot be written ({error.strerror})"
            raise Refusal("log_written", fault, "make console/ in the state folder writable; no patient is shown without it") from None

    def saw(self, account: Account, page: str, named: frozenset[str] | None, as_of: int | None = None) -> None:
        """Write down whom a page shows, before it is sent.

        Parameters
        ----------
        named
            The patients; None: any may be among them.

        Raises
        ------
        Refusal
            See `note`.
        """
        if (named is not None and not named) or self._is_repeated((account.name, account.way, page, as_of, named)):
            return
        shown = frozenset() if named is None or len(named) > MAX_NAMED else named
        facts: dict[str, Any] = {"page": page}
        if not shown:
            facts["any"] = True if named is None else len(named)
        if as_of is not None:
            facts["as_of"] = as_of
        self.note(account, "saw", facts, shown)

    def shown_before(self, tag: str) -> frozenset[str] | None:
        """Whom the answer with that tag showed: a browser that shows its own copy of it shows them again."""
        return self._named.get(tag)

    def remember(self, tag: str, named: frozenset[str] | None) -> None:
        """Keep whom an answer showed, in memory alone."""
        if tag:
            with self._turn:
                self._named[tag] = named
                while len(self._named) > REMEMBERED:
                    self._named.popitem(last=False)

    def _is_repeated(self, key: tuple[Any, ...]) -> bool:
        now = time.monotonic()
        with self._turn:
            before = self._seen.get(key)
            if before is not None and now - before < ONCE_S:
                return True
            self._seen[key] = now
            self._seen.move_to_end(key)
            while len(self._seen) > REMEMBERED:
                self._seen.popitem(last=False)
            return False


def seen(log: ChainedLog, *, account: str = "", event: str = "", patient: str = "") -> Iterator[dict[str, Any]]:
    """Entries that fit, the newest first; of a patient also those that may have shown anybody."""
    digest = log.digest(patient) if patient and log.path.is_file() else ""
    for entry in log.entries():
        of_patient = not digest or digest in entry.get("patients", ()) or entry.get("any")
        if of_patient and (not account or entry.get("account") == account) and (not event or str(entry.get("event", "")).startswith(event)):
            yield entry


def verdict(home: Path) -> tuple[bool, str]:
    """Whether the log of a state folder is whole, and a sentence with the head to note down elsewhere."""
    log = log_of(home)
    found = log.check()
    if found.fault:
        return False, f"{FILE}: {found.fault}; {found.entries} entries before it are sound"
    return True, f"{FILE}: {found.entries} entries, none changed, removed or moved; head {found.head}"
