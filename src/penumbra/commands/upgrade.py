"""`penumbra upgrade`: the numbered migrations that the state folder and its project lack, and, if asked to, their application.

Whether one is applied is read from what it changes, not from a list of what was run: killed at any moment and run again, it ends the same.
"""

import contextlib
import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from penumbra import store
from penumbra.base.params import project_root, read_yaml
from penumbra.base.project import part_of
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import write_whole
from penumbra.store.lake import Lake, open_engine
from penumbra.store.migrating import migrated_to, migrations


@dataclass(frozen=True)
class Migration:
    """One numbered step. part: of the state that it changes, store, registry or project. state: applied, pending, or none where that part is not there."""

    part: str
    number: int
    name: str
    state: str


@dataclass(frozen=True)
class Step:
    """A migration of what is not in the store. state: asks for it, without a change; apply: does it, whole or not at all."""

    part: str
    number: int
    name: str
    state: Callable[[Path], str]
    apply: Callable[[Path], None]


def listed(home: Path) -> list[Migration]:
    """Every migration, in order; nothing is written.

    Raises
    ------
    Refusal
        "store_exists"; "schema_newer", "registry_newer": a newer program wrote the state.
    """
    store.require(home)
    available, lake = migrations(part_of(project_root(home) / "features", "schema")), Lake(home)
    with contextlib.closing(open_engine()) as engine:
        lake.attach(engine, read_only=True)
        reached = migrated_to(engine)
    if reached > len(available):
        raise Refusal("schema_newer", f"the store has schema {reached}, this program knows {len(available)}", "update penumbra")
    of_store = [Migration("store", number, name, "applied" if number <= reached else "pending") for number, name, _ in available]
    return of_store + [Migration(step.part, step.number, step.name, step.state(home)) for step in STEPS]


def apply(home: Path) -> list[Migration]:
    """Apply what is pending, each part of the state in one transaction, and check the store afterwards.

    Raises
    ------
    Refusal
        As `listed`; "store_damaged" where the store does not keep its promises afterwards; "registry_busy".
    """
    listed(home)  # refuses before anything is changed
    with store.connect(home) as lake:
        faults = store.check(lake)
    if faults:
        raise Refusal("store_damaged", f"after the migrations the store has {len(faults)} faults, such as {faults[0]}", "restore the back-up, and report this")
    for step in STEPS:
        if step.state(home) == "pending":
            step.apply(home)
    return listed(home)


def _registry(home: Path) -> str:
    from penumbra.registry import database, schema

    path = database.path(home)
    if path is None:
        return "none"
    with database.quiet_mlflow():
        return "applied" if schema.current(path) else "pending"


def _migrate_registry(home: Path) -> None:
    from penumbra.registry import database, schema

    path = database.path(home)
    if path is not None:
        with database.writing(home):
            schema.migrate(path)


def _names(home: Path) -> str:
    return "pending" if _renamed(project_root(home) / "params.yaml") is not None else "applied"


def _rename(home: Path) -> None:
    file = project_root(home) / "params.yaml"
    text = _renamed(file)
    if text is not None:
        write_whole(file, text)


def _renamed(file: Path) -> str | None:
    """The text of a parameter file under today's names, comments and order as they are; None where it has them."""
    from penumbra.registry import older_names

    declared = read_yaml(file)
    if dict(declared) == older_names.with_today_names(declared):
        return None
    text = file.read_text(encoding="utf-8")
    for now, before in older_names.PARAMETERS.items():
        (group, name), older = now.split("."), before.split(".")[1]
        text = re.sub(rf"(?m)(^{group}:[^\n]*\n(?:(?:[ #][^\n]*)?\n)*?  ){older}:", rf"\g<1>{name}:", text, count=1)
    return text


STEPS = (
    Step("registry", 1, "the schema of MLflow's database", _registry, _migrate_registry),
    Step("project", 1, "today's names in params.yaml", _names, _rename),
)
