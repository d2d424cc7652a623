"""Files and folders that are there whole or not at all."""

import contextlib
import os
import subprocess
from pathlib import Path

import pytest

from penumbra.base.whole_files import whole_file, whole_folder, write_whole


def test_a_file_is_written_with_the_folders_above_it(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "new" / "text.json", "größer")
    assert path.read_bytes() == "größer".encode()
    assert write_whole(path, b"\x00").read_bytes() == b"\x00"
    assert [each.name for each in path.parent.iterdir()] == ["text.json"]


def test_what_fails_leaves_the_old_file(tmp_path: Path) -> None:
    path = write_whole(tmp_path / "old.txt", "old")
    with contextlib.suppress(ValueError), whole_file(path) as fresh:
        fresh.write_text("ha")
        raise ValueError("half")
    assert {each.name: each.read_text() for each in tmp_path.iterdir()} == {"old.txt": "old"}


def test_a_link_is_replaced_and_what_it_leads_to_is_not(tmp_path: Path) -> None:
    for name in ("first", "second"):
        (tmp_path / name).mkdir()
        with whole_file(tmp_path / "link") as fresh:
            fresh.symlink_to(tmp_path / name, target_is_directory=True)
        assert (tmp_path / "link").readlink() == tmp_path / name
    assert sorted(each.name for each in tmp_path.iterdir()) == ["first", "link", "second"]


@pytest.mark.parametrize("durable", [True, False])
def test_a_folder_replaces_what_was_there(tmp_path: Path, durable: bool) -> None:
    place = tmp_path / "scans" / "one"
    for text in ("old", "new"):
        with whole_folder(place, durable=durable) as fresh:
            (fresh / text).mkdir()
            (fresh / text / "file").write_text(text)
            assert not (place / "new").exists()
        assert [path.relative_to(place).as_posix() for path in sorted(place.rglob("*"))] == [text, f"{text}/file"]
    with contextlib.suppress(ValueError), whole_folder(place, durable=durable) as fresh:
        (fresh / "file").write_text("ha")
        raise ValueError("half")
    assert [path.name for path in place.iterdir()] == ["new"]
    assert [path.name for path in place.parent.iterdir()] == ["one"]


def test_what_killed_commands_left_goes_with_the_next(tmp_path: Path) -> None:
    path, gone, alive = tmp_path / "ingest.json", subprocess.Popen(["true"]), os.getppid()
    gone.wait()
    for name in (f".ingest.json.{gone.pid}", f".ingest.json.{alive}", f".ingest.json.{gone.pid}-journal", f".ingest.json.mine.{gone.pid}"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".ingest.json.old.{gone.pid}").mkdir()
    write_whole(path, "whole")
    assert {each.name for each in tmp_path.iterdir()} == {"ingest.json", f".ingest.json.{alive}", f".ingest.json.mine.{gone.pid}"}, "others are not ours"
