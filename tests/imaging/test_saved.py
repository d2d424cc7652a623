"""Saved scans: the same scan back, the same bytes again, complete or not there."""

import gzip
import json
import subprocess
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.imaging import Mask, Moments, Scan, Volume, load_scan, read_patient, save_scan, to_grid
from penumbra.imaging.nifti import read_nifti
from penumbra.imaging.saved import load_mask, load_voxels

from .phantom import Box, Patient, turned


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


def test_a_scan_is_loaded_as_itk_reads_it(tmp_path: Path) -> None:
    """The voxels are unpacked without ITK, which took twice the time."""
    save_scan(scan(), tmp_path / "P")
    loaded = load_scan(tmp_path / "P")
    for volume, name in ((loaded.image, "image"), (loaded.gtv, "gtv")):
        read = read_nifti(tmp_path / "P" / f"{name}.nii.gz")
        assert (volume.spacing, volume.origin, volume.direction.tobytes()) == (read.spacing, read.origin, read.direction.tobytes())
        assert np.array_equal(volume.values, read.values)
    assert loaded.image.values.flags.writeable


@pytest.mark.parametrize("fault", ["cut", "longer", "shorter"])
def test_a_damaged_image_is_refused(fault: str, tmp_path: Path) -> None:
    save_scan(scan(), tmp_path / "P")
    file = tmp_path / "P" / "image.nii.gz"
    content = gzip.decompress(file.read_bytes())
    damaged = {"cut": file.read_bytes()[:-20], "longer": gzip.compress(content + bytes(2**21)), "shorter": gzip.compress(content[:-2])}
    file.write_bytes(damaged[fault])
    with pytest.raises(Refusal) as refused:
        load_scan(tmp_path / "P")
    assert refused.value.rule == "nifti_readable"


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


def test_what_was_drawn_lies_on_the_mask_of_the_saved_crop(tmp_path: Path) -> None:
    """The viewer puts the drawing on the saved scan: its place and area on every plane are those of the mask, also where the scan is turned and cropped."""
    patient = Patient(direction=turned(4, -7, 20), rois={"GTV": Box((31.0, 28.0, 36.0), (18.0, 12.0, 30.0), 0.3)})
    native = read_patient(patient.write(tmp_path / "arrived"))
    grid = to_grid(native, margin_mm=9.0)
    assert grid.offset is not None
    assert min(grid.offset) > 0
    save_scan(grid, tmp_path / "saved", drawn=native.contours)
    planes = json.loads(gzip.decompress((tmp_path / "saved" / "drawn.json.gz").read_bytes()))["planes"]
    assert planes
    for plane in planes:
        inside = load_mask(tmp_path / "saved").values[round(plane["at"])]
        x, y = np.array(plane["rings"][0]).reshape(-1, 2).T
        cross = x * np.roll(y, -1) - np.roll(x, -1) * y
        area = cross.sum() / 2
        middle = [float(((one + np.roll(one, -1)) * cross).sum() / (6 * area)) for one in (y, x)]
        assert np.argwhere(inside).mean(axis=0) == pytest.approx(middle, abs=0.3)
        assert np.count_nonzero(inside) == pytest.approx(abs(area), rel=0.05)
    assert b"GTV" not in gzip.decompress((tmp_path / "saved" / "drawn.json.gz").read_bytes())


def test_voxels_alone_are_those_of_the_scan(tmp_path: Path) -> None:
    save_scan(scan(), tmp_path / "whole")
    assert np.array_equal(load_voxels(tmp_path / "whole"), scan().image.values)
    assert np.array_equal(load_mask(tmp_path / "whole").values, scan().gtv.values)
    content = (tmp_path / "whole" / "image.nii.gz").read_bytes()
    (tmp_path / "whole" / "image.nii.gz").write_bytes(content[:-200])
    with pytest.raises(Refusal, match="saved_scan"):
        load_voxels(tmp_path / "whole")
    (tmp_path / "whole" / "scan.json").unlink()
    with pytest.raises(Refusal, match="saved_scan"):
        load_mask(tmp_path / "whole")
