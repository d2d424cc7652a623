"""The relations that users query: features/views/*.sql over the stored tables, for now or as of a commit, created only where a statement needs them.

A file with $all makes two relations: one of its own name, under the definition that is current, and one whose name ends in _all, under every
definition, so that a plain query counts each patient once. roi_outcome.sql makes one relation for the GTV and one for each ring: gtv_outcome,
ring_3mm_outcome.
"""

import csv
import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import Template
from typing import TYPE_CHECKING

from penumbra.base.blocks import GTV, declared_margins, ring_name
from penumbra.base.params import project_root
from penumbra.base.project import part_of
from penumbra.store.narrowing import LONG
from penumbra.store.relations import RELATIONS
from penumbra.store.statements import literal, quoted

if TYPE_CHECKING:
    import duckdb

BLOCK = 64  # features in one list column: reading one feature reads its list, so 1/21 of a row
TABLES = tuple(RELATIONS)
# Views in the schema `stored`, next to the tables.
INTERNAL = frozenset(
    ("gone", "scans", "radiomics_shown", "deep_shown", "shown_versions", "radiomics_vectors", "deep_vectors", "radiomics_vectors_all", "deep_vectors_all")
)
# Of these, the ones that say which rows the relations show; small, and the same for every statement between two commits.
KEYS = ("gone", "radiomics_shown", "deep_shown", "shown_versions")
EVERY = "_all"  # at the end of a relation's name: every definition, not the current one alone
WORDS = {
    "": {
        "definition": "the current definition (see current_versions)",
        "models": "the newest registered version",
        "of_newest_model": "\nWHERE (model, model_version) = (SELECT arg_max((model, model_version), commit_id) FROM stored.signatures)",
    },
    EVERY: {"definition": "every definition; see version", "models": "every registered version", "of_newest_model": ""},
}
OWN_COLUMNS = "%declared_"  # in a view: what features/clinical.yaml declares
CATALOGUE = "$catalogue_rows"  # in a view: the rows of features/catalogue.csv
COMMITS = "commits"
STORED = (*TABLES, COMMITS)  # in the schema `stored`
_STORED = re.compile(r"\bstored\.(\w+)")
KINDS = ("radiomics", "deep")
WIDE = ("$radiomics_columns", "$deep_columns")  # in a view: a column for each feature
_COMMENTS = "\nCOMMENT ON "
_WORD = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_NO_RELATION = re.compile(rf"\bstored\.(?!(?:{'|'.join(sorted(INTERNAL, key=len, reverse=True))})\b)\w+|'(?:[^']|'')*'")  # stored tables and texts


def relation_names(home: Path | None = None) -> list[str]:
    """Every relation that people can ask; home: the state folder, whose project's features/ decides; None: PENUMBRA_HOME, or the project here."""
    return Views(project_root(home) / "features").names()


def bodies(features: Path) -> dict[str, str]:
    """Relation -> what its file in views/ of `features` says, without comments; $all and the like are in it, the names of ROIs are filled in."""
    by_relation: dict[str, str] = {}
    for file in part_of(features, "views").glob("*.sql"):
        lines = file.read_text(encoding="utf-8").splitlines()
        body = "\n".join(line for line in lines if not line.lstrip().startswith("--"))
        by_relation |= _of_rois(body, declared_margins(features)) if "$roi" in body else {file.stem: body}
    return by_relation


def _of_rois(body: str, margins_mm: Iterable[float]) -> dict[str, str]:
    """One relation for the GTV and one for each ring; a dot, as of a margin of 4.5 mm, cannot be in a name that is not quoted."""
    rois = {GTV: "the tumor"} | {ring_name(margin): f"the ring of {margin:g} mm around the tumor" for margin in margins_mm}
    names = {f"{roi.replace('.', '_')}_outcome": roi for roi in rois}
    return {name: Template(body).safe_substitute(relation=name, roi=roi, tissue=rois[roi]) for name, roi in names.items()}


def block_column(block: int) -> str:
    """The list column of the features at slots 64 * block and on."""
    return f"v{block:02d}"


