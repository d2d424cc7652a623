"""The command line as a person meets it: help with an example, errors as one sentence, results on stdout."""

import re
import resource
import subprocess
import sys
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from penumbra.cli import main, sections

CONTRACT = ["run", "simulate", "ingest", "populate", "train", "fuse", "evaluate", "register", "report", "sql", "compare", "predict", "doctor"]


@pytest.mark.parametrize("name", sorted({*CONTRACT, *main.commands}))
def test_every_command_has_help_with_an_example(name: str) -> None:
    shown = CliRunner().invoke(main, [name, "--help"])
    assert shown.exit_code == 0
    assert f"Example:  penumbra {name}" in " ".join(shown.output.split("\n"))


@pytest.mark.parametrize("columns", [80, 120])
def test_help_fits_and_its_sentences_are_whole(columns: int) -> None:
    """The list of 28 commands was flat, and its sentences were cut: `The whole path: ingest, populate, train, fuse, evaluate,...`."""
    for words in ([], *([name] for name in main.commands)):
        shown = CliRunner().invoke(main, [*words, "--help"], terminal_width=columns).output
        assert "..." not in shown.replace("[ARGS]...", "").replace("]...", "")
        assert max(map(len, shown.partition("Example:")[0].splitlines())) <= columns
        assert "--help" in shown


def test_every_command_stands_in_a_section_with_what_it_reads_and_writes() -> None:
    listed = [name for commands in sections.SECTIONS.values() for name in commands]
    assert sorted(listed) == sorted(main.commands), "cli/sections.py"
    shown = CliRunner().invoke(main, ["--help"], terminal_width=80).output
    assert [line for line in shown.splitlines() if line.endswith(":") and line[0] != " "] == [
        *("Options:", "Build a model:", "Ask:", "Compare and decide:", "One patient:", "Without a store:", "Operate:")
    ]
    widest = max(map(len, main.commands))
    for commands in sections.SECTIONS.values():
        for name, about in commands.items():
            assert f"  {name:<{widest}}  {about.says}" in shown.splitlines(), "on one line, at 80 columns"
            assert about.says[-1] in ".?"
            said = " ".join(CliRunner().invoke(main, [name, "--help"]).output.split())
            assert about.costs
            assert f"Reads {about.reads} Writes {about.writes} Costs {about.costs}" in said


@pytest.mark.parametrize(
    ("typed", "meant"),
    [
        (["stauts"], "'status'"),
        (["comapre"], "'compare'"),
        (["status", "--formt", "json"], "'--format'"),
        (["predict", ".", "--reccord"], "'--record'"),
        (["status", "--format", "jsno"], "'json'"),
        (["run", "--profile", "Quick"], "'quick'"),
        (["promote", "1", "--reason", "x", "--alias", "champoin"], "'champion'"),
    ],
)
def test_a_typing_error_is_told_what_was_meant(typed: list[str], meant: str) -> None:
    shown = CliRunner().invoke(main, typed)
    assert shown.exit_code == 2
    assert f"Did you mean {meant}?" in shown.stderr


def test_help_needs_no_heavy_library() -> None:
    """Importing the command line must not import what only some commands need: `penumbra --help` answers in half a second."""
    heavy = [
        *("numpy", "pandas", "pyarrow", "duckdb", "SimpleITK", "pydicom", "radiomics", "numba"),
        *("jax", "flax", "mlflow", "prefect", "sksurv", "scipy", "matplotlib", "rich", "yaml"),
    ]
    code = f"import penumbra.cli, sys; print([name for name in {heavy} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_an_unknown_table_is_one_sentence_on_stderr(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path))
    shown = CliRunner().invoke(main, ["sql", "SELECT 1"])
    assert shown.exit_code == 1
    assert shown.stdout == ""
    assert shown.stderr.startswith("Error: ")
    assert "Traceback" not in shown.stderr


def test_predict_without_a_model_says_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path))
    shown = CliRunner().invoke(main, ["predict", str(tmp_path)])
    assert shown.exit_code == 1
    assert "penumbra run" in shown.stderr


def test_commands_are_listed_in_the_order_of_the_path() -> None:
    listed = main.list_commands(click.Context(main))
    assert listed.index("ingest") < listed.index("populate") < listed.index("train") < listed.index("fuse") < listed.index("register")


def test_a_question_leaves_no_limit_behind() -> None:
    """The memory limit of one statement stayed on the process that had asked: later work in it ran out of memory."""
    before = resource.getrlimit(resource.RLIMIT_AS)
    CliRunner().invoke(main, ["sql", "SELECT 1"])
    assert resource.getrlimit(resource.RLIMIT_AS) == before


def test_every_hint_fits_80_columns() -> None:
    """A hint is typed again: it is not wrapped, so it has to fit."""
    written = "".join(path.read_text(encoding="utf-8") for path in Path(sections.__file__).parent.glob("*.py"))
    hints = re.findall(r"""["'](penumbra (?:sql|compare|retrain|models|doctor)\b.*?)(?<!\\)["'](?:["']{2})?[,)\n]""", written)
    assert len(hints) >= 10
    assert [hint for hint in hints if len(hint.replace("\\", "")) > 78] == []
