"""How far a command is can be read while it works, and nothing of it is left afterwards."""

import json
import os
from pathlib import Path

import pytest

from penumbra.base.progress import begin, track
from penumbra.pipeline import history
from penumbra.pipeline.history import Progress


def files(home: Path) -> set[str]:
    return {str(path.relative_to(home)) for path in home.rglob("*") if path.is_file()}


def test_others_see_how_far_it_is_while_it_works(tmp_path: Path) -> None:
    """A run of an hour was "running since 10:00" and nothing more to everybody but the terminal that it was typed in."""
    with history.noted(tmp_path, "penumbra run"):
        assert history.under_way(tmp_path) is None
        begin("fuse")
        found = history.under_way(tmp_path)
        assert found is not None
        assert (found.stage, found.words, found.pid) == ("fuse", "fuse", os.getpid())
        with track("cross-fit", 4) as advance:
            assert "cross-fit 0/4" in history.under_way(tmp_path).words  # type: ignore[union-attr]
            advance(4)
            assert history.under_way(tmp_path).words == "fuse: cross-fit 4/4, about 0 s left"  # type: ignore[union-attr]
        begin("evaluate")
        assert history.under_way(tmp_path).words == "evaluate", "what was counted before is over"  # type: ignore[union-attr]
    assert history.under_way(tmp_path) is None
    assert files(tmp_path) == {history.LAST_RUN}


def test_progress_is_removed_with_a_command_that_fails(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), history.noted(tmp_path, "penumbra fuse"), track("cross-fit", 2):
        1 / 0  # noqa: B018
    assert files(tmp_path) == {history.LAST_RUN}


def test_progress_of_a_process_that_was_killed_is_nobodys(tmp_path: Path) -> None:
    left = Progress(pid=2**22 + 1, stage="fuse", what="cross-fit", done=1, total=4, left_s=3.0, at="2030-01-01T00:00:00+00:00")
    (tmp_path / history.PROGRESS).write_text(json.dumps(left.to_json()))
    assert history.under_way(tmp_path) is None


def test_a_home_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file where the folder would be")
    with history.watched(tmp_path / "home"), track("prepare", 2) as advance:
        advance(2)
    assert history.under_way(tmp_path) is None
