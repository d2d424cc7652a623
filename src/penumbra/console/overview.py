"""The first page: what arrived, waits, runs, failed and was decided; the champion and what it is good for; health."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from starlette.responses import RedirectResponse, Response

from penumbra import registry
from penumbra.base.faults import fault
from penumbra.base.refusal import Refusal
from penumbra.commands import status
from penumbra.commands.standing import VOLUME, VersionStanding, standings
from penumbra.commands.status_data import Status
from penumbra.console.evidence import rows_of
from penumbra.console.pages import Page
from penumbra.console.visit import Visit
from penumbra.pipeline import in_use
from penumbra.pipeline.applicability import intended_for
from penumbra.registry import CHAMPION
from penumbra.report import strips
from penumbra.report.words import count
from penumbra.retraining import record
from penumbra.store.overview import overview as stored_overview

SHOWN_DECISIONS, SHOWN_COMMITS = 4, 6
_CENTERS = "SELECT center, patients, events, arrived_at FROM centers ORDER BY arrived_at DESC NULLS LAST, center"
_COMMITS = 'SELECT id, "at", what, "rows" FROM commits ORDER BY id DESC LIMIT ?'


@dataclass(frozen=True)
class Stored:
    """What the store and the registry say, as of the visit's commit."""

    champion: VersionStanding | None
    since: Any
    versions: int
    intended: Sequence[tuple[str, str]]
    served: str
    decisions: Sequence[record.Retraining]
    centers: Sequence[dict[str, Any]]
    commits: Sequence[dict[str, Any]]


def overview(visit: Visit) -> Response:
    """The state of the folder."""
    state = _state(visit)
    stored, trouble = _stored(visit)
    return visit.page(
        "overview.html",
        title="Overview",
        command="penumbra status",
        state=state,
        stored=stored,
        trouble=trouble,
        evidence=rows_of(visit, stored.champion) if stored and stored.champion else [],
        scale=strips.scale(strips.C_AXIS),
        checkup=visit.console.checkup,
        disk=visit.console.disk.words(),
        fault=fault,
    )


def health(visit: Visit) -> Response:
    """Every check of this machine and of what is stored; examined in the background when the last one is old."""
    checkup = visit.console.checkup
    checkup.begin(again=visit.value("again") == "1" and not checkup.is_under_way)
    if visit.value("again"):
        return RedirectResponse(visit.here(again=None), 303)
    state = _state(visit)
    return visit.page("health.html", title="Health", command="penumbra doctor", state=state, checkup=checkup, disk=visit.console.disk.words())


def _state(visit: Visit) -> Status:
    """As `penumbra status` has it; the store's share of it is read once per commit."""
    return status.look(visit.console.kept.get("overview", lambda: stored_overview(visit.home)))


def _stored(visit: Visit) -> tuple[Stored | None, str]:
    """None where there is no store yet, or none that can be read, with the reason."""
    try:
        return visit.console.kept.get(("overview", visit.as_of), lambda: _read(visit)), ""
    except Refusal as refusal:
        if refusal.rule == "commit":
            raise
        return None, "" if refusal.rule == "store_exists" else str(refusal)


def _read(visit: Visit) -> Stored:
    with visit.store() as lake:
        entries = standings(visit.home, lake)
        champion = next((entry for entry in entries if CHAMPION in entry.aliases), None)
        periods = in_use.periods(lake, champion.model) if champion else ()
        decided = record.retrainings(lake)[:SHOWN_DECISIONS]
        centers, commits = lake.sql(_CENTERS).to_pylist(), lake.sql(_COMMITS, [SHOWN_COMMITS]).to_pylist()
    intended: list[tuple[str, str]] = []
    served = ""
    if champion is not None and not champion.foreign:
        loaded = registry.load(visit.home, champion.version, model=champion.model)
        intended, model = list(intended_for(loaded.settings).rows), loaded.model
        served = f"{model.label} ({model.kind}, {count(len(model.columns), 'column')})"
        served += ": the volume of the tumor itself, so there is no difference from it to state" if loaded.served == VOLUME else ""
    since = next((period.since for period in reversed(periods) if champion and period.version == champion.version), None)
    return Stored(champion, since, len(entries), intended, served, decided, centers, commits)


ROUTES = (Page("/", overview, "overview", live=True, shared_s=1.0), Page("/health", health, "health", live=True))
