"""A command that meets the end of a disk outside any project tells that, and not that there is no project."""

import errno
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra.base.params import ParamsError
from penumbra.cli import main
from penumbra.commands import init


def test_a_full_disk_is_told_where_there_is_no_state_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    def nowhere() -> Path:
        raise ParamsError("project_folder", "this folder is not in a project", "Run penumbra init FOLDER")

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("penumbra.base.params.state_home", nowhere)
    monkeypatch.setattr(init, "init", full)
    done = CliRunner().invoke(main, ["init", "my-department"])
    assert done.exit_code == 1
    assert "(rule disk_space)" in done.output
    assert "project_folder" not in done.output
