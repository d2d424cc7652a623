"""The conversation with the store, typed as a person would."""

import io
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import pytest
from prompt_toolkit.completion import CompleteEvent
from prompt_toolkit.document import Document
from prompt_toolkit.input import create_pipe_input
from prompt_toolkit.output import DummyOutput

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store.shell import HISTORY, Completions, converse, keywords, relation_columns

pytestmark = pytest.mark.slow


def typed(home: Path, text: str) -> str:
    out = io.StringIO()
    with create_pipe_input() as source:
        source.send_text(text)
        converse(home, out, source=source, screen=DummyOutput())
    return out.getvalue()


def test_a_conversation(own: Path) -> None:
    said = typed(
        own,
        "\\format csv\rSELECT center, count(*) AS n\rFROM patients GROUP BY center ORDER BY center;\r"
        "DROP TABLE patients;\r\\format table\rSELECT repeat('x', 3000) AS x;\r\\format csv\r"
        "\\as-of 0\rSELECT count(*) AS n FROM patients\r\r\\as-of nsclc-os/7\r\\?\r\\q\r",
    )
    assert '"center","n"\n"east",4\n"north",6\n"south",3\n' in said
    assert "DROP is not a question" in said
    assert "(3000 characters)" in said
    assert '"n"\n0\n' in said
    assert "no version 'nsclc-os/7' in the store. Did you mean nsclc-os/1? Registered: nsclc-os/1" in said
    assert "\\format csv " in said
    history = own / HISTORY
    assert "+DROP TABLE patients;" in history.read_text()
    assert history.stat().st_mode & 0o077 == 0


def test_completion_knows_the_columns_of_what_is_named(filled: Path) -> None:
    completions = Completions(relation_columns(filled), keywords(filled))

    def offered(text: str) -> list[str]:
        return [completion.text for completion in completions.get_completions(Document(text), CompleteEvent())]

    assert offered("SELECT * FROM pat") == ["patients"]
    assert offered("DESCRI") == ["DESCRIBE"]
    assert "age" in offered("FROM patients SELECT ag")
    assert "age" not in offered("FROM images SELECT ag")
    assert '"wavelet-LLH_glcm_Contrast"' in offered("FROM radiomics SELECT wave")


def test_as_of_by_version_alias_and_commit(filled: Path) -> None:
    assert store.commit_of(filled, "3") == 3
    assert store.commit_of(filled, "nsclc-os/1") == store.commit_of(filled, "nsclc-os@champion") == store.commit_of(filled, "champion") == 4
    with pytest.raises(Refusal, match="version_registered"):
        store.commit_of(filled, "nsclc-os/9")


@pytest.mark.parametrize("moment", [0.1, 0.4, 1.5])
def test_ctrl_c_cancels_a_statement_and_a_signal_ends_the_shell_with_its_terminal_as_it_was(own: Path, moment: float) -> None:
    """Also while the statement is judged and begins: its connection was closed while the engine computed on, deaf to every signal."""
    leader, follower = pty.openpty()
    before = termios.tcgetattr(follower)
    shell = subprocess.Popen(
        ["setsid", "--ctty", sys.executable, "-m", "penumbra.cli", "sql"],
        env={**os.environ, "PENUMBRA_HOME": str(own), "TERM": "dumb", "PROMPT_TOOLKIT_NO_CPR": "1"},
        stdin=follower,
        stdout=follower,
        stderr=follower,
    )
    try:
        shown = wait_for_text(leader, "penumbra> ")
        while termios.tcgetattr(follower) == before:  # until the prompt has the terminal
            time.sleep(0.02)
        os.write(leader, b"SELECT count(*) FROM range(100000000000) a, range(1000) b;\r")
        while termios.tcgetattr(follower) != before:  # until the terminal is a plain one again, which drops what was typed before
            time.sleep(0.02)
        time.sleep(moment)
        os.write(leader, b"\x03")
        wait_for_text(leader, "canceled")
        assert shell.poll() is None
        os.write(leader, b"SELECT 6 * 7 AS answer;\r")
        assert "42" in wait_for_text(leader, "42")
        while termios.tcgetattr(follower) == before:  # until the prompt has the terminal
            assert shell.poll() is None
            time.sleep(0.05)
        shell.send_signal(signal.SIGTERM)
        shown = wait_for_text(leader, "to resume.")
        assert shell.wait(30) == 143
        assert "Stopped by SIGTERM" in shown
        assert "Traceback" not in shown
        assert termios.tcgetattr(follower) == before
    finally:
        shell.kill()
        shell.wait()
        os.close(leader)
        os.close(follower)


def wait_for_text(terminal: int, text: str) -> str:
    """What the terminal shows until `text` comes."""
    shown, end = "", time.monotonic() + 60
    while text not in shown:
        assert time.monotonic() < end, shown
        if select.select([terminal], [], [], 1)[0]:
            shown += os.read(terminal, 4096).decode(errors="replace")
    return shown
