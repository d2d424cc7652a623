"""Values outside the scanner's circle, by their tag or by themselves, in every format."""

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.imaging import Mask, Scan, Volume, certify, read_patient, rings, to_grid
from penumbra.imaging.padding import fill_padding

from ..limits import certificate_limits
from .phantom import Ellipsoid, Patient, save


@pytest.mark.parametrize("padding", [-3024, -2000, -1500, -32768])
def test_padding_is_air_in_every_format(tmp_path: Path, padding: int) -> None:
    """-3024 HU beyond the scanner's circle, without the tag or as NIfTI, gave the scan a standard deviation of 1001 HU instead of 272."""
    values = {}
    for name, stored, tagged in (("tag", padding, True), ("no tag", padding, False), ("air", -1024, False)):
        patient = Patient((8, 30, 32), signed=True, intercept=0.0, rois={"GTV": Ellipsoid((16.0, 15.0, 10.0), (7.0, 7.0, 7.0))})
        for number, item in enumerate(patient.slices()):
            plane = np.frombuffer(item.PixelData, "<i2").reshape(30, 32).copy()
            plane[:6] = stored
            item.PixelData = plane.tobytes()
            if tagged:
                item.add_new(0x00280120, "SS", stored)
            save(item, tmp_path / name / f"{number}.dcm")
        save(patient.structures(), tmp_path / name / "rs.dcm")
        values[name] = read_patient(tmp_path / name)
        nifti = tmp_path / f"{name} nifti"
        nifti.mkdir()
        raw = np.where(values[name].image.values == -1024, stored, values[name].image.values)
        write(values[name].image, nifti / "ct.nii.gz", raw)
        write(values[name].image, nifti / "gtv.nii.gz", values[name].gtv.values.astype(np.uint8))
        values[f"{name} nifti"] = read_patient(nifti)
    for name, scan in values.items():
        assert any("whole voxels of" in note for note in scan.notes) == name.endswith("nifti")  # a mask made of contours is not the contours
        assert scan.image.values.min() == -1024
        assert np.array_equal(scan.image.values, values["air"].image.values)


def write(like: Volume, path: Path, values: np.ndarray) -> None:
    image = sitk.GetImageFromArray(values.astype(np.int16) if path.name == "ct.nii.gz" else values)
    image.SetSpacing(like.spacing[::-1])
    image.SetOrigin(like.origin)
    sitk.WriteImage(image, str(path))


def test_a_slice_that_is_rescaled_otherwise_is_flagged(tmp_path: Path) -> None:
    """A wrong sign of RescaleIntercept in one slice was silently accepted."""
    patient = Patient((8, 30, 32), rois={"GTV": Ellipsoid((16.0, 15.0, 10.0), (7.0, 7.0, 7.0))})
    slices = patient.slices()
    slices[3].RescaleIntercept = 1024
    for number, item in enumerate(slices):
        save(item, tmp_path / f"{number}.dcm")
    save(patient.structures(), tmp_path / "rs.dcm")
    scan = read_patient(tmp_path)
    grid = to_grid(scan)
    certificate = certify(scan, grid, rings(grid.gtv, (3.0,)), certificate_limits())
    assert "slices_alike" in [finding.rule for finding in certificate.findings]


def test_measured_values_below_air_stay_and_a_plateau_of_them_is_padding() -> None:
    streaks = np.random.default_rng(0).integers(-1253, 100, (4, 30, 30)).astype(np.int16)
    assert all(new is old for old in [list(streaks)] for new, old in zip(fill_padding(old), old, strict=True))
    plateau = streaks.copy()
    plateau[:, :5] = -1300
    assert min(plane.min() for plane in fill_padding(list(plateau))) > -1254
    assert np.array_equal(np.stack(fill_padding(list(plateau)))[:, 5:], streaks[:, 5:])


@pytest.mark.parametrize(("low", "high", "found"), [(-1000, 300, False), (-1000, 3000, True), (300, 900, True)])
def test_a_scan_that_is_of_no_person_is_flagged(low: int, high: int, found: bool) -> None:
    values = np.random.default_rng(0).integers(low, high, (20, 20, 20)).astype(np.int16)
    inside = np.zeros(values.shape, bool)
    inside[7:12, 7:12, 7:12] = True
    scan = Scan(Volume(values, (1.0, 1.0, 1.0)), Mask(inside, (1.0, 1.0, 1.0)))
    certificate = certify(scan, to_grid(scan), rings(scan.gtv, (3.0,)), certificate_limits())
    assert ("scan_of_a_person" in [finding.rule for finding in certificate.findings]) is found


@pytest.mark.parametrize(
    ("slope", "intercept", "found"), [(1.0, -1024, False), (0.5, -1024, True), (1.0, -1536, True), (2.0, -1024, True), (0.97, -1000, False)]
)
def test_another_slope_or_intercept_in_every_slice_is_flagged(slope: float, intercept: int, found: bool) -> None:
    """A person of soft tissue, lung and air keeps a mean and a standard deviation that a lung could have."""
    rng = np.random.default_rng(0)
    right = np.where(rng.random((20, 20, 20)) < 0.3, 40.0, np.where(rng.random((20, 20, 20)) < 0.5, -1000.0, -800.0)) + rng.normal(0, 20, (20, 20, 20))
    values = np.round((right + 1024) * slope + intercept).astype(np.int16)
    inside = np.zeros(values.shape, bool)
    inside[7:12, 7:12, 7:12] = True
    scan = Scan(Volume(values, (1.0, 1.0, 1.0)), Mask(inside, (1.0, 1.0, 1.0)))
    certificate = certify(scan, to_grid(scan), rings(scan.gtv, (3.0,)), certificate_limits())
    assert ("scan_of_a_person" in [finding.rule for finding in certificate.findings]) is found
