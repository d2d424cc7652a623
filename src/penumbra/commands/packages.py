"""Whether the libraries are those that the lock file of a checkout pins, or that an installed package declares."""

import importlib.metadata
from collections.abc import Iterator
from typing import NamedTuple

from penumbra.base import project
from penumbra.base.params import project_root

LOCK = "requirements.lock"
ENGINES = ("SimpleITK", "pydicom", "pyradiomics", "numba", "jax", "flax", "duckdb", "duckdb-extension-ducklake", "mlflow", "prefect", "dvc")
OPTIONAL = "pyradiomics"


class Looked(NamedTuple):
    """As a finding of penumbra doctor."""

    what: str
    ok: bool
    finding: str


def installed() -> Iterator[Looked]:
    """What is wanted, whether it is installed as it is wanted, and what was found."""
    if not project.checkout() and (project_root() == project.DEFAULTS or project.is_made(project_root())):
        yield from _declared()
        return
    root = project.checkout() if project.is_made(project_root()) else None
    try:
        lock = ((root or project_root()) / LOCK).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        problem = "there is none in the project" if isinstance(error, FileNotFoundError) else "it cannot be read"
        yield Looked(LOCK, False, f"{problem}; restore it from git, or set PENUMBRA_PROJECT to a whole checkout")
        lock = ""
    pinned = dict(line.split(" ")[0].split("==", 1) for line in lock.splitlines() if "==" in line and line[0] != " ")
    for name in ENGINES:
        try:
            version = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            optional = "needed for populate.engine: pyradiomics alone" if name == OPTIONAL and name not in pinned else ""
            yield Looked(name, bool(optional), f"not installed; {optional or 'run make setup'}")
            continue
        pin = pinned.get(name.lower(), version)
        yield Looked(name, version == pin, version if version == pin else f"{version}, but requirements.lock pins {pin}; run make setup")


def _declared() -> Iterator[Looked]:
    """Whether what the package declares is installed; of an extra, what is there of it."""
    from packaging.requirements import Requirement

    wrong = 0
    declared = [Requirement(line) for line in importlib.metadata.requires("penumbra-survival") or ()]
    for requirement in declared:
        extra = requirement.marker is not None and not requirement.marker.evaluate({"extra": ""})
        try:
            version = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            if not extra:
                wrong += 1
                yield Looked(requirement.name, False, "not installed; run pip install penumbra-survival again")
            continue
        if not requirement.specifier.contains(version, prereleases=True):
            wrong += 1
            finding = f"{version}, but this penumbra needs {requirement.specifier}; run pip install penumbra-survival again"
            yield Looked(requirement.name, False, finding)
    if not wrong:
        count = sum(requirement.marker is None for requirement in declared)
        yield Looked("packages", True, f"{count} that the package declares are installed, each in its range")
