"""The relations and columns of a store as people read them: names, types and what each one means."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

from penumbra.base.refusal import Refusal, choose
from penumbra.store.session import Store
from penumbra.store.statements import statement as named
from penumbra.store.views import EVERY

NUMBERS = frozenset(("DOUBLE", "FLOAT", "BIGINT", "INTEGER", "SMALLINT", "TINYINT", "HUGEINT", "UBIGINT"))
WHOLE = NUMBERS - {"DOUBLE", "FLOAT"}
FEW = 12  # columns that are shown unless others are chosen
FEATURES_SHOWN = 3  # of a relation with a column for each feature
LAST = frozenset(("details", "certificate", "params", "sha256", "clinical_version", "commit_id", "digest"))  # long texts and keys: only when asked for
FIRST = ("patient", "center")


@dataclass(frozen=True)
class Column:
    """One column of a relation.

    Parameters
    ----------
    kind
        DuckDB's name of its type.
    comment
        What it means; "" where nobody wrote it.
    """

    name: str
    kind: str
    comment: str

    @property
    def family(self) -> str:
        """ "number", "text", "truth", "moment" or "other"."""
        if self.kind in NUMBERS:
            return "number"
        return {"VARCHAR": "text", "BOOLEAN": "truth", "TIMESTAMP": "moment"}.get(self.kind, "other")


@dataclass(frozen=True)
class Relation:
    """One relation that people can ask.

    Parameters
    ----------
    comment
        What one row is.
    features
        Those of its columns that are features, one each.
    """

    name: str
    comment: str
    columns: tuple[Column, ...]
    features: frozenset[str] = frozenset()

    @cached_property
    def by_name(self) -> dict[str, Column]:
        return {column.name: column for column in self.columns}

    @cached_property
    def usual(self) -> tuple[str, ...]:
        """The columns that are shown unless others are chosen."""
        names = [*(name for name in FIRST if name in self.by_name), *(name for name in self.by_name if name not in FIRST)]
        if len(names) <= FEW:
            return tuple(names)
        plain = [name for name in names if name not in self.features and name not in LAST]
        features = [name for name in names if name in self.features][: FEATURES_SHOWN if plain else FEW]
        return (*plain[: FEW - len(features)], *features)

    def column(self, name: str) -> Column:
        """The column of that name.

        Raises
        ------
        Refusal
            "column", with what was most likely meant.
        """
        if name not in self.by_name:
            raise Refusal("column", f"{self.name} has no column {name[:80]!r}", choose(name[:80], self.by_name, what="its columns"))
        return self.by_name[name]


def relations(store: Store) -> dict[str, Relation]:
    """Every relation, in the order of names; all of them are made for it, which takes a second."""
    store.require(None)
    return _described(store, store.views.names())


def relation(store: Store, name: str) -> Relation:
    """One relation.

    Raises
    ------
    Refusal
        "relation" where there is none of that name.
    """
    names = store.views.names()
    if name not in names:
        raise Refusal("relation", f"no relation {name[:80]!r}", choose(name[:80], names, what="there are"))
    store.require(name)
    return _described(store, [name])[name]


def _described(store: Store, names: Sequence[str]) -> dict[str, Relation]:
    comments = dict(store.connection.execute(named("commented_views")).fetchall())
    columns: dict[str, list[Column]] = {name: [] for name in names}
    for name, column, kind, comment in store.connection.execute(named("commented_columns"), [list(names)]).fetchall():
        columns[name].append(Column(column, kind, comment))
    store.require("catalogue")
    catalogued = dict(store.connection.execute(named("catalogued")).fetchall())
    return {name: _with_features(name, comments.get(name) or "", columns[name], catalogued) for name in names}


def _with_features(name: str, comment: str, columns: Sequence[Column], catalogued: Mapping[str, str]) -> Relation:
    """The relation, with what the catalogue says of its columns."""
    features = frozenset(each.name for each in columns if each.kind == "DOUBLE" and (each.name in catalogued or each.name.startswith("deep_")))
    described = (Column(each.name, each.kind, each.comment or catalogued.get(each.name, "")) for each in columns)
    return Relation(name, comment, tuple(described), features)


def every_definition(name: str) -> bool:
    """Whether a relation shows every definition of features, not the current one alone."""
    return name.endswith(EVERY)
