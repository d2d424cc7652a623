"""Two sources of the GTV in one folder: the one that holds it is taken, and two must agree."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.base.refusal import Refusal
from penumbra.imaging import Mask, Scan, Volume, read_patient, roi_names
from penumbra.imaging.nifti import to_sitk
from penumbra.imaging.sources import dice

from .phantom import Ellipsoid, Patient

BALL = Ellipsoid((31.3, 33.6, 34.7), (13.0, 13.0, 13.0))
OTHER = Ellipsoid((14.0, 15.0, 30.0), (8.0, 8.0, 8.0))


def patient(**rois: Ellipsoid) -> Patient:
    return Patient((24, 58, 64), (3.0, 1.2, 1.0), rois=dict(rois))


def pair(scan: Scan, folder: Path, mask: np.ndarray, *, step: int = 1) -> None:
    """The scan as an image and a mask, every `step`-th row and column of it."""
    spacing = (scan.image.spacing[0], scan.image.spacing[1] * step, scan.image.spacing[2] * step)
    for name, values in (("ct", scan.image.values), ("gtv", mask.astype(np.uint8))):
        thinned = Volume(values[:, ::step, ::step], spacing, scan.image.origin, scan.image.direction)
        sitk.WriteImage(to_sitk(thinned), str(folder / f"{name}.nii.gz"))


def test_a_pair_of_an_earlier_conversion_does_not_win_in_silence(tmp_path: Path) -> None:
    patient(GTV=BALL).write(tmp_path)
    scan = read_patient(tmp_path)
    pair(scan, tmp_path, scan.gtv.values, step=2)  # on another grid
    again = read_patient(tmp_path)
    assert again.source == "dicom"
    assert np.array_equal(again.gtv.values, scan.gtv.values)
    assert any("image and mask was left out: it holds the same GTV" in note for note in again.notes)
    assert roi_names(tmp_path) == ["GTV"]
    pair(scan, tmp_path, np.roll(scan.gtv.values, 6, axis=1))
    with pytest.raises(
        Refusal, match=r"the structure set and the image and mask in one folder hold different GTVs: 9\.2 and 9\.2 cm3, Dice 0\..*\(rule sources_agree\)"
    ):
        read_patient(tmp_path)


def test_a_pair_is_taken_where_the_contours_hold_no_gtv(tmp_path: Path) -> None:
    patient(GTV=BALL).write(tmp_path / "whole")
    scan = read_patient(tmp_path / "whole")
    patient(Heart=OTHER).write(tmp_path / "organs")
    pair(scan, tmp_path / "organs", scan.gtv.values)
    again = read_patient(tmp_path / "organs")
    assert again.source == "nifti"
    assert np.array_equal(again.gtv.values, scan.gtv.values)
    assert any("GTV is that of the image and mask" in note for note in again.notes)
    assert roi_names(tmp_path / "organs") == ["gtv"]


def test_a_structure_set_that_is_damaged_is_not_replaced_by_a_pair(tmp_path: Path) -> None:
    patient(GTV=BALL).write(tmp_path)
    scan = read_patient(tmp_path)
    pair(scan, tmp_path, scan.gtv.values)
    content = (tmp_path / "rs.dcm").read_bytes()
    (tmp_path / "rs.dcm").write_bytes(content[: len(content) // 2])
    with pytest.raises(Refusal, match="structure_set_readable"):
        read_patient(tmp_path)


def test_dice_of_masks_on_grids_of_their_own() -> None:
    whole = np.zeros((10, 12, 14), bool)
    whole[2:8, 2:10, 2:12] = True
    one = Mask(whole, (2.0, 1.0, 1.0), (5.0, -3.0, 7.0))
    assert dice(one, one) == 1.0
    upside = Mask(whole[::-1], (2.0, 1.0, 1.0), (5.0, -3.0, 7.0 + 9 * 2.0), np.diag([1.0, 1.0, -1.0]))
    assert dice(one, upside) == 1.0
    fine = Mask(np.repeat(whole, 2, axis=0), (1.0, 1.0, 1.0), (5.0, -3.0, 6.5))
    assert dice(one, fine) == 1.0
    half = whole.copy()
    half[2:5] = False
    assert dice(one, Mask(half, one.spacing, one.origin)) == pytest.approx(2 * 0.5 / 1.5)
    assert dice(one, Mask(whole, one.spacing, (500.0, 0.0, 0.0))) == 0.0
