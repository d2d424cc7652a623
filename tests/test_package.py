"""What the package declares, carries, and does without."""

import ast
import importlib.metadata
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from .english import ROOT

PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
DECLARED = [Requirement(line) for line in [*PROJECT["dependencies"], *(line for extra in PROJECT["optional-dependencies"].values() for line in extra)]]
BENCHMARK = {"torch"}  # in a folder of its own: requirements-bench.in


def listed(file: str) -> list[Requirement]:
    lines = (line.split("#")[0].strip() for line in (ROOT / file).read_text(encoding="utf-8").splitlines())
    return [Requirement(line) for line in lines if line]


def test_the_package_declares_what_the_lock_is_made_from() -> None:
    """`dependencies = []`: the package could not be used without a checkout."""
    assert sorted({canonicalize_name(each.name) for each in DECLARED}) == sorted(canonicalize_name(each.name) for each in listed("requirements.in"))


def test_what_the_lock_pins_lies_in_the_declared_ranges() -> None:
    lock = (ROOT / "requirements.lock").read_text(encoding="utf-8")
    pinned = {canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==(\S+)", lock, re.MULTILINE)}
    assert [f"{each} {pinned[canonicalize_name(each.name)]}" for each in DECLARED if not each.specifier.contains(pinned[canonicalize_name(each.name)])] == []


def test_every_library_of_the_core_has_a_range_that_ends() -> None:
    """Of a later release nobody knows; packaging is dated, and changes little."""
    core = [Requirement(line) for line in PROJECT["dependencies"]]
    assert [each.name for each in core if not any(part.operator in ("<", "==") for part in each.specifier)] == ["packaging"]


def test_every_import_is_declared() -> None:
    modules: set[str] = set()
    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").glob("*.py")]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Import):
                modules |= {alias.name.split(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module:
                modules.add(node.module.split(".")[0])
    of_module, declared = importlib.metadata.packages_distributions(), {canonicalize_name(each.name) for each in DECLARED}
    foreign = modules - sys.stdlib_module_names - {"penumbra", "_typeshed"} - BENCHMARK
    assert {module for module in foreign if not declared & {canonicalize_name(name) for name in of_module.get(module, ())}} == set()


WITHOUT = """
import sys
sys.modules["radiomics"] = None
import importlib.util
found = importlib.util.find_spec
importlib.util.find_spec = lambda name, package=None: None if name.startswith("radiomics") else found(name, package)
import numpy as np
from penumbra.imaging import Mask, Scan, Volume
from penumbra.radiomics import extract
gtv = np.zeros((12, 12, 12), dtype=bool)
gtv[3:8, 3:9, 4:8] = True
image = np.random.default_rng(0).integers(-100, 100, gtv.shape).astype(np.int16)
scan = Scan(Volume(image, (1.0, 1.0, 1.0)), Mask(gtv, (1.0, 1.0, 1.0)))
settings = {"featureClass": {"shape": ["MeshVolume", "Sphericity"], "firstorder": ["Mean"]}}
print(extract(scan, {"gtv": scan.gtv}, settings)["gtv"]["original_shape_MeshVolume"])
try:
    extract(scan, {"gtv": scan.gtv}, settings, engine="pyradiomics")
except Exception as error:
    print(error)
"""


@pytest.mark.slow
def test_the_core_works_without_pyradiomics_and_says_what_would_need_it() -> None:
    """The own engine asked PyRadiomics for the mesh of a cube, and imported a library that needs a compiler."""
    done = subprocess.run([sys.executable, "-c", WITHOUT], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    volume, refused = done.stdout.splitlines()
    assert 5 * 6 * 4 * 0.8 < float(volume) < 5 * 6 * 4
    assert "radiomics is not installed" in refused
    assert 'pip install "penumbra-survival[reference]". (rule extra_installed)' in refused


def test_an_import_of_an_extra_is_asked_for_first() -> None:
    """Where it is missing, a sentence names the extra instead of a traceback."""
    from penumbra.base.extras import EXTRAS

    for path in [*(ROOT / "src").rglob("*.py"), *(ROOT / "flows").glob("*.py")]:
        text = path.read_text(encoding="utf-8")
        for module in EXTRAS:
            if re.search(rf"^\s+(?:from|import) {module}\b", text, re.MULTILINE):
                assert f'require("{module}")' in text, path
            assert not re.search(rf"^(?:from|import) {module}\b", text, re.MULTILINE), path


def test_the_defaults_of_the_package_are_the_declarations_at_the_top() -> None:
    """One source: links in the checkout, files in the wheel."""
    from penumbra.base.project import DEFAULTS, OF_PROGRAM

    assert {path.name: path.resolve() for path in DEFAULTS.iterdir()} == {name: ROOT / name for name in ("params.yaml", "dvc.yaml", "features", "models")}
    assert [name for name in OF_PROGRAM if not (DEFAULTS / "features" / name).exists()] == []
    assert [Path(path) for path in subprocess.run(["git", "ls-files", "src/penumbra/defaults"], cwd=ROOT, capture_output=True, text=True).stdout.split()] == [
        Path("src/penumbra/defaults") / name for name in ("dvc.yaml", "features", "models", "params.yaml")
    ]
