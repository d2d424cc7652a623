"""What a page says while something is computed or counted."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from pathlib import Path

import pytest
from starlette.testclient import TestClient

from penumbra.console import answers, disk
from penumbra.console.application import application
from penumbra.console.context import Console
from penumbra.console.disk import DiskUse
from penumbra.pipeline.settings import load_settings
from penumbra.store.in_memory import COMPUTED

pytestmark = pytest.mark.slow


@pytest.mark.parametrize("relation", sorted(COMPUTED))
def test_a_relation_that_is_computed_says_why_since_when_and_that_it_looks_again(small_home: Path, relation: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(answers, "READY_S", 0.01)
    monkeypatch.setattr(answers, "begun_for", lambda *_: answers.Computation(Future(), time.monotonic() - 7))
    console = Console(small_home, load_settings())
    with TestClient(application(console), base_url="http://127.0.0.1", client=("127.0.0.1", 4000)) as browser:
        answer = browser.get(f"/tables/{relation}")
    assert answer.status_code == 202
    assert (answer.headers["retry-after"], answer.headers["refresh"]) == ("2", "2"), "also without scripts"
    assert "etag" not in answer.headers
    for words in ("This table is being computed.", "Started 7 s ago: 2 sets of features of 2 patients", "checks again every 2 s", "<progress"):
        assert words in answer.text
    assert f"FROM {relation}" in answer.text, "the command is there meanwhile"


def test_the_disk_line_never_changes_its_mind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A count that was cut short said "more than", and less each time the machine was busier."""
    for number in range(3):
        (tmp_path / str(number)).write_bytes(b"x" * 1_000_000)
    held, count = threading.Event(), disk.bytes_below

    def slow(home: Path, may_go_on: Callable[[], bool]) -> tuple[int, bool]:
        held.wait(60)
        return count(home, may_go_on)

    monkeypatch.setattr(disk, "bytes_below", slow)
    use = DiskUse(tmp_path)
    assert use.words().startswith("what is used here is being counted, ")
    held.set()
    end = time.monotonic() + 60
    while "being counted" in use.words():
        assert time.monotonic() < end
        time.sleep(0.01)
    assert {use.words().partition(",")[0] for _ in range(5)} == {"3 MB used here"}
