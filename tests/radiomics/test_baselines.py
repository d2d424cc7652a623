"""PyRadiomics' own baselines, which come with its source: its images and the values that its tests compare with, read in place."""

import ast
import csv
import os
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
import SimpleITK as sitk

from penumbra.radiomics import FeatureExtractor

pytestmark = [pytest.mark.numeric, pytest.mark.slow]

CLASSES = ("firstorder", "glcm", "gldm", "glrlm", "glszm", "ngtdm", "shape")
CONFIGURATION = "diagnostics_Configuration_"
# What PyRadiomics 3.0.1 itself gives as these engines do: its baseline is of version 2.0.1, with another mesh of brain1's label.
ANOTHER_MESH = frozenset(f"original_shape_{name}" for name in ("MeshVolume", "SurfaceArea", "SurfaceVolumeRatio", "Sphericity"))


def source() -> Path:
    """The folder data/ of PyRadiomics' source: PYRADIOMICS_SOURCE, or where uv built the package."""
    caches = Path(os.environ.get("UV_CACHE_DIR") or Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "uv")
    places = [Path(os.environ["PYRADIOMICS_SOURCE"]) / "data"] if "PYRADIOMICS_SOURCE" in os.environ else []
    for place in (*places, *sorted(caches.glob("sdists-v*/pypi/pyradiomics/3.0.1/*/src/data"))):
        if (place / "baseline" / "baseline_shape.csv").is_file() and (place / "brain1_image.nrrd").is_file():
            return place
    pytest.skip("no source of PyRadiomics 3.0.1: PYRADIOMICS_SOURCE names none, and uv has kept none from building it")


@cache
def picture(path: Path) -> sitk.Image:
    return sitk.ReadImage(str(path))


def cases(feature_class: str) -> Iterator[tuple[str, dict[str, str]]]:
    """Name of the case -> its settings and its values, as texts."""
    with (source() / "baseline" / f"baseline_{feature_class}.csv").open(encoding="utf-8", newline="") as stream:
        head, *rows = csv.reader(stream)
    for column, name in enumerate(head[1:], start=1):
        yield name, {row[0]: row[column] for row in rows}


def measured(feature_class: str, case: dict[str, str]) -> dict[str, float]:
    extractor = FeatureExtractor(**ast.literal_eval(case[f"{CONFIGURATION}Settings"]))
    extractor.disableAllFeatures()
    extractor.enableFeatureClassByName(feature_class)
    extractor.disableAllImageTypes()
    extractor.enableImageTypes(**ast.literal_eval(case[f"{CONFIGURATION}EnabledImageTypes"]))
    patient = case[f"{CONFIGURATION}TestCase"]
    return extractor.execute(picture(source() / f"{patient}_image.nrrd"), picture(source() / f"{patient}_label.nrrd"))


@pytest.mark.parametrize("feature_class", CLASSES)
@pytest.mark.parametrize("patients", [("brain2", "breast1"), pytest.param(("brain1", "lung1", "lung2"), marks=pytest.mark.matrix)], ids="+".join)
def test_every_baseline_of_pyradiomics_is_met(feature_class: str, patients: tuple[str, ...]) -> None:
    compared = 0
    for name, case in cases(feature_class):
        if case[f"{CONFIGURATION}TestCase"] not in patients:
            continue
        values = measured(feature_class, case)
        for feature, text in case.items():
            if not feature.startswith("diagnostics_"):
                tolerance = 1e-3 if name == "brain1" and feature in ANOTHER_MESH else 1e-11
                assert values[feature] == pytest.approx(float(text), rel=tolerance, abs=1e-15), (name, feature)
                compared += 1
    assert compared >= 50
