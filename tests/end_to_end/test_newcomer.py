"""The first hour of a newcomer: every command of the README in a real terminal of 80, 100 and 160 columns, and what goes wrong when it is mistyped."""

import os
import re
import shlex
import signal
import time
import urllib.request
from pathlib import Path

import pytest

from penumbra.pipeline import history

from .. import screens
from ..terminal import Screen, screen
from .conftest import Run, environment
from .test_readme import COMMANDS

WIDTHS = (80, 100, 160)
WIDE = 300  # columns in which nothing has to be broken
ALSO = ["penumbra", "penumbra --help", "penumbra status", "penumbra models", "penumbra baseline", "penumbra run --help"]
FOR_PROGRAMS = ("--format csv", "--format json")  # numbers as they are stored, lines as they come
MISTAKES = {
    "penumbra stauts": 2,
    "penumbra status --format jsno": 2,
    "penumbra predict /nowhere": 2,
    'penumbra sql "SELECT nothing FROM centers"': 1,
    'penumbra sql "DROP TABLE centers"': 1,
    "penumbra compare 17": 1,
    "penumbra drift atlantis": 1,
    'penumbra promote 17 --reason "a test"': 1,
}
# What a table says of what it does not show; a cut word ends with the mark.
OF_THE_LAYOUT = frozenset(re.split(" ", "and more columns column row rows marks what was cut has it whole … --format csv json gives all or name the you want"))
SHORTEST_CUT = 40  # letters of a word that may be cut
# These serve until they are stopped: once the page that they name answers. On a port that is free, since another program may have the usual one.
SERVES = frozenset({"penumbra console"})
PAGE = re.compile(r"open (http://127\.0\.0\.1:\d+/)")

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]


def typed(run: Run, command: str, width: int) -> Screen:
    words = [word.replace("data/simulated", str(run.cohort)) for word in shlex.split(command)[1:]]
    if command in SERVES:
        return screen([*words, "--port", "0"], width, environment(run.home), stop=page_answers)
    return screen(words, width, environment(run.home))


def page_answers(shown: str) -> bool:
    """True once a server has named its page and the page is there."""
    if (named := PAGE.search(shown)) is None:
        return False
    for _ in range(600):
        try:
            with urllib.request.urlopen(named[1], timeout=60) as answer:
                return bool(answer.status == 200)
        except OSError:
            time.sleep(0.1)
    return False


def ended_well(command: str, shown: Screen) -> bool:
    """True for a command that did its work, and for a server that was interrupted after its page had answered."""
    return shown.status == (128 + signal.SIGINT if command in SERVES else 0)


def words(text: str) -> set[str]:
    """The words on a screen, without rules and the punctuation around them."""
    return {word.strip(".,:;()") for word in text.split() if re.search(r"\w", word)}


def named(text: str) -> set[str]:
    """The words with a letter."""
    return {word for word in words(text) if re.search(r"[^\W\d_]", word)}


def broken(narrow: Screen, wide: Screen) -> list[str]:
    """Words of a narrow screen that the wide one shows only in part, or not at all; whole numbers are counted again."""
    whole, shown = (words(PAGE.sub("open its page", screens.calm(each.text))) for each in (wide, narrow))
    cut = [word for word in whole if len(word) >= SHORTEST_CUT]
    return [
        word
        for word in shown - whole - OF_THE_LAYOUT
        if not (word.endswith("…") and any(long.startswith(word.rstrip("…")) for long in cut)) and not word.isdecimal()
    ]


@pytest.mark.parametrize("command", [*COMMANDS, *ALSO])
def test_a_command_fits_the_terminal(run: Run, command: str) -> None:
    """Headers letter by letter, a table of one rule, sentences cut off: what a newcomer met at 80 columns."""
    wide = typed(run, command, WIDE)
    assert ended_well(command, wide), wide.text
    assert wide.text.strip()
    for width in WIDTHS:
        shown = typed(run, command, width)
        assert ended_well(command, shown), shown.text
        assert "Traceback" not in shown.text
        if any(form in command for form in FOR_PROGRAMS):
            continue
        assert shown.width <= width, [line for line in shown.lines if len(line) > width]
        assert broken(shown, wide) == []
        assert shown.long_floats() == []


@pytest.mark.parametrize("command", MISTAKES)
def test_a_mistake_is_a_sentence_and_a_status(run: Run, command: str) -> None:
    shown = typed(run, command, 80)
    assert shown.status == MISTAKES[command], shown.text
    assert "Error: " in shown.text
    assert "Traceback" not in shown.text


def test_the_run_ends_with_a_verdict_a_table_and_commands_that_work(run: Run) -> None:
    """Its first line was a table of rejections; some of the printed hints failed."""
    verdict, *rest = re.split(r"\n\n", run.printed)
    assert re.match(r"Served: nsclc-os/1, fitted on north\. .* inside the training centers.* Outside, at east and south", " ".join(verdict.split()))
    assert "tumor volume alone" in " ".join(verdict.split())
    assert "95 % interval" in " ".join(verdict.split())
    assert "C-index" in rest[0]
    hints = [line.strip() for line in run.said.partition("Next:\n")[2].splitlines() if line.strip()]
    assert len(hints) >= 3
    for hint in hints:
        assert hint.startswith("penumbra")
        shown = typed(run, hint, WIDE)
        assert ended_well(hint, shown), f"{hint}: {shown.text}"
        assert shown.text.strip()


def test_the_status_names_a_command_that_works(run: Run) -> None:
    said = run.penumbra("status").stdout
    following = said.partition("Next:\n")[2].strip()
    assert ended_well(following, shown := typed(run, following, WIDE)), shown.text


@pytest.mark.parametrize("command", screens.blocks(screens.PAGE.read_text(encoding="utf-8")))
def test_a_screen_of_the_docs_is_what_the_command_prints(run: Run, command: str) -> None:
    """Word for word; numbers and what follows from them depend on the processor. `python -m tests.screens HOME COHORT` takes them again."""
    history.checked(run.home, [])
    documented = screens.blocks(screens.PAGE.read_text(encoding="utf-8"))[command]
    shown = screens.taken(command, str(run.home), str(run.cohort), environment(run.home))
    of_numbers = {"low", "high", "champion", "<", ">"}
    assert named(shown) - of_numbers == named(documented) - of_numbers
    assert len(shown.splitlines()) == pytest.approx(len(documented.splitlines()), abs=2)


def test_the_docs_have_ten_screens() -> None:
    assert len(screens.blocks(screens.PAGE.read_text(encoding="utf-8"))) == 10


def test_an_empty_home_answers_at_once(tmp_path: Path) -> None:
    shown = screen([], 80, {**os.environ, "PENUMBRA_HOME": str(tmp_path / "none")})
    assert shown.status == 0
    assert "Nothing has arrived yet" in shown.text
    assert shown.width <= 80
