"""Saved scans: the same scan back, the same bytes again, complete or not there."""

import subprocess
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.imaging import Mask, Moments, Scan, Volume, load_scan, save_scan

from .phantom import turned


def scan() -> Scan:
    generator = np.random.default_rng(5)
    place, turn = (1.5, -20.25, 7.0), turned(5, 10, 15)
    values = generator.integers(-1024, 3000, (7, 9, 11)).astype(np.int16)
    return Scan(
        Volume(values, (1.0, 1.0, 1.0), place, turn),
        Mask(values > 1000, (1.0, 1.0, 1.0), place, turn),
        Moments(-700.25, 410.125, 12345),
        source="dicom",
        roi_name="GTV-1",
        notes=("A note.",),
    )


def test_round_trip(tmp_path: Path) -> None:
    save_scan(scan(), tmp_path / "a" / "b")
    back = load_scan(tmp_path / "a" / "b")
    assert np.array_equal(back.image.values, scan().image.values)
    assert back.image.values.dtype == np.int16
    assert np.array_equal(back.gtv.values, scan().gtv.values)
    assert back.gtv.values.dtype == np.bool_
    assert back.image.spacing == (1.0, 1.0, 1.0)
    assert back.image.origin == pytest.approx(scan().image.origin, abs=1e-5)
    assert back.image.direction == pytest.approx(scan().image.direction, abs=1e-6)
    assert (back.moments, back.source, back.roi_name, back.notes) == (scan().moments, "dicom", "GTV-1", ("A note.",))


def test_same_bytes(tmp_path: Path) -> None:
    save_scan(scan(), tmp_path / "one")
    save_scan(scan(), tmp_path / "two")
    save_scan(scan(), tmp_path / "two")
    files = sorted(path.name for path in (tmp_path / "one").iterdir())
    assert files == ["gtv.nii.gz", "image.nii.gz", "scan.json"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one", "two"]
    for name in files:
        assert (tmp_path / "one" / name).read_bytes() == (tmp_path / "two" / name).read_bytes()


def test_a_failed_write_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save_scan(scan(), tmp_path / "kept")

    def full(*_: object) -> None:
        raise OSError("no space left on device")

    monkeypatch.setattr("os.fsync", full)
    with pytest.raises(OSError, match="no space"):
        save_scan(scan(), tmp_path / "kept")
    with pytest.raises(OSError, match="no space"):
        save_scan(scan(), tmp_path / "fresh")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
    load_scan(tmp_path / "kept")


def test_what_is_no_saved_scan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match="saved_scan"):
        load_scan(tmp_path)


def test_what_a_killed_call_left_goes_with_the_next(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    (tmp_path / f".kept.{gone.pid}").mkdir()
    (tmp_path / f".kept.{gone.pid}" / "image.nii.gz").write_bytes(b"half")
    save_scan(scan(), tmp_path / "kept")
    assert [path.name for path in tmp_path.iterdir()] == ["kept"]