@dataclass
class Views:
    """The views of one connection; views/ of `features` holds `<relation>.sql` for every relation.

    Relations are in the connection's own memory, never in the store: an older program and a newer one can read the same store side by side.
    """

    features: Path
    as_of: int | None = None
    prepared: set[str] = field(default_factory=set)  # stored tables that are in the schema `stored`
    _created: set[str] = field(default_factory=set)
    _slots: dict[str, int] = field(default_factory=dict)
    _by_slot: set[str] = field(default_factory=set)  # those of them whose columns are the features known then
    _bodies: dict[str, str] = field(default_factory=dict)
    _holding: bool = False

    def names(self) -> list[str]:
        """Every relation that people can ask."""
        return sorted(name for name in self._statements() if name not in INTERNAL)

    def _statements(self) -> dict[str, str]:
        """Relation -> the statements that make it, without comments of the file."""
        if not self._bodies:
            for name, body in bodies(self.features).items():
                for suffix, words in WORDS.items() if "$all" in body else (("", {}),):
                    self._bodies[name + suffix] = Template(body).safe_substitute(words, all=suffix)
        return self._bodies

    def prepare(self, connection: "duckdb.DuckDBPyConnection", tables: Collection[str] = STORED) -> None:
        """Put stored tables, up to the commit asked for, into the schema `stored`; fewer `tables` take less time."""
        with _at_once(connection):
            connection.execute("CREATE SCHEMA IF NOT EXISTS memory.stored")
            for table in tables:
                self._store(connection, table)
        self.prepared.update(tables)

    def _store(self, connection: "duckdb.DuckDBPyConnection", table: str) -> None:
        upto = "" if self.as_of is None else f" WHERE {'id' if table == COMMITS else 'commit_id'} <= {int(self.as_of)}"
        connection.execute(f"CREATE OR REPLACE VIEW memory.stored.{table} AS FROM lake.{table}{upto}")

    def require(self, connection: "duckdb.DuckDBPyConnection", statement: str | None, *, without: Collection[str] = (), comments: bool = True) -> None:
        """Create the views that `statement` names, and those that they name; None: every view.

        Parameters
        ----------
        without
            Views that are not needed, or made otherwise.
        comments
            Whether their comments are made as well, which takes as long as the views.
        """
        by_relation = self._statements()
        mentioned = (set(by_relation) if statement is None else self._mentioned(statement)) - set(without)
        if mentioned & self._by_slot:
            self._forget_grown(connection)
        created, prepared = set(self._created), set(self.prepared)
        if mentioned <= created and not self._unprepared(statement or ""):
            return
        try:
            with nullcontext() if self._holding else _at_once(connection):
                self._prepare_for(connection, statement or "")
                for name in sorted(mentioned):
                    self._create(connection, name, by_relation, comments=comments)
        except BaseException:
            self._created, self.prepared = created, prepared
            raise

    @contextmanager
    def held(self, connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
        """One transaction for several statements, or that of the caller; views that were made in it are forgotten with it where it fails."""
        if self._holding:
            yield
            return
        before = set(self._created), dict(self._slots), set(self._by_slot), set(self.prepared)
        self._holding = True
        try:
            with _at_once(connection):
                yield
        except BaseException:
            self._created, self._slots, self._by_slot, self.prepared = before
            raise
        finally:
            self._holding = False

    def narrowable(self, statement: str, columns: Collection[str] | None, features: Collection[str] | None) -> dict[str, Collection[str]]:
        """The views that a statement names and that `narrow` can make with less in them: name -> what is needed of it.

        Parameters
        ----------
        columns
            Of the wide views, in lower case; None: they are made whole.
        features
            Of the long views; None: they are made whole.
        """
        narrowed: dict[str, Collection[str]] = {}
        if columns is not None or features is not None:
            for name in sorted(self._mentioned(statement)):
                self._narrowed(name, columns, features, narrowed)
        return narrowed

    def require_others(self, connection: "duckdb.DuckDBPyConnection", statement: str, narrowed: Collection[str]) -> None:
        """Make what a statement and its narrow views name besides these."""
        sources = {word for name in narrowed for word in self._sources(name)}
        stored = " stored.feature_slots" if narrowed else ""
        self.require(connection, " ".join((statement, *sorted(sources))) + stored, without=narrowed, comments=False)

    def narrow(self, connection: "duckdb.DuckDBPyConnection", narrowed: Mapping[str, Collection[str]]) -> None:
        """Make views of `narrowable` as temporary ones of this connection, where they take the place of those of the same name."""
        by_relation, slots = self._statements(), dict[str, dict[str, dict[str, int]]]()
        for name, names in narrowed.items():
            body = by_relation[name].split(_COMMENTS)[0].replace(f"CREATE VIEW {name}", f"CREATE OR REPLACE TEMPORARY VIEW {name}", 1)
            if "$" in body:
                key = " ".join(sorted(names))
                if key not in slots:
                    slots[key] = _slots_of(connection, names)
                body = Template(body).substitute({text: value for kind in KINDS for text, value in _few_columns(kind, slots[key][kind]).items()})
            connection.execute(body)

    def _narrowed(
        self,
        name: str,
        columns: Collection[str] | None,
        features: Collection[str] | None,
        narrowed: dict[str, Collection[str]],
    ) -> bool:
        """Whether a view can be made narrow; then it is in `narrowed` with what is needed of it, after those that it names."""
        if name in narrowed:
            return True
        if name in LONG:
            names = features
        elif any(wide in self._statements()[name] for wide in WIDE):
            names = columns
        else:
            named = [self._narrowed(word, columns, features, narrowed) for word in self._sources(name) if word not in INTERNAL]
            names = () if any(named) else None
        if names is not None:
            narrowed[name] = names
        return names is not None

    def _unprepared(self, text: str) -> set[str]:
        """The stored tables that a text names and that are not in the schema `stored` yet."""
        return (set(STORED) - self.prepared) & set(_STORED.findall(text))

    def _prepare_for(self, connection: "duckdb.DuckDBPyConnection", text: str) -> None:
        for table in sorted(self._unprepared(text)):
            self._store(connection, table)
            self.prepared.add(table)

    def _mentioned(self, statement: str) -> set[str]:
        return {word.lower() for word in _WORD.findall(statement)} & set(self._statements())

    def _sources(self, name: str) -> list[str]:
        """The relations that a view names, and those of the schema `stored` that are views."""
        by_relation = self._statements()
        return sorted(set(_WORD.findall(_NO_RELATION.sub(" ", by_relation[name]))) & set(by_relation) - {name})

    def _create(self, connection: "duckdb.DuckDBPyConnection", name: str, by_relation: dict[str, str], *, comments: bool) -> None:
        if name in self._created:
            return
        body = by_relation[name]
        if not comments:
            body = body.split(_COMMENTS)[0]
        self._prepare_for(connection, body)
        sources = self._sources(name)
        for word in sources:
            self._create(connection, word, by_relation, comments=comments)
        if CATALOGUE in body:
            body = body.replace(CATALOGUE, catalogue_rows(part_of(self.features, "catalogue.csv")))
        if of_features := "$" in body:
            self._prepare_for(connection, "stored.feature_slots")
        if OWN_COLUMNS in body:
            body = with_own_columns(body, self.features)
        if of_features:
            body = Template(body).substitute(self._columns(connection, "radiomics"), **self._columns(connection, "deep"))
        if of_features or set(sources) & self._by_slot:
            self._by_slot.add(name)
        connection.execute(body)
        self._created.add(name)

    def _columns(self, connection: "duckdb.DuckDBPyConnection", kind: str) -> dict[str, str]:
        """What the views of features are made of: one expression per feature, and the names and values as whole lists."""
        features = feature_slots(connection, kind)
        self._slots[kind] = len(features)
        expressions = [f"{block_column(slot // BLOCK)}[{slot % BLOCK + 1}] AS {quoted(feature)}" for feature, slot in features.items()]
        blocks = ", ".join(block_column(block) for block in range(max(features.values(), default=-1) // BLOCK + 1))
        return {
            f"{kind}_columns": "".join(f", {expression}" for expression in expressions),
            f"{kind}_names": "[" + ", ".join(literal(feature) for feature in features) + "]::VARCHAR[]",
            f"{kind}_values": f"flatten([{blocks}])" if blocks else "[]::DOUBLE[]",
        }

    def _forget_grown(self, connection: "duckdb.DuckDBPyConnection") -> None:
        """Another process may have added features since the views were made."""
        sizes = dict(connection.execute("SELECT kind, count(*) FROM memory.stored.feature_slots GROUP BY kind").fetchall())
        if any(sizes.get(kind, 0) != size for kind, size in self._slots.items()):
            for name in self._by_slot:
                connection.execute(f"DROP VIEW memory.main.{name}")
            self._created -= self._by_slot
            self._slots.clear()
            self._by_slot.clear()


def _slots_of(connection: "duckdb.DuckDBPyConnection", names: Collection[str]) -> dict[str, dict[str, int]]:
    """Kind -> feature -> slot, of these features in any case."""
    slots: dict[str, dict[str, int]] = {kind: {} for kind in KINDS}
    if names:
        listed = ", ".join(literal(name.lower()) for name in names)
        query = f"SELECT kind, feature, slot FROM memory.stored.feature_slots WHERE lower(feature) IN ({listed}) ORDER BY slot"  # noqa: S608 as literals
        for kind, feature, slot in connection.execute(query).fetchall():
            slots[str(kind)][str(feature)] = int(slot)
    return slots


def _few_columns(kind: str, features: dict[str, int]) -> dict[str, str]:
    """As `Views._columns`, for some features."""
    values = [f"{block_column(slot // BLOCK)}[{slot % BLOCK + 1}]" for slot in features.values()]
    return {
        f"{kind}_columns": "".join(f", {value} AS {quoted(feature)}" for value, feature in zip(values, features, strict=True)),
        f"{kind}_names": "[" + ", ".join(map(literal, features)) + "]::VARCHAR[]",
        f"{kind}_values": f"[{', '.join(values)}]::DOUBLE[]",
    }


@contextmanager
def _at_once(connection: "duckdb.DuckDBPyConnection") -> Iterator[None]:
    """In one transaction: for each statement outside of one DuckLake reads its whole catalog again, half the time of opening a store."""
    import duckdb

    connection.execute("BEGIN TRANSACTION")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        with suppress(duckdb.Error):  # a failed COMMIT has ended the transaction already
            connection.execute("ROLLBACK")
        raise


def catalogue_rows(file: Path) -> str:
    """The rows of a CSV file as SQL literals: the connection of a question can read no file."""
    with file.open(newline="", encoding="utf-8") as stream:
        rows = list(csv.reader(stream))[1:]
    return ", ".join("(" + ", ".join(literal(value) for value in row) + ")" for row in rows)


def with_own_columns(body: str, features: Path) -> str:
    """The body of a view with the columns that clinical.yaml of the folder `features` declares: as expressions, as comments and as rows."""
    from penumbra.base.clinical_columns import read_columns

    columns = read_columns(features).values()
    expressions, comments, rows = [""], list[str](), ["(" + ", ".join(["NULL"] * 9) + ")"]
    for column in columns:
        stored = "level" if column.levels else "number"
        kind = {"boolean": "::BOOLEAN", "integer": "::BIGINT"}.get(column.type, "")
        expressions.append(f"(max(own.{stored}) FILTER (own.name = {literal(column.name)})){kind} AS {quoted(column.name)}")
        comments.append(f"COMMENT ON COLUMN clinical.{quoted(column.name)} IS {literal(column.comment)};")
        lowest, highest = ("NULL", "NULL") if column.limits is None else map(repr, column.limits)
        texts = [literal(text) if text else "NULL" for text in (column.name, column.type, column.unit)]
        levels = literal(", ".join(column.levels)) if column.levels else "NULL"
        rows.append(f"({', '.join(texts)}, {lowest}, {highest}, {levels}, {literal(str(column.known_at))}, {column.in_time}, {literal(column.meaning)})")
    filled = {"columns": ", ".join(expressions), "comments": "\n".join(comments), "rows": ", ".join(rows)}
    for name, text in filled.items():
        body = body.replace(f"{OWN_COLUMNS}{name}%", text)
    return body


def feature_slots(connection: "duckdb.DuckDBPyConnection", kind: str) -> dict[str, int]:
    """Feature name -> its slot, in the order of the slots (0, 1, 2, ... without gaps)."""
    rows = connection.execute("SELECT kind, feature, slot FROM memory.stored.feature_slots ORDER BY slot").fetchall()
    return {str(feature): int(slot) for of, feature, slot in rows if of == kind}
