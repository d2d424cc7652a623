"""Image and mask under other names: what is unambiguous is read, the rest is refused with what was found and what is expected."""

import zipfile
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk

from penumbra.base.refusal import Refusal
from penumbra.imaging import Volume, read_patient, roi_names
from penumbra.imaging.nifti import to_sitk

from .phantom import Ellipsoid, Patient, save, turned
from .test_nifti import ORIGIN, SPACING, sound


def put(path: Path, values: np.ndarray, *, compressed: bool = True) -> None:
    """Written under a plain name, since the writer knows the format by the ending, and renamed."""
    path.parent.mkdir(parents=True, exist_ok=True)
    plain = path.with_name(f"{'a' * 20}{path.name.lower()}")
    sitk.WriteImage(to_sitk(Volume(values, SPACING, ORIGIN, turned(3, 5, 8))), str(plain), compressed)
    plain.rename(path)


@pytest.mark.parametrize(
    ("image", "mask"),
    [
        ("CT.nii.gz", "GTV.nii.gz"),
        ("ct.nii.gz", "GTV.nii.gz"),
        ("Ct.Nii.Gz", "gtv.NII"),
        ("CT.NII", "Gtv.nii.GZ"),
        ("scan/ct.nii.gz", "scan/gtv.nii.gz"),
        ("a/b/CT.nii", "masks/GTV.nii"),
        ("ct.nrrd", "gtv.nrrd"),
        ("x/CT.Nrrd", "x/GTV.NRRD"),
        ("ct.nii.gz", "gtv.nrrd"),
    ],
)
@pytest.mark.parametrize("compressed", [True, False])
def test_what_is_unambiguous_is_read(tmp_path: Path, image: str, mask: str, compressed: bool) -> None:
    values, inside = sound()
    put(tmp_path / image, values, compressed=compressed)
    put(tmp_path / mask, inside, compressed=compressed)
    scan = read_patient(tmp_path)
    assert np.array_equal(scan.image.values, values)
    assert np.array_equal(scan.gtv.values, inside == 1)
    assert scan.image.spacing == pytest.approx(SPACING)
    assert scan.image.origin == pytest.approx(ORIGIN, abs=1e-4)
    assert scan.image.direction == pytest.approx(turned(3, 5, 8), abs=1e-5)
    assert scan.source == ("nrrd" if image.lower().endswith("nrrd") else "nifti")
    assert roi_names(tmp_path) == ["gtv"]


@pytest.mark.parametrize(
    ("names", "rule", "said"),
    [
        (("image.nii.gz", "mask.nii.gz"), "nifti_pair", ["image.nii.gz", "mask.nii.gz"]),
        (("IMG_01.nrrd", "Segmentation.seg.nrrd"), "nifti_pair", ["IMG_01.nrrd", "Segmentation.seg.nrrd"]),
        (("Meyer_Anna.nii.gz", "Meyer_Anna_gtv.nii.gz"), "nifti_pair", ["2 x a .nii.gz file of another name"]),
        (("4711-0815.mha", "gtv.mha"), "nifti_pair", ["a .mha file of another name", "gtv.mha"]),
        (("ct.nii.gz", "mask.nii.gz"), "nifti_pair", ["gtv.nii.gz is missing", "mask.nii.gz"]),
        (("image.nrrd", "gtv.nrrd"), "nifti_pair", ["ct.nii.gz is missing", "image.nrrd"]),
        (("ct.nii.gz", "gtv.nii.gz", "old/ct.nii.gz", "old/gtv.nii.gz"), "nifti_pair", ["2 images of one patient"]),
        (("ct.nii.gz", "gtv.nii.gz", "gtv.nrrd"), "nifti_pair", ["gtv.nii.gz and gtv.nrrd", "2 masks"]),
        (("ct.nii.gz", "CT.nii", "gtv.nii.gz"), "nifti_pair", ["CT.nii and ct.nii.gz", "2 images"]),
    ],
)
def test_the_rest_is_refused_with_what_was_found_and_what_is_expected(tmp_path: Path, names: tuple[str, ...], rule: str, said: list[str]) -> None:
    values, inside = sound()
    for name in names:
        put(tmp_path / name, values if any(word in name.lower() for word in ("ct", "im", "47")) else inside)
    for ask in (read_patient, roi_names):  # ingest asks for the names first
        with pytest.raises(Refusal) as refusal:
            ask(tmp_path)
        assert refusal.value.rule == rule
        assert all(word in refusal.value.found for word in said), refusal.value.found
        assert "ct.nii.gz" in str(refusal.value) or "one image and one mask" in str(refusal.value)
        assert not any(word in str(refusal.value) for word in ("Meyer", "4711", str(tmp_path)))


def patient() -> Patient:
    return Patient((24, 58, 64), (3.0, 1.2, 1.0), rois={"GTV-1": Ellipsoid((31.3, 33.6, 34.7), (13.0, 13.0, 13.0))})


@pytest.mark.parametrize("ending", [".zip", ".ZIP", ".tar.gz", ".7z"])
@pytest.mark.parametrize("beside", ["nothing", "ct"])
def test_an_archive_is_to_be_unpacked(tmp_path: Path, ending: str, beside: str) -> None:
    if beside == "ct":
        for number, item in enumerate(patient().slices()):
            save(item, tmp_path / f"{number}.dcm")
    with zipfile.ZipFile(tmp_path / f"Meyer_Anna{ending}", "w") as archive:
        archive.writestr("a", "b")
    for ask in (read_patient, roi_names):
        with pytest.raises(Refusal, match=rf".*1 \{ending.lower()} archive. Unpack it.*\(rule archive_unpacked\)") as refusal:
            ask(tmp_path)
        assert "Meyer" not in str(refusal.value)


