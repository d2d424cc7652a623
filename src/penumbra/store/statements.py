"""The store's own SQL: named .sql files next to this module, with $names for identifiers that the store itself declares."""

from functools import cache
from pathlib import Path
from string import Template


@cache
def _template(name: str) -> Template:
    return Template((Path(__file__).parent / "sql" / f"{name}.sql").read_text(encoding="utf-8"))


def statement(name: str, **identifiers: str) -> str:
    """One statement; values never come this way, they are bound as parameters or registered as Arrow tables."""
    return _template(name).substitute(identifiers)


def quoted(identifier: str) -> str:
    """An identifier as SQL quotes it."""
    return '"' + identifier.replace('"', '""') + '"'


def literal(text: str) -> str:
    """A text constant as SQL quotes it, where no parameter can be bound (ATTACH, SET, LOAD)."""
    return "'" + text.replace("'", "''") + "'"
