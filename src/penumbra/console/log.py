"""`/log`: the log of access, for editors."""

from itertools import islice
from typing import Any

from starlette.responses import Response

from penumbra.console import named, trail
from penumbra.console.access import require_editor
from penumbra.console.pages import Page
from penumbra.console.visit import Visit

ROWS = 100
EVENTS = ("saw", "signed in", "signed out", "refused", "began", "ended")


def log(visit: Visit) -> Response:
    """Who saw which patient and did what, the newest first."""
    require_editor(visit)
    page = visit.number("page", 1, least=1, most=100_000)
    chosen = {name: visit.value(name).strip() for name in ("account", "event", "patient")}
    entries = list(islice(trail.seen(visit.console.trail.log, **chosen), (page - 1) * ROWS, page * ROWS + 1))
    names = {visit.console.trail.log.digest(name): name for name in _shown_names(visit, chosen["patient"])} if entries else {}
    rows = [_row(entry, names) for entry in entries[:ROWS]]
    head = next(visit.console.trail.log.entries(), None)
    return visit.page(
        "log.html", title="Log of access", command="penumbra console --verify-log", rows=rows, chosen=chosen, events=EVENTS, page=page,
        more=len(entries) > ROWS, head=head,
    )  # fmt: skip


def _row(entry: dict[str, Any], names: dict[str, str]) -> dict[str, Any]:
    shown, known = entry.get("patients", []), []
    for digest in shown:
        known += [names[digest]] if digest in names else []
    anybody = entry.get("any")
    many = "" if not anybody else "any" if anybody is True else f"{anybody} patients"
    details = {name: value for name, value in entry.items() if name in ("page", "action", "target", "reason", "from", "status", "as_of")}
    return {**entry, "known": known, "unknown": len(shown) - len(known), "many": many, "details": details}


def _shown_names(visit: Visit, typed: str) -> set[str]:
    """Names that digests are looked up for: of the patients who are in the store, and the one that was typed."""
    words, others = named.names_of_patients(visit)
    return {*words, *others, *([typed] if typed else [])}


ROUTES = (Page("/log", log, name="log", live=True),)
