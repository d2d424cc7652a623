"""The worked queries of features/queries.sql: what people ask of the store, each as one statement. docs/sql.md shows the same."""

from dataclasses import dataclass
from pathlib import Path

from penumbra.base.params import project_root
from penumbra.base.project import part_of

TOPIC, COMMENT = "-- ## ", "-- "


@dataclass(frozen=True)
class Query:
    """One worked query.

    Parameters
    ----------
    topic
        The heading that it is under.
    question
        What it answers, in words.
    """

    topic: str
    question: str
    sql: str


def queries(file: Path | None = None) -> tuple[Query, ...]:
    """Every worked query, in the order of the file: comments with the question, then the statement and a semicolon."""
    every: list[Query] = []
    topic, question, statement = "", "", list[str]()
    for line in (file or part_of(project_root() / "features", "queries.sql")).read_text(encoding="utf-8").splitlines():
        if line.startswith(TOPIC):
            topic = line.removeprefix(TOPIC)
        elif line.startswith(COMMENT):
            question = f"{question} {line.removeprefix(COMMENT)}".strip()
        elif line:
            statement.append(line)
        if line.endswith(";"):
            every.append(Query(topic, question, "\n".join(statement).removesuffix(";")))
            question, statement = "", []
    return tuple(every)