def test_an_archive_beside_a_whole_patient_is_noted(tmp_path: Path) -> None:
    """It may hold a newer structure set."""
    patient().write(tmp_path)
    (tmp_path / "x.zip").write_bytes(b"PK")
    assert "1 .zip archive was left out." in read_patient(tmp_path).notes


def test_a_mask_in_nifti_beside_a_dicom_ct_is_named(tmp_path: Path) -> None:
    for number, item in enumerate(patient().slices()):
        save(item, tmp_path / f"{number}.dcm")
    put(tmp_path / "gtv.nii.gz", sound()[1])
    with pytest.raises(Refusal, match=r".*but gtv.nii.gz\. .*ct.nii.gz on the grid of.*\(rule contours_found\)"):
        read_patient(tmp_path)


def test_files_of_another_modality_are_named(tmp_path: Path) -> None:
    for number, item in enumerate(patient().slices()[:3]):
        item.Modality = "MR"
        save(item, tmp_path / f"{number}.dcm")
    with pytest.raises(Refusal, match=r"no CT slice among 3 files \(3 of modality MR\).*\(rule ct_found\)"):
        read_patient(tmp_path)


@pytest.mark.parametrize(
    ("old", "new", "rule"),
    [
        (b"NRRD0004", b"NRDR0004", "nrrd_readable"),
        (b"space: left-posterior-superior", b"space dimension: 3", "nrrd_geometry"),
        (b"space: left-posterior-superior", b"space: scanner-xyz", "nrrd_geometry"),
        (b"kinds: domain domain domain", b'space units: "cm" "cm" "cm"', "nrrd_geometry"),
        (b"space directions", b"# directions", "nrrd_geometry"),
        (b"(0,-2,0)", b"(1,-2,0)", "nrrd_geometry"),
        (b"(0,-2,0)", b"(0,-2000,0)", "nrrd_geometry"),
        (b"(0,-2,0)", b"none", "nrrd_geometry"),
        (b"dimension: 3", b"dimension: 4", "three_dimensions"),
        (b"kinds: domain domain domain", b"data file: ct.raw", "nrrd_readable"),
        (b"encoding: gzip", b"encoding: zstd", "nrrd_readable"),
    ],
)
def test_nrrd_whose_place_is_not_known_is_refused(tmp_path: Path, old: bytes, new: bytes, rule: str) -> None:
    values, inside = sound()
    for name, array in (("ct", values), ("gtv", inside)):
        image = sitk.GetImageFromArray(array)
        image.SetSpacing((1.0, 2.0, 3.0))
        image.SetDirection((1, 0, 0, 0, -1, 0, 0, 0, -1))
        sitk.WriteImage(image, str(tmp_path / f"{name}.nrrd"), True)
    assert read_patient(tmp_path).source == "nrrd"
    content = (tmp_path / "ct.nrrd").read_bytes()
    assert old in content
    (tmp_path / "ct.nrrd").write_bytes(content.replace(old, new))
    with pytest.raises(Refusal, match=rf"\(rule {rule}\)$"):
        read_patient(tmp_path)


@pytest.mark.parametrize("compressed", [True, False])
@pytest.mark.parametrize("which", ["ct", "gtv"])
def test_nrrd_that_is_cut_off_is_refused(tmp_path: Path, which: str, compressed: bool) -> None:
    for name, array in zip(("ct", "gtv"), sound(), strict=True):
        put(tmp_path / f"{name}.nrrd", array, compressed=compressed)
    path = tmp_path / f"{which}.nrrd"
    path.write_bytes(path.read_bytes()[: -20 if compressed else -100])
    with pytest.raises(Refusal, match=rf"{which}.nrrd cannot be read.*\(rule nrrd_readable\)"):
        read_patient(tmp_path)


def test_nrrd_in_the_space_of_neurologists_lies_where_the_same_nifti_does(tmp_path: Path) -> None:
    """RAS in the file, LPS in the scan."""
    values, inside = sound()
    for name, array in (("ct", values), ("gtv", inside)):
        put(tmp_path / "lps" / f"{name}.nrrd", array, compressed=False)
        content = (tmp_path / "lps" / f"{name}.nrrd").read_bytes()
        header, end, voxels = content.partition(b"\n\n")
        turned_header = []
        for line in header.decode().splitlines():
            field, _, value = line.partition(": ")
            if field in ("space directions", "space origin"):
                vectors = [[float(number) for number in part.strip("()").split(",")] for part in value.split(" ")]
                value = " ".join(f"({-x!r},{-y!r},{z!r})" for x, y, z in vectors)
            turned_header.append(f"{field}: {value}" if value else line)
        (tmp_path / "ras").mkdir(exist_ok=True)
        text = "\n".join(turned_header).replace("left-posterior-superior", "right-anterior-superior")
        (tmp_path / "ras" / f"{name}.nrrd").write_bytes(text.encode() + end + voxels)
    one, other = read_patient(tmp_path / "lps"), read_patient(tmp_path / "ras")
    assert other.image.origin == pytest.approx(one.image.origin)
    assert other.image.direction == pytest.approx(one.image.direction)
    assert np.array_equal(other.image.values, one.image.values)


def test_nrrd_with_values_that_are_no_numbers_is_refused(tmp_path: Path) -> None:
    values, inside = sound()
    put(tmp_path / "ct.nrrd", np.where(values > 300, np.nan, values).astype(np.float32))
    put(tmp_path / "gtv.nrrd", inside)
    with pytest.raises(Refusal, match=r"ct\.nrrd.*\(rule finite_values\)"):
        read_patient(tmp_path)
