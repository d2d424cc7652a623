"""Every statement and command that the documentation, a help text, a hint or an advice shows, on the home of a finished run.

They are collected from the text, so that a new one is run as well. Of the commands, those that only read are run, and what they print as next commands is run
too; the others are parsed: the command and its options are there.
"""

import ast
import csv
import io
import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner
from rich.cells import cell_len

from penumbra.base import tables
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.store.answer import first_rows
from penumbra.store.meanings import empty_answer_notes

from .conftest import Run

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]

ROOT = Path(__file__).resolve().parents[2]
# docs/tried.md tells what did not work.
PAGES = tuple(page for page in (*sorted(ROOT.glob("*.md")), *sorted((ROOT / "docs").glob("*.md"))) if page.name != "tried.md")
CODE = (*sorted((ROOT / "src").rglob("*.py")), *sorted((ROOT / "flows").glob("*.py")))
DECLARED = (*sorted((ROOT / "features").rglob("*.sql")), *sorted((ROOT / "features").glob("*.yaml")), ROOT / "params.yaml", ROOT / "Makefile")
# A finished run of the simulated cohort has no patient, version or step of these kinds; what a row would be is printed then.
WITHOUT_ROWS = {
    "FROM departures",
    "stage = 'clinical'",
    "stage IN ('clinical', 'remark')",
    "HAVING missing > 0",
    "FROM withdrawals",
    "FROM feature_stability",  # on request
    "FROM live_monitoring",  # once patients were scored before their outcome
    "FROM clinical_columns",  # none is declared as shipped
    "FROM retrainings",
    "split = 'live'",
}
# Shown with their error on the next line, as an example of one.
REFUSED = {statement for path in PAGES for statement in re.findall(r'penumbra sql "([^"\n]+)"[^\n]*\n(?:\S[^\n]*\n)?Error: ', path.read_text(encoding="utf-8"))}
READS = {"sql", "card", "verify", "drift", "compare", "models", "predict", "rois", "baseline", "doctor", "status", "rules"}
# Words after "penumbra" in a sentence of the code, which are no command.
ENGLISH = {"is", "did", "does", "has", "last", "process", "registered", "that", "to", "command", "moved", "from", "goes", "itself", "network", "in"}
ENGLISH |= {"pseudonym", "left", "remembers", "knows", "needs", "changed", "checkout", "store"}
NAMED = {"NAME": "ct_found", "VERSION": "champion", "CENTER": "east", "MODEL/VERSION": "nsclc-os/1"}


def statements() -> Iterator[str]:
    for path in (*PAGES, *CODE, *DECLARED):
        text = path.read_text(encoding="utf-8")
        for double, single in re.findall(r"""penumbra sql (?:\\?"((?:[^"\\]|\\.)+?)\\?"|'([^'\n]+)')""", text):
            yield double.replace("\\", "") or single
        if path.suffix == ".md":
            yield from re.findall(r"```sql\n(.*?)```", text, re.DOTALL)
            yield from re.findall(r"`((?:SELECT|FROM|DESCRIBE|SHOW|SUMMARIZE|WITH|PIVOT|VALUES) [^`\n]+)`", text)
        yield from re.findall(r'"sql": "((?:SELECT|FROM)[^"{]+)"', text)


STATEMENTS = sorted({re.sub(r"\s+", " ", statement).strip() for statement in statements() if "..." not in statement and "{" not in statement})


def test_there_are_many() -> None:
    assert len(STATEMENTS) >= 45
    assert any("alias_changes" in statement for statement in STATEMENTS)


@pytest.mark.parametrize("statement", STATEMENTS)
def test_a_documented_statement_answers(run: Run, statement: str) -> None:
    """One asked for a metric that no run writes, one for `at` without quotes."""
    if statement in REFUSED:
        with pytest.raises(Refusal, match="Did you mean"):
            first_rows(run.home, statement, 60)
        return
    answer = first_rows(run.home, statement, 60)
    if not answer.rows:
        assert any(sign in statement for sign in WITHOUT_ROWS)
        assert empty_answer_notes(statement)


def texts() -> Iterator[tuple[str, str]]:
    """(place, text) of what a person may type: code in pages and declarations, and the strings of the program."""
    for path in (*PAGES, *DECLARED):
        for part in re.findall(r"```\w*\n(.*?)```|`([^`\n]+)`|^    ([^\n]*)$", path.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE):
            yield path.name, "".join(part)
    for path in CODE:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.JoinedStr):
                yield path.name, "".join(str(part.value) if isinstance(part, ast.Constant) else "X" for part in node.values)
            elif isinstance(node, ast.Constant) and isinstance(node.value, str):
                yield path.name, node.value


def mentioned() -> Iterator[tuple[str, str, str]]:
    """(place, command, what follows) wherever a text says `penumbra COMMAND ...`."""
    for place, text in texts():
        for name, rest in re.findall(r"(?<![\w./-])penumbra ([a-z][a-z-]*)((?:(?! penumbra )[^`\n;])*)", text):
            yield place, name, rest


