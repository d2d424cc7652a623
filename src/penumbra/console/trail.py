"""The log of access: who saw which patient, and who did what, when. `console/log.jsonl` of the state folder, see `base.chained_log`.

What is written down: each page, image and download in whose answer a patient's name is, with all patients that it names; signing in and out, and attempts
that failed; each action with its reason, and how it ended. A patient stands there as a keyed digest: "who saw N001?" can be answered by whoever has the
log and its key and names N001, also after N001 was withdrawn; nothing can be read off the file itself. The statement of a query, the text of a filter and
the output of a command are not kept: they may name somebody. The same page, seen again by the same account within a minute, is one entry.
"""

import html
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from starlette.responses import Response

from penumbra.base.chained_log import ChainedLog
from penumbra.base.refusal import Refusal
from penumbra.console.sessions import Account

if TYPE_CHECKING:
    from penumbra.console.pages import Page
    from penumbra.console.visit import Visit

FILE = "console/log.jsonl"
MAX_NAMED = 200  # patients in one entry; of more the entry has their number, and counts as one that names anybody
ONCE_S = 60.0
REMEMBERED = 5_000
WORD = re.compile(r"[^\s<>\"'&,;:()\[\]{}/|=]+")
NAMES = "SELECT DISTINCT patient FROM stored.patients UNION SELECT DISTINCT patient FROM stored.rejections WHERE patient IS NOT NULL"


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
        digests = sorted(map(self.log.digest, patients))
        try:
            self.log.append({"at": datetime.now(UTC).isoformat(timespec="seconds"), **who, "event": event, **facts, "patients": digests})
        except OSError as error:
            fault = f"the log of access cannot be written ({error.strerror})"
            raise Refusal("log_written", fault, "make console/ in the state folder writable; no patient is shown without it") from None

    def page(self, visit: "Visit", page: "Page", response: Response, tag: str) -> None:
        """Write down whom an answer shows, before it is sent.

        Parameters
        ----------
        tag
            Of the answer; a browser that shows its own copy of it sees whom it showed then.
        """
        if response.status_code not in (200, 206, 304):
            return
        if response.status_code == 304:
            named = self._named.get(tag)
        else:
            named = named_in(visit, response)
            self._remember(tag, named)
        if named is not None and not named:
            return
        shown = frozenset() if named is None or len(named) > MAX_NAMED else named
        facts: dict[str, Any] = {"page": page.name}
        if not shown:
            facts["any"] = True if named is None else len(named)
        if visit.as_of is not None:
            facts["as_of"] = visit.as_of
        if self._is_repeated((visit.account.name, visit.account.way, page.name, visit.as_of, named)):
            return
        self.note(visit.account, "saw", facts, shown)

    def _remember(self, tag: str, named: frozenset[str] | None) -> None:
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


def named_in(visit: "Visit", response: Response) -> frozenset[str] | None:
    """The patients that an answer shows; None: any may be among them."""
    of_path = frozenset({visit.path("patient")} - {""})
    body = getattr(response, "body", None)
    if of_path and not str(response.media_type or "").startswith("text/html"):
        return of_path  # an image, a mask
    if not isinstance(body, bytes):
        return None  # a download as it comes from the store
    if response.media_type in ("application/vnd.apache.arrow.stream", "application/vnd.apache.parquet", "application/octet-stream"):
        return None
    return of_path | mentioned(visit, body.decode("utf-8", errors="replace"))


def mentioned(visit: "Visit", text: str) -> frozenset[str]:
    """The patients whose names are words of a text or a page."""
    words, others = names_of_patients(visit)
    if not words and not others:
        return frozenset()
    plain = html.unescape(text)
    return frozenset(word for word in WORD.findall(plain) if word in words) | frozenset(name for name in others if name in plain)


def names_of_patients(visit: "Visit") -> tuple[frozenset[str], frozenset[str]]:
    """Every name of a patient in the store: those that are one word, and the others."""

    def read() -> tuple[frozenset[str], frozenset[str]]:
        try:
            with visit.console.readers.lend() as store:
                names = {str(name) for name in store.sql(NAMES).column("patient").to_pylist()}
        except Refusal as refusal:
            if refusal.rule == "store_exists":
                return frozenset(), frozenset()
            raise
        words = frozenset(name for name in names if WORD.fullmatch(name))
        return words, frozenset(names) - words

    return visit.console.kept.get("names of patients", read)


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
