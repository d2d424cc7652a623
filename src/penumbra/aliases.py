"""Which version is champion: every change of an alias, with its reason, as a row of `alias_changes`."""

import getpass
from dataclasses import asdict
from typing import Any

from penumbra import registry, store
from penumbra.refusal import Refusal
from penumbra.registry import CHAMPION, AliasChange
from penumbra.work import Work


def set_alias(work: Work, which: str | int, alias: str = CHAMPION, *, reason: str) -> AliasChange:
    """Point an alias to a version whose files still are what was registered, and record it.

    which  a version of the model that params.yaml names, or of another one with its name: nsclc-pfs/3.

    Raises  Refusal "reason_given", "version_registered", or "bundle_unchanged" when a file of the version was altered.
    """
    if not reason.strip():
        raise Refusal("reason_given", "no reason", 'say why: --reason "..."')
    change = registry.promote(work.home, which, alias, reason=reason, model=work.settings.register.model)
    recorded = [row["version"] for row in _changes(work, change.model, alias)][-1:]  # not what the registry had: a call may have been killed between both
    if recorded != [change.version]:
        _record(work, change)
    return change


def rollback(work: Work, *, reason: str, model: str | None = None) -> AliasChange:
    """Make the version champion that was it before the last change.

    model  None: the one that params.yaml names.

    Raises  Refusal "earlier_champion" when there was none.
    """
    model = model or work.settings.register.model
    changes = _changes(work, model, CHAMPION)
    if not changes or changes[-1]["previous"] is None:
        raise Refusal("earlier_champion", f"{model} never had another champion", "penumbra models lists the versions; penumbra promote chooses one")
    return set_alias(work, f"{model}/{changes[-1]['previous']}", reason=reason)


def _changes(work: Work, model: str, alias: str) -> list[dict[str, Any]]:
    """Every recorded change of an alias of a model, oldest first."""
    with store.connect(work.home) as lake:
        found = [row for row in lake.rows("alias_changes") if (row["model"], row["alias"]) == (model, alias)]
    return sorted(found, key=lambda row: row["commit_id"])


def version_record(entry: registry.RegisteredVersion) -> dict[str, Any]:
    """A row of `model_versions`."""
    return {
        "model": entry.model,
        "version": str(entry.version),
        "alias": ", ".join(entry.aliases) or None,
        "run_id": entry.run_id,
        "store_commit": entry.store_commit,
        "train_centers": list(entry.train_centers),
        "digest": entry.digest,
        "created_at": entry.created_at.replace(tzinfo=None),
    }


def first_champion(entry: registry.RegisteredVersion) -> list[dict[str, Any]]:
    """The row of `alias_changes` for the version that registering made champion: the first; none for a later one."""
    if entry.version != 1:
        return []
    change = AliasChange(entry.model, CHAMPION, 1, None, entry.digest, "the first version", entry.created_at)
    return [_row(change)]


def _row(change: AliasChange) -> dict[str, Any]:
    return asdict(change) | {"who": getpass.getuser(), "at": change.at.replace(tzinfo=None)}


def _record(work: Work, change: AliasChange) -> None:
    """The change, and the aliases that every version has now."""
    versions = [version_record(entry) for entry in registry.versions(work.home, change.model)]
    with store.connect(work.home) as lake:
        lake.write({"alias_changes": [_row(change)], "model_versions": versions}, run=work.run, what=f"{change.model}/{change.version} is {change.alias}")
