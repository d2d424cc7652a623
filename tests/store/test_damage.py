"""A store that lost or spoiled a file says so in one sentence, to readers and writers alike."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal

pytestmark = pytest.mark.slow

PATIENT = {"patient": "A1", "center": "north", "age": 61.0, "time": 300.0, "event": True}


def cut(file: Path) -> None:
    os.truncate(file, 100)


def overwritten(file: Path) -> None:
    file.write_bytes(b"\x00" * file.stat().st_size)


def garbage_inside(file: Path) -> None:
    whole = file.read_bytes()
    file.write_bytes(whole[:30] + b"\xff" * 40 + whole[70:])


@pytest.mark.parametrize("damage", [Path.unlink, cut, overwritten, garbage_inside])
def test_a_file_that_is_gone_or_spoiled(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with store.connect(tmp_path) as lake:
        lake.write({"patients": [PATIENT]}, run="run", what="test")
    for file in (tmp_path / "store" / "files" / "main" / "patients").glob("*.parquet"):
        damage(file)
    with pytest.raises(
        Refusal, match=r"the store's file (ducklake-[\w-]+\.parquet|\(not named by the engine\)) is missing or cannot be read.*\(rule store_damaged\)"
    ):
        store.query(tmp_path, "SELECT avg(age) FROM patients")
    with store.connect(tmp_path) as lake, pytest.raises(Refusal, match="store_damaged"):
        lake.write({"patients": [{**PATIENT, "age": 62.0}]}, run="run", what="test")


@pytest.mark.parametrize("damage", [cut, overwritten])
def test_a_catalog_that_is_spoiled(tmp_path: Path, damage: Callable[[Path], None]) -> None:
    with store.connect(tmp_path) as lake:
        lake.write({"patients": [PATIENT]}, run="run", what="test")
    for file in (tmp_path / "store").glob("catalog.sqlite-*"):
        file.unlink()
    damage(tmp_path / "store" / "catalog.sqlite")
    with pytest.raises(Refusal, match=r"the store's catalog cannot be read.*\(rule store_damaged\)"):
        store.query(tmp_path, "FROM patients")
    with pytest.raises(Refusal, match="store_damaged"):
        store.connect(tmp_path)
