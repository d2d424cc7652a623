"""Real scans, read in place: LUNG1-001, the IBSI CT phantom, pairs of the challenge."""

from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.bench.archives import unpack
from penumbra.imaging import Scan, certify, read_patient, rings, roi_names, to_grid
from penumbra.imaging.nifti import read_nifti

from ..limits import certificate_limits

SHARED = Path(__file__).resolve().parents[2] / ".." / "shared" / "data"
MARGINS = (3.0, 6.0, 9.0)


def unpacked(archive: str, folder: Path) -> Path:
    path = SHARED / archive
    if not path.is_file():
        pytest.skip(f"{archive} is not next to the repository")
    return unpack(path, folder)


@pytest.fixture(scope="module")
def lung1(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Scan]:
    folder = unpacked("LUNG1-001.tar.xz", tmp_path_factory.mktemp("lung1"))
    return folder, read_patient(folder)


@pytest.mark.slow
def test_lung1_volume(lung1: tuple[Path, Scan]) -> None:
    folder, scan = lung1
    assert roi_names(folder) == ["GTV-1", "Lung-Left", "Lung-Right", "Spinal-Cord"]
    assert (scan.roi_name, scan.source, scan.notes) == ("GTV-1", "dicom", ())
    assert scan.image.values.shape == (134, 512, 512)
    assert scan.image.spacing == pytest.approx((3.0, 0.9765625, 0.9765625))
    grid = to_grid(scan, margin_mm=12)
    certificate = certify(scan, grid, rings(grid.gtv, MARGINS), certificate_limits())
    assert certificate.planimetric_mm3 == pytest.approx(156_346, rel=1e-4)  # by the shoelace formula over its 21 contours
    assert certificate.grid_mm3 == pytest.approx(certificate.planimetric_mm3, rel=0.005)
    assert certificate.native_mm3 == pytest.approx(certificate.planimetric_mm3, rel=0.005)
    assert (certificate.status, certificate.findings) == ("accepted", ())
    assert (certificate.contour_planes, certificate.contour_planes_hit, certificate.slices) == (21, 21, 21)


@pytest.mark.slow
def test_lung1_image_equals_another_reader(lung1: tuple[Path, Scan]) -> None:
    import SimpleITK as sitk

    folder, scan = lung1
    reader = sitk.ImageSeriesReader()
    reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder / "LUNG1-001" / "CT")))
    other = reader.Execute()
    assert np.array_equal(sitk.GetArrayViewFromImage(other), scan.image.values)
    assert other.GetOrigin() == pytest.approx(scan.image.origin)
    assert other.GetSpacing()[::-1] == pytest.approx(scan.image.spacing)


def test_ibsi_phantom_equals_its_nifti_mask(tmp_path: Path) -> None:
    """The mask that IBSI ships was filled by its authors from the same contours."""
    folder = unpacked("ibsi_ct_phantom.tar.xz", tmp_path) / "ibsi_1_ct_radiomics_phantom"
    scan = read_patient(folder / "dicom")
    image, mask = read_nifti(folder / "nifti" / "image" / "phantom.nii.gz"), read_nifti(folder / "nifti" / "mask" / "mask.nii.gz")
    assert np.array_equal(scan.image.values, image.values)
    theirs = mask.values > 0
    assert 2 * (theirs & scan.gtv.values).sum() / (theirs.sum() + scan.gtv.values.sum()) >= 0.99


def test_challenge_pairs() -> None:
    """Four of 215: one sound, one that touches the border of its crop, a ground-glass tumor, one without a voxel."""
    cohort = SHARED / "nsclc"
    if not cohort.is_dir():
        pytest.skip("nsclc is not next to the repository")
    verdicts = {}
    for patient in ("maastro/M002", "maastro/M107", "radiogenomics/R039"):
        scan = read_patient(cohort / patient)
        grid = to_grid(scan, margin_mm=44)
        assert np.array_equal(scan.gtv.values, grid.gtv.values) or grid.image.values.shape != scan.image.values.shape
        verdicts[patient] = certify(scan, grid, rings(grid.gtv, MARGINS), certificate_limits())
    assert {patient: verdict.status for patient, verdict in verdicts.items()} == {
        "maastro/M002": "accepted",
        "maastro/M107": "flagged",
        "radiogenomics/R039": "accepted",
    }
    assert verdicts["maastro/M107"].findings[0].rule == "inside_scan"
    assert verdicts["maastro/M107"].border_voxels == 6825


@pytest.mark.slow
def test_challenge_refusals_and_flags() -> None:
    """All 215: five masks are empty and 25 touch the border of their crop."""
    cohort = SHARED / "nsclc"
    if not cohort.is_dir():
        pytest.skip("nsclc is not next to the repository")
    refused, flagged, accepted = [], [], 0
    for folder in sorted(cohort.glob("*/*/")):
        try:
            scan = read_patient(folder)
        except Refusal as refusal:
            refused.append(refusal.rule)
            continue
        grid = to_grid(scan, margin_mm=9)
        certificate = certify(scan, grid, rings(grid.gtv, MARGINS), certificate_limits())
        if certificate.status == "flagged":
            flagged.append(certificate)
        else:
            accepted += certificate.status == "accepted"
    assert refused == ["gtv_not_empty"] * 5
    assert (len(flagged), accepted) == (25, 185)
    assert all(certificate.border_voxels for certificate in flagged)
