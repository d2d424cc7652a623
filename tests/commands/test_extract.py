"""penumbra extract: the arguments and columns of PyRadiomics' own command."""

import csv
import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from click.testing import CliRunner, Result

from penumbra.cli import main
from tests.radiomics.test_extractor import image_and_mask

RADIOMICS = Path(sys.executable).parent / "pyradiomics"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two scans with their masks, a list of cases, of which the second names a label that is not there, and a parameter file."""
    folder = tmp_path_factory.mktemp("extract")
    for name, seed in (("a", 0), ("b", 1)):
        image, mask = image_and_mask(seed=seed)
        sitk.WriteImage(image, str(folder / f"{name}.nrrd"))
        sitk.WriteImage(mask, str(folder / f"{name}-mask.nrrd"))
    rows = ("Image,Mask,Label,site", "a.nrrd,a-mask.nrrd,3,north", "a.nrrd,a-mask.nrrd,9,north", "b.nrrd,b-mask.nrrd,7,south")
    (folder / "cases.csv").write_text("\n".join(rows) + "\n")
    classes = "{shape: [VoxelVolume], firstorder: [Mean, Entropy], glcm: [Contrast]}"
    (folder / "params.yaml").write_text(f"setting: {{label: 7, binWidth: 20}}\nfeatureClass: {classes}\n")
    return folder


def extract(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["extract", *map(str, arguments)])


def test_the_rows_of_pyradiomics_own_command(folder: Path, tmp_path: Path) -> None:
    if not RADIOMICS.is_file():
        pytest.skip("PyRadiomics is not installed: nothing to compare with")
    done = extract(
        *(folder / "cases.csv", "--param", folder / "params.yaml", "--out", tmp_path / "ours.csv"),
        *("--setting", "binWidth:10", "--setting", "resampledPixelSpacing:1.5,1.5,1.5"),
    )
    assert (done.exit_code, done.stdout) == (1, "")
    assert "case 2: the mask has no voxel of label 9. Labels of this mask: 3, 7. (rule mask_label)" in done.stderr
    # its own --setting ends with an error of the YAML library of today
    same = (folder / "params.yaml").read_text().replace("binWidth: 20", "binWidth: 10, resampledPixelSpacing: [1.5, 1.5, 1.5]")
    (tmp_path / "same.yaml").write_text(same)
    theirs_too = [str(RADIOMICS), str(folder / "cases.csv"), "--param", str(tmp_path / "same.yaml"), "--out", str(tmp_path / "theirs.csv"), "--format", "csv"]
    subprocess.run(theirs_too, check=True, capture_output=True)
    ours, theirs = (list(csv.DictReader((tmp_path / name).read_text().splitlines())) for name in ("ours.csv", "theirs.csv"))
    assert list(ours[0]) == list(theirs[0])
    for our, their in zip(ours, theirs, strict=True):
        for name, value in their.items():
            if name.startswith("original_") and value:
                np.testing.assert_allclose(float(our[name]), float(value), rtol=1e-9)
            elif "Versions_PyRadiomics" not in name and "_M" not in name and "CenterOfMass" not in name:  # test_extractor.py compares those as numbers
                assert our[name] == value, name


def test_one_pair_as_lines(folder: Path) -> None:
    done = extract(folder / "a.nrrd", folder / "a-mask.nrrd", "-p", folder / "params.yaml", "-l", 3, "--format-path", "basename")
    lines = done.stdout.splitlines()
    assert (done.exit_code, lines[:2]) == (0, ["Case-1_Image: a.nrrd", "Case-1_Mask: a-mask.nrrd"])
    assert [line.partition(":")[0] for line in lines[-4:]] == [
        "Case-1_original_shape_VoxelVolume",
        *(f"Case-1_original_{name}" for name in ("firstorder_Mean", "firstorder_Entropy", "glcm_Contrast")),
    ]


@pytest.mark.parametrize("form", ["json", "parquet"])
def test_other_formats_by_the_ending_of_the_file(folder: Path, tmp_path: Path, form: str) -> None:
    out = tmp_path / f"features.{form}"
    assert extract(folder / "cases.csv", "--param", folder / "params.yaml", "--out", out).exit_code == 1
    if form == "json":
        rows = json.loads(out.read_text())
    else:
        from pyarrow import parquet

        rows = parquet.read_table(out).to_pylist()
    assert [row["site"] for row in rows] == ["north", "north", "south"]
    assert isinstance(rows[0]["original_firstorder_Mean"], float)
    assert rows[1].get("original_firstorder_Mean") is None


def test_features_without_a_value_are_left_out_where_wanted(folder: Path, tmp_path: Path) -> None:
    inside = np.zeros((24, 40, 44), dtype=np.uint8)
    inside[4:12:4, 4:12:4, 4] = 1  # no two voxels touch
    mask = sitk.GetImageFromArray(inside)
    mask.CopyInformation(sitk.ReadImage(str(folder / "a.nrrd")))
    sitk.WriteImage(mask, str(tmp_path / "mask.nrrd"))
    arguments = (folder / "a.nrrd", tmp_path / "mask.nrrd", "-p", folder / "params.yaml", "-l", 1)
    assert "Case-1_original_glcm_Contrast: nan" in extract(*arguments).stdout
    done = extract(*arguments, "--skip-nans")
    assert "Case-1_original_firstorder_Mean: " in done.stdout
    assert "nan" not in done.stdout.casefold()


def test_cases_are_looked_at_without_measuring(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "cases.csv").write_text(f"Image,Mask\n{folder / 'a.nrrd'},{folder / 'a-mask.nrrd'}\nMILLER^ANNA.nrrd,{folder / 'a-mask.nrrd'}\n")
    done = extract(tmp_path / "cases.csv", "--validate")
    assert (done.exit_code, done.stdout) == (1, "1 of 2 cases can be read; nothing was measured\n")
    assert done.stderr == "case 2: there is no file at the path given as image\n"
    assert extract(folder / "cases.csv", "--validate").exit_code == 0
    assert "unknown setting binWith" in extract(folder / "cases.csv", "--validate", "--setting", "binWith:3").stderr


@pytest.mark.slow
def test_several_at_once_give_the_same(folder: Path, tmp_path: Path) -> None:
    for jobs in (1, 2):
        extract(folder / "cases.csv", "--param", folder / "params.yaml", "--jobs", jobs, "--out", tmp_path / f"{jobs}.csv")
    assert (tmp_path / "1.csv").read_bytes() == (tmp_path / "2.csv").read_bytes() != b""


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["a.nrrd"], "there is an image without a mask. Give penumbra extract IMAGE MASK"),
        (["no-mask.csv"], "no-mask.csv has no column Mask"),
        (["empty.csv"], "empty.csv has no row below its header"),
        (["short.csv"], "line 2 of short.csv has no image or no mask"),
        (["long.csv"], "line 2 of long.csv has more cells than the header"),
        (["a.nrrd", "a-mask.nrrd", "--setting", "binWidth"], "--setting binWidth is not NAME:VALUE"),
        (["a.nrrd", "a-mask.nrrd", "--setting", "binWith:3"], "unknown setting binWith. Did you mean binWidth?"),
        (["a.nrrd", "a-mask.nrrd", "--mode", "voxel"], "makes no feature maps (--mode voxel). In Python: penumbra.radiomics.FeatureExtractor"),
        (["a.nrrd", "a-mask.nrrd", "--setting", "level:2"], "does not offer level = 2. Use FeatureExtractor(..., engine"),
    ],
)
def test_a_mistake_is_one_sentence(folder: Path, arguments: list[str], says: str) -> None:
    for name, text in {"no-mask": "Image\na", "empty": "Image,Mask\n", "short": "Image,Mask\na.nrrd,\n", "long": "Image,Mask\na.nrrd,b,c\n"}.items():
        (folder / f"{name}.csv").write_text(text)
    done = extract(*(folder / each if (folder / each).exists() else each for each in arguments))
    assert done.exit_code == 1
    assert says in done.stderr
    assert done.stdout == ""


def test_a_path_is_not_in_what_is_said_of_a_case(folder: Path, tmp_path: Path) -> None:
    (tmp_path / "MILLER^ANNA.nrrd").write_text("no image")
    (tmp_path / "cases.csv").write_text(f"Image,Mask\nMILLER^ANNA.nrrd,{folder / 'a-mask.nrrd'}\n")
    done = extract(tmp_path / "cases.csv", "--format-path", "basename")
    assert "case 1: SimpleITK cannot read the file given as image" in done.stderr
    assert "MILLER" not in done.stderr


def test_the_reference_engine_is_one_word_away(folder: Path) -> None:
    pytest.importorskip("radiomics", reason="PyRadiomics is not installed")
    done = extract(folder / "a.nrrd", folder / "a-mask.nrrd", "-p", folder / "params.yaml", "--setting", "level:2", "--engine", "pyradiomics")
    assert done.exit_code == 0
    assert "Case-1_original_firstorder_Mean: " in done.stdout
