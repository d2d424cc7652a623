"""Which version is champion: every change of an alias, with its reason, as a row of `alias_changes`; also one that was made outside penumbra."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.pipeline.workspace import Work
from penumbra.registry import CHAMPION, DELETED, OUTSIDE, AliasChange, database, noted
from penumbra.registry.database import noting, writing


def set_alias(work: Work, which: str | int, alias: str = CHAMPION, *, reason: str) -> AliasChange:
    """Point an alias to a version whose files have not changed since registration, and record it.

    Parameters
    ----------
    which
        A version of the model that params.yaml names, or of another one with its name: nsclc-pfs/3.

    Raises
    ------
    Refusal
        "reason_given", "version_registered", or "bundle_unchanged" when a file of the version was altered.
    """
    if not reason.strip():
        raise Refusal("reason_given", "no reason", 'say why: --reason "..."')
    model, _ = registry.addressed(work.home, which, work.settings.register.model)
    note(work.home, model, run=work.run)
    change = registry.promote(work.home, which, alias, reason=reason, model=work.settings.register.model)
    last = recorded_changes(work, model, alias)[-1:]  # an alias that is there already, but not by the record or by somebody outside, is confirmed by a row
    if change.previous == change.version and (not last or last[0]["version"] != change.version or last[0]["who"] == OUTSIDE):
        record(work.home, model, run=work.run, changes=[change])
    else:
        record(work.home, model, run=work.run)
    return change


def rollback(work: Work, *, reason: str, model: str | None = None) -> AliasChange:
    """Make the version champion that was it before the last change, by the record; versions that were deleted since are passed over.

    Parameters
    ----------
    model
        None: the one that params.yaml names.

    Raises
    ------
    Refusal
        "earlier_champion" when there was none.
    """
    model = model or work.settings.register.model
    note(work.home, model, run=work.run)
    return set_alias(work, f"{model}/{earlier_champion(work, model)}", reason=reason)


def earlier_champion(work: Work, model: str) -> int:
    """The version that a rollback makes champion; changes nothing.

    Raises
    ------
    Refusal
        "earlier_champion" when there was none.
    """
    inventory = registry.shelf(work.home, model)
    current, numbers = inventory.aliases.get(CHAMPION), {entry.version for entry in inventory.versions}
    earlier = [version for version in reversed(registry.remembered(work.home, model).champions) if version not in (None, current)]
    target = next((version for version in earlier if version in numbers), None)
    if target is None and not inventory.versions:
        registry.find(work.home, model=model)  # says what there is
    if target is None:
        raise Refusal("earlier_champion", f"{model} never had another champion", "penumbra models lists the versions; penumbra promote chooses one")
    skipped = sorted({version for version in earlier[: earlier.index(target)] if version is not None})
    if skipped:
        say(f"passed over, since deleted outside penumbra: {', '.join(f'{model}/{version}' for version in skipped)}")
    return target


def tell(home: Path, model: str | None = None) -> None:
    """Say on stderr what was changed outside penumbra, with the repair; changes nothing."""
    for sentence in registry.outside(home, model).sentences:
        say(sentence)


def note(home: Path, model: str, *, run: str) -> None:
    """Say what was changed outside penumbra, and record it in the store; so too a change of penumbra's own that was killed before its record."""
    with noting(home):
        changes, notes = registry.outside(home, model), noted.read(home, model)
        for sentence in changes.sentences:
            say(sentence)
        stamp, state = database.stamp(home), registry.shelf(home, model).state
        if changes.change or changes.deleted or notes.pending or (notes.state != state and (home / "store").is_dir()):
            _record(home, model, run, [changes.change] if changes.change else [], changes.deleted, sorted(registry.remembered(home, model).versions))
        elif notes.state == state and notes.stamp != stamp:
            _write_notes(home, model, notes, state, stamp)


def note_before_reading(home: Path) -> None:
    """`note` for a command that only reads the store, whose relations shall have what MLflow has; a home that cannot be written to is left as it is."""
    for model in noted.models(home):
        try:
            note(home, model, run=OUTSIDE)
        except (Refusal, OSError):
            tell(home, model)


def record(home: Path, model: str, *, run: str, changes: list[AliasChange] | None = None) -> None:
    """Bring the store to what MLflow has now, with some changes of penumbra's own."""
    with noting(home):
        _record(home, model, run, changes or [], registry.outside(home, model).deleted)


def note_recorded(home: Path, model: str) -> None:
    """Note that the store has what MLflow has, after a stage wrote both; where it lacks something, the next `note` records it."""
    with noting(home):
        notes, stamp, state = noted.read(home, model), database.stamp(home), registry.shelf(home, model).state
        changes = registry.outside(home, model)
        if not (changes.change or changes.deleted):
            _write_notes(home, model, notes, state, stamp)


def pending(home: Path, model: str) -> list[dict[str, Any]]:
    """Rows of `alias_changes` for what penumbra moved and the store may lack; a change that was killed before MLflow had it is none."""
    aliases, waiting = registry.shelf(home, model).aliases, noted.read(home, model).pending
    last = {change.alias: change for change in waiting}
    return [_row(change) for change in waiting if change is not last[change.alias] or aliases.get(change.alias) != change.previous]


def recorded_changes(work: Work, model: str, alias: str) -> list[dict[str, Any]]:
    """Every recorded change of an alias of a model, oldest first."""
    with store.connect(work.home) as lake:
        rows = [row for row in lake.rows("alias_changes") if (row["model"], row["alias"]) == (model, alias)]
    return sorted(rows, key=lambda row: (row["commit_id"], row["at"]))


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


def _record(home: Path, model: str, run: str, changes: list[AliasChange], deleted: tuple[int, ...], only: Sequence[int] | None = None) -> None:
    """One transaction: the changes, and the aliases that every version has now; then what MLflow has is noted as known (inside `noting`).

    Parameters
    ----------
    only
        Versions that the store has already; None: all, also one that was registered from Python.
    """
    notes = noted.read(home, model)
    stamp, inventory = database.stamp(home), registry.shelf(home, model)
    rows = [*pending(home, model), *(_row(change) for change in changes)]
    recorded = registry.remembered(home, model).versions if deleted else {}
    versions = [version_record(entry) for entry in inventory.versions if only is None or entry.version in only] + [
        _deleted(recorded[number]) for number in deleted
    ]
    if rows or versions:
        what = "; ".join(f"{row['alias']} is {row['version'] or 'none'}" for row in rows) or "as MLflow has it"
        with store.connect(home) as lake:
            lake.write({"alias_changes": rows, "model_versions": versions}, run=run, what=f"{model}: {what}")
    _write_notes(home, model, notes, inventory.state, stamp)


def _write_notes(home: Path, model: str, notes: noted.Noted, state: str, stamp: str) -> None:
    """Note a state of MLflow that the store has, with the changes that were pending; one that came since stays pending."""
    with writing(home):
        since = tuple(change for change in noted.read(home, model).pending if change not in notes.pending)
        noted.write(home, model, noted.Noted(state, stamp, since))


def _deleted(row: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in row.items() if name != "commit_id"} | {"alias": DELETED}


def _row(change: AliasChange) -> dict[str, Any]:
    return asdict(change) | {"at": change.at.replace(tzinfo=None)}
