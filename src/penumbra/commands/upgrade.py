"""`penumbra upgrade`: the numbered migrations that the state folder lacks, and, if asked to, their application."""

import contextlib
from dataclasses import dataclass
from pathlib import Path

from penumbra import store
from penumbra.base.params import project_root
from penumbra.base.project import part_of
from penumbra.base.refusal import Refusal
from penumbra.store.lake import Lake, migrated_to, migrations, open_engine


@dataclass(frozen=True)
class Migration:
    """One numbered step. state: applied or pending."""

    number: int
    name: str
    state: str


def listed(home: Path) -> list[Migration]:
    """Every migration, in order; nothing is written.

    Raises
    ------
    Refusal
        "store_exists"; "schema_newer": a newer program wrote the store.
    """
    store.require(home)
    available, lake = migrations(part_of(project_root(home) / "features", "schema")), Lake(home)
    with contextlib.closing(open_engine()) as engine:
        lake.attach(engine, read_only=True)
        reached = migrated_to(engine)
    if reached > len(available):
        raise Refusal("schema_newer", f"the store has schema {reached}, this program knows {len(available)}", "update penumbra")
    return [Migration(number, name, "applied" if number <= reached else "pending") for number, name, _ in available]


def apply(home: Path) -> list[Migration]:
    """Apply what is pending, in one transaction, and check the store afterwards.

    Raises
    ------
    Refusal
        As `listed`; "store_damaged" where the store does not keep its promises afterwards.
    """
    listed(home)
    with store.connect(home) as lake:
        faults = store.check(lake)
    if faults:
        raise Refusal("store_damaged", f"after the migrations the store has {len(faults)} faults, such as {faults[0]}", "restore the back-up, and report this")
    return listed(home)
