"""Names, versions and margins; and the own engine on real patients."""

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import pytest

from penumbra.base.params import ParamsError
from penumbra.bench.parity import TOLERANCE, differences
from penumbra.bench.patients import with_rings
from penumbra.imaging import Mask, Scan, read_patient
from penumbra.radiomics import engine_version, extract, feature_names, libraries, required_margin_mm
from penumbra.store import version_key

from .conftest import SHARED

pytestmark = pytest.mark.numeric

REAL = ("nsclc/maastro/M029", "nsclc/radiogenomics/R334")


def test_names_are_pyradiomics_own(parameter_file: Path) -> None:
    names = feature_names(parameter_file)
    assert len(names) == len(set(names)) == 1316
    assert names[0] == "original_shape_Elongation"
    assert {"wavelet-LLH_glcm_Imc1", "log-sigma-1-0-mm-3D_ngtdm_Strength", "original_firstorder_10Percentile"} <= set(names)
    assert not any(name.endswith(("StandardDeviation", "Compactness1", "Dissimilarity", "Homogeneity1")) for name in names)


def test_importing_the_room_loads_nothing_heavy() -> None:
    heavy = "numba, scipy, SimpleITK, radiomics, pywt, numpy"
    program = f"import sys, penumbra.radiomics; sys.exit(any(name in sys.modules for name in {heavy.split(', ')!r}))"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


def test_margin_is_decided_by_the_widest_filter(parameter_file: Path) -> None:
    assert required_margin_mm(parameter_file) == 60.0
    assert required_margin_mm({"imageType": {"Original": {}}}) == 8.0


def test_versions_name_what_decides_the_values() -> None:
    assert engine_version()["engine"] == "penumbra"
    assert set(engine_version()) == {"engine", "engine_version", "pyradiomics", "PyWavelets", "numba", "numpy"}
    assert set(engine_version("pyradiomics")) == {"engine", "pyradiomics", "SimpleITK", "PyWavelets", "numpy"}


@pytest.mark.parametrize("engine", ["penumbra", "pyradiomics"])
def test_another_library_of_the_range_is_no_other_definition(monkeypatch: pytest.MonkeyPatch, engine: str) -> None:
    """It was one: every upgrade of numpy or numba computed all features again."""
    key, installed = version_key(engine_version(engine)), libraries(engine)
    monkeypatch.setattr(importlib.metadata, "version", lambda name: "3.0.1" if name == "pyradiomics" else "9.9.9")
    assert version_key(engine_version(engine)) == key == {"penumbra": "7af51eecb13f", "pyradiomics": "bfa7ec4e9dfa"}[engine], "of every home there is"
    assert set(libraries(engine).items()) & set(installed.items()) <= {("pyradiomics", "3.0.1")}


def test_unknown_engine(simulated: tuple[Scan, dict[str, Mask]], parameter_file: Path) -> None:
    scan, masks = simulated
    with pytest.raises(ParamsError, match=r"unknown engine 'mirp'\. Known: penumbra, pyradiomics"):
        extract(scan, masks, parameter_file, engine="mirp")


@pytest.mark.slow
@pytest.mark.parametrize("patient", REAL)
def test_real_patient(patient: str, parameter_file: Path) -> None:
    folder = SHARED / "data" / patient
    if not folder.exists():
        pytest.skip("the real crops are not next to the repository")
    scan, masks = with_rings(read_patient(folder))
    found = differences(scan, masks, parameter_file)
    for name, largest in zip(feature_names(parameter_file), found.max(axis=0), strict=True):
        assert largest <= TOLERANCE, name