def test_every_command_that_a_text_names_is_one_and_has_its_options() -> None:
    found = set(mentioned())
    assert len({name for _, name, _ in found if name in main.commands}) >= 20
    for place, name, rest in sorted(found):
        if name in ENGLISH:
            continue
        assert name in main.commands, (place, name)
        options = {option for parameter in main.commands[name].params if isinstance(parameter, click.Option) for option in parameter.opts} | {"--help"}
        own = re.split(r"[.,)]\s|[a-z]+ --|\|", rest)[0] if place.endswith(".md") else rest
        for option in re.findall(r"(?<!\S)--[a-z][a-z-]*", own):
            assert option in options, (place, name, option)


def examples() -> list[str]:
    """The example of every command that only reads, without `penumbra`."""
    found = []
    for name, command in main.commands.items():
        if name in READS:
            assert command.epilog is not None
            assert command.epilog.startswith("Example:"), name
            found.append(command.epilog.removeprefix("Example:").strip().removeprefix("penumbra").strip())
    return found


def answered(run: Run, line: str, monkeypatch: pytest.MonkeyPatch) -> tuple[str, list[str]]:
    """What a command prints, and the commands it names as next."""
    monkeypatch.setenv("PENUMBRA_HOME", str(run.home))
    monkeypatch.setenv("COLUMNS", "100")
    words = [NAMED.get(word, word).replace("data/simulated", str(run.cohort)) for word in shlex.split(line)]
    done = CliRunner().invoke(main, words)
    assert done.exit_code in ((0, 1) if line == "doctor" else (0,)), (line, done.output, done.exception)  # 1: it found something
    assert done.stdout.strip()
    _, _, after = done.stderr.partition("\nNext:\n")
    return done.stdout, [each.strip().removeprefix("penumbra").strip() for each in after.splitlines() if each.strip().startswith("penumbra")]


@pytest.mark.parametrize("line", examples())
def test_an_example_answers_and_so_does_what_it_says_comes_next(run: Run, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`penumbra models` said to compare the champion with version 1, which was the champion."""
    _, after = answered(run, line, monkeypatch)
    for each in after:
        if (shlex.split(each) or ["status"])[0] in READS:
            assert each != line
            answered(run, each, monkeypatch)


WIDE = (
    "SELECT * FROM radiomics LIMIT 2",
    "SELECT * FROM radiomics",
    "SELECT * FROM feature_statistics LIMIT 5",
    "FROM patients",
    "FROM predictions",
    "FROM rejections",
    "FROM model_versions",
    "FROM feature_versions",
    "FROM commits",
    "FROM images LIMIT 20",
    "DESCRIBE predictions",
    "SHOW TABLES",
)


@pytest.mark.parametrize("statement", WIDE)
def test_an_answer_fits_the_terminal(run: Run, statement: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """`SELECT * FROM radiomics LIMIT 2` printed one rule; `feature_statistics` was broken at 120 columns."""
    answer = first_rows(run.home, statement, tables.MAX_ROWS)
    for columns in (80, 100, 160):
        monkeypatch.setenv("COLUMNS", str(columns))
        stream = io.StringIO()
        tables.write(answer, "table", stream)
        lines = stream.getvalue().splitlines()
        assert len(lines) >= 3
        assert max(map(cell_len, lines)) <= columns
        if len(answer.rows) > 1:
            assert {word for word in lines[0].split() if not word.startswith("[")} <= {*answer.columns, "row", *"12345"}
        for number in re.findall(r"(?<![\w.])\d+\.\d+(?![\w.])", stream.getvalue()):
            assert len(number.replace(".", "").lstrip("0")) <= 4, number


COMMANDS = ("sql", "compare", "models", "drift", "rois", "baseline", "ingest", "monitor", "predict", "doctor", "run", "retrain", "forget")


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_that_prints_a_table_has_every_format(name: str) -> None:
    [option] = [parameter for parameter in main.commands[name].params if parameter.name == "form"]
    assert isinstance(option.type, click.Choice)
    assert list(option.type.choices) == ["table", "csv", "json", "markdown", "parquet", "arrow"]


@pytest.mark.parametrize("line", ["models", "compare", "rois data/simulated/east", "baseline"])
def test_the_formats_of_a_command_hold_the_same_rows(run: Run, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = json.loads(answered(run, f"{line} --format json", monkeypatch)[0])
    table = list(csv.DictReader(io.StringIO(answered(run, f"{line} --format csv", monkeypatch)[0])))
    assert len(table) == len(rows) > 0
    assert list(table[0]) == list(rows[0])
    document = answered(run, f"{line} --format markdown", monkeypatch)[0].splitlines()
    assert len(document) == 2 + len(rows)
