"""One relation, or some columns and rows of it, as an Arrow table: for programs that want a frame and no SQL."""

from collections.abc import Iterator, Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.base.refusal import Refusal, choose
from penumbra.store.session import Store, connect
from penumbra.store.statements import quoted, statement

if TYPE_CHECKING:
    import pyarrow as pa

PERSON = ("patient", "center", "roi")  # come with whatever columns are asked for: a row without them is nobody's
OUTCOME = ("time", "event")
ORDER = ("id", "model", "version", "model_version", "center", "patient", "roi", "split", "metric", "signature", "feature", "days", "at")


def read_relation(
    home: Path,
    relation: str,
    *,
    roi: str | None = None,
    center: str | None = None,
    outcome: bool = False,
    columns: Sequence[str] | None = None,
    as_of: int | None = None,
) -> "pa.Table":
    """Read a relation that users can ask.

    Parameters
    ----------
    home
        The folder of all state (PENUMBRA_HOME).
    relation
        Its name.
    roi, center
        Only the rows of one.
    outcome
        Add the patient's time (days) and event, null where the store has no record of the patient.
    columns
        Names or patterns such as original_shape_*; patient, center and roi always come with them. None: all.
    as_of
        A commit's number.

    Returns
    -------
    pyarrow.Table
        Its rows, sorted by what names them.

    Raises
    ------
    Refusal
        "relation": `no relation 'radiomic'. Did you mean radiomics? ...`; "column" for a pattern that fits no column; "filter" for a roi or center that is not
        there, or a relation that has none.
    """
    with connect(home, read_only=True, as_of=as_of) as store:
        if relation not in (names := store.views.names()):
            raise Refusal("relation", f"no relation {relation[:80]!r}", choose(relation[:80], names, more='penumbra.sql("SHOW TABLES")'))
        present: list[str] = store.sql(statement("relation_columns", relation=relation)).column(0).to_pylist()
        filters = {name: value for name, value in (("roi", roi), ("center", center)) if value is not None}
        for name in filters:
            if name not in present:
                raise Refusal("filter", f"the relation {relation} has no column {name}", f"leave out {name}=")
        added = _outcome_columns(relation, present) if outcome else ()
        always = (*PERSON, *(OUTCOME if outcome else ()))
        chosen = present if columns is None else list(_chosen(relation, present, (*present, *added), columns, always))
        owners = [name for name in chosen if added and name in PERSON]
        table = store.sql(
            statement(
                "relation_rows",
                columns=", ".join(map(quoted, dict.fromkeys((*owners, *added, *chosen)))),
                relation=relation,
                outcomes=statement("relation_outcomes") if added else "",
                conditions=" WHERE " + " AND ".join(f"{quoted(name)} = ?" for name in filters) if filters else "",
                sorting=" ORDER BY " + ", ".join(quoted(name) for name in ORDER if name in present) if set(ORDER) & set(present) else "",
            ),
            list(filters.values()),
        )
        if not table.num_rows:
            for name, value in filters.items():
                _require_value(store, relation, name, value)
    return table


def _outcome_columns(relation: str, present: Sequence[str]) -> tuple[str, ...]:
    """What outcome adds; nothing to a relation that has it."""
    if set(OUTCOME) <= set(present):
        return ()
    if not {"patient", "center"} <= set(present) or set(OUTCOME) & set(present):
        raise Refusal("filter", f"a row of {relation} is not of one patient and has no outcome", "leave out outcome=True")
    return OUTCOME


def _chosen(relation: str, present: Sequence[str], candidates: Sequence[str], patterns: Sequence[str], always: Sequence[str]) -> Iterator[str]:
    """The columns of a relation that a pattern fits, in its order, after those that come with every choice."""
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in candidates):
            advice = choose(pattern[:80].strip("*"), candidates, more=f'penumbra.sql("DESCRIBE {relation}")')
            raise Refusal("column", f"no column of {relation} fits {pattern[:80]!r}", advice)
    yield from (name for name in always if name in present)
    yield from (name for name in present if name not in always and any(fnmatchcase(name, pattern) for pattern in patterns))


def _require_value(store: Store, relation: str, column: str, value: str) -> None:
    """Refuse an roi or center that neither the relation nor the store has; one without rows here is no mistake."""
    source = "centers" if column == "center" else relation
    candidates = store.sql(statement("relation_values", relation=source, column=quoted(column))).column(0).to_pylist()
    if candidates and value not in candidates:
        raise Refusal("filter", f"no {column} {value[:80]!r} in {relation}", choose(value[:80], candidates, what="there"))
