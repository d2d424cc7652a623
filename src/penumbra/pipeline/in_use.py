"""Which version was in use when, and why: one time line of an alias's changes, of registrations and of decisions; and which versions there were."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base.refusal import Refusal
from penumbra.registry import CHAMPION, RegisteredVersion

_CHANGES = 'SELECT alias, version, previous, reason, who, "at", commit_id FROM alias_changes WHERE model = ? ORDER BY commit_id, "at"'
_DECIDED = "SELECT retraining, center, outcome, facts, \"at\", commit_id FROM retrainings WHERE step = 'decision' ORDER BY commit_id"
_REGISTERED = "SELECT version, created_at, train_centers, commit_id FROM model_versions WHERE model = ? ORDER BY created_at"
_RECORDED = "SELECT version, alias FROM model_versions WHERE model = ? AND alias IS DISTINCT FROM 'deleted'"


@dataclass(frozen=True)
class Period:
    """A time in which a version had the alias.

    Parameters
    ----------
    version
        None: nobody had it.
    since, until
        UTC; until None: it still has it.
    reason, account
        Of the change that began it.
    """

    version: int | None
    since: datetime
    until: datetime | None
    reason: str
    account: str


@dataclass(frozen=True)
class Event:
    """Something that happened to a model: `what` is "alias", "decision" or "registered"; retraining: key of a decision, "" of others."""

    at: datetime
    what: str
    version: int | None
    words: str
    account: str = ""
    center: str = ""
    retraining: str = ""


def periods(lake: "store.Store", model: str, alias: str = CHAMPION) -> tuple[Period, ...]:
    """Who had an alias when, the earliest first; a row that confirms what was so begins nothing."""
    rows: list[Period] = []
    for row in lake.sql(_CHANGES, [model]).to_pylist():
        if row["alias"] != alias or (rows and rows[-1].version == row["version"]):
            continue
        at = _utc(row["at"])
        if rows:
            last = rows.pop()
            rows.append(Period(last.version, last.since, at, last.reason, last.account))
        rows.append(Period(row["version"], at, None, row["reason"], row["who"]))
    return tuple(rows)


def events(lake: "store.Store", model: str) -> tuple[Event, ...]:
    """All that happened to a model's versions, the newest first."""
    rows = [
        Event(_utc(row["created_at"]), "registered", int(row["version"]), f"registered, fitted on {', '.join(row['train_centers'] or ())}")
        for row in lake.sql(_REGISTERED, [model]).to_pylist()
    ]
    for row in lake.sql(_CHANGES, [model]).to_pylist():
        removed = f"{row['alias']} removed" if row["version"] is None else f"became {row['alias']}"
        before = f" instead of {row['previous']}" if row["previous"] not in (None, row["version"]) else ""
        rows.append(Event(_utc(row["at"]), "alias", row["version"], f"{removed}{before}: {row['reason']}", row["who"]))
    for row in lake.sql(_DECIDED).to_pylist():
        facts = facts_of(row["facts"])
        version = facts.get("challenger") or facts.get("champion")
        rows.append(Event(_utc(row["at"]), "decision", version, row["outcome"], "", row["center"], row["retraining"]))
    return tuple(sorted(rows, key=lambda event: event.at, reverse=True))


def facts_of(text: str | None) -> Mapping[str, Any]:
    """The facts of a step, which the store has as JSON; {} for what is none."""
    try:
        facts = json.loads(text or "{}")
    except ValueError:
        return {}
    return facts if isinstance(facts, dict) else {}


def _utc(at: datetime) -> datetime:
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at


def registered_then(lake: "store.Store", model: str) -> dict[int, tuple[str, ...]]:
    """Number -> aliases of the versions that were registered by the commit that the store is shown as of."""
    return {int(row["version"]): tuple(row["alias"].split(", ")) if row["alias"] else () for row in lake.sql(_RECORDED, [model]).to_pylist()}


def find_then(home: Path, lake: "store.Store", which: str, model: str | None = None) -> RegisteredVersion:
    """Find the version that an alias or a number named at the commit that the store is shown as of, with its aliases of then.

    Raises
    ------
    Refusal
        "version_then" where it was not registered by then, or nothing had the alias; see `registry.find` for what was never registered.
    """
    name, label = registry.addressed(home, which, model)
    then = registered_then(lake, name)
    number = next((version for version, aliases in then.items() if label in aliases), None)
    if number is None and not label.removeprefix("v").isdecimal():
        listed = ", ".join(f"{version} ({', '.join(aliases)})" if aliases else str(version) for version, aliases in sorted(then.items()))
        raise Refusal("version_then", f"no version of {name} was {label[:60]!r} as of commit {lake.as_of}", f"registered then: {listed or 'none'}")
    entry = registry.find(home, label if number is None else number, name)
    if entry.version not in then:
        since = f"{entry.created_at:%Y-%m-%d} at {entry.created_at:%H:%M} UTC"
        fault = f"{name}/{entry.version} did not exist as of commit {lake.as_of}: it was registered later, on {since}"
        raise Refusal("version_then", fault, f"leave as-of out, or name a commit after that; registered then: {', '.join(map(str, sorted(then))) or 'none'}")
    return replace(entry, aliases=then[entry.version])
