"""`penumbra sql` without a statement: an interactive shell with completion and history."""

import contextlib
import os
import signal
import threading
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TextIO

import click
from prompt_toolkit import PromptSession
from prompt_toolkit.completion import CompleteEvent, Completer, Completion
from prompt_toolkit.history import FileHistory

from penumbra.base import tables
from penumbra.base.child_process import interrupts_are_mine
from penumbra.base.refusal import Refusal
from penumbra.store.answer import TIMEOUT_S, for_format, query
from penumbra.store.answering import MEMORY_MB, bounded
from penumbra.store.moments import commit_of
from penumbra.store.statements import statement as named

if TYPE_CHECKING:
    from prompt_toolkit.document import Document
    from prompt_toolkit.input import Input
    from prompt_toolkit.output import Output

HISTORY = "sql_history"  # in the home folder, readable by its owner alone
INTERRUPTED = "Query interrupted"  # DuckDB's message after a KeyboardInterrupt
CANCELED = "canceled"
REPEAT_S = 0.5  # between two interruptions of one statement
FORMATS = ("table", "csv", "json", "markdown")
HELP = """A statement ends with a semicolon, or with an empty line. Tab completes.
  \\as-of nsclc-os/3   the store as it was then; \\as-of now   as it is
  \\format csv         table, csv, json or markdown
  \\q                  leave"""


@dataclass
class _State:
    form: str = "table"
    as_of: int | None = None


class Completions(Completer):
    """Keywords, relations, and the columns of the relations that the statement names."""

    def __init__(self, columns: dict[str, list[str]], keywords: list[str]) -> None:
        self.columns, self.keywords = columns, keywords

    def get_completions(self, document: "Document", complete_event: CompleteEvent) -> Iterable[Completion]:
        word = document.get_word_before_cursor(WORD=False).lstrip('("')
        mentioned = {part.strip('(),;"').lower() for part in document.text.split()}
        offered = [column for relation in self.columns if relation in mentioned for column in self.columns[relation]]
        for text in dict.fromkeys((*offered, *self.columns, *self.keywords)):
            if word and text.lower().startswith(word.lower()):
                quoted = text if text.isidentifier() else f'"{text}"'
                yield Completion(quoted, start_position=-len(word), display=text)


def relation_columns(home: Path) -> dict[str, list[str]]:
    """Relation -> its columns, for completion."""
    table = query(home, "SELECT table_name, list(column_name ORDER BY column_index) AS columns FROM duckdb_columns() GROUP BY table_name ORDER BY 1")
    return {row["table_name"]: row["columns"] for row in table.to_pylist()}


def keywords(home: Path) -> list[str]:
    """The keywords of SQL, for completion."""
    return [word.upper() for word in query(home, named("keywords")).column(0).to_pylist()]


def converse(home: Path, stream: TextIO, *, source: "Input | None" = None, screen: "Output | None" = None) -> None:
    """Answer statements until the user leaves. source, screen: the terminal, by default this one.

    Raises
    ------
    Refusal
        "store_exists" where there is nothing to ask.
    """
    interrupts_are_mine()  # Ctrl-C cancels the statement
    columns = relation_columns(home)
    completions = Completions(columns, keywords(home))
    history = home / HISTORY
    history.touch(mode=0o600)
    session: PromptSession[str] = PromptSession(history=FileHistory(str(history)), completer=completions, input=source, output=screen)
    state, lines = _State(), list[str]()
    click.echo(f"{len(columns)} relations; SHOW TABLES; lists them, DESCRIBE patients; explains one, \\? helps", file=stream)
    while True:
        try:
            line = session.prompt("   ...> " if lines else "penumbra> ")
        except KeyboardInterrupt:
            lines = []
            continue
        except EOFError:
            return
        if not lines and line.strip().startswith("\\"):
            if line.strip() in ("\\q", "\\quit"):
                return
            _command(home, line.strip(), state, stream)
            continue
        lines.append(line)
        if any(lines) and (not line.strip() or line.rstrip().endswith(";")):
            _answer(home, "\n".join(lines).strip(), state, stream)
            lines = []
        elif not line.strip():
            lines = []


def _command(home: Path, line: str, state: _State, stream: TextIO) -> None:
    name, _, value = line.partition(" ")
    value = value.strip()
    if name == "\\format" and value in FORMATS:
        state.form = value
    elif name == "\\as-of" and value:
        try:
            state.as_of = None if value == "now" else commit_of(home, value)
        except Refusal as refusal:
            click.echo(str(refusal), file=stream)
    else:
        click.echo(HELP, file=stream)


@contextlib.contextmanager
def _insistent() -> Iterator[None]:
    """Inside, Ctrl-C is repeated until the statement has ended: DuckDB drops the interruption that comes while it asks Python for a table's name."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    finished = threading.Event()

    def repeat() -> None:
        if not finished.wait(REPEAT_S):
            os.kill(os.getpid(), signal.SIGINT)

    def interrupt(signum: int, frame: object) -> None:
        threading.Thread(target=repeat, daemon=True).start()
        raise KeyboardInterrupt

    previous = signal.signal(signal.SIGINT, interrupt)
    try:
        yield
    finally:
        finished.set()
        signal.signal(signal.SIGINT, previous)


def _answer(home: Path, statement: str, state: _State, stream: TextIO) -> None:
    try:
        with _insistent(), bounded(TIMEOUT_S, MEMORY_MB):
            answer = for_format(home, statement, state.form, as_of=state.as_of, timeout_s=TIMEOUT_S, memory=f"{MEMORY_MB}MB")
        tables.write(answer, state.form, stream, whole="\\format csv")
    except Refusal as refusal:
        click.echo(str(refusal), file=stream)
    except KeyboardInterrupt:
        click.echo(CANCELED, file=stream)
    except RuntimeError as error:
        if str(error) != INTERRUPTED:
            raise
        click.echo(CANCELED, file=stream)
