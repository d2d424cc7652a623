"""A Python environment that holds what a logged model asks for, and nothing else: made offline, from the packages installed here."""

import subprocess
import sys
from importlib.metadata import distribution
from pathlib import Path

from packaging.requirements import Requirement

PROGRAMS = ("mlflow", "uvicorn")  # which `mlflow models serve` starts by name


def empty_environment(folder: Path, requirements: list[str]) -> Path:
    """Make a virtual environment with the requirements and all that they require in turn, each in the version that is installed here; its Python."""
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    site = next((folder / "lib").glob("python*/site-packages"))
    taken: set[tuple[str, frozenset[str]]] = set()
    waiting = [Requirement(line) for line in requirements]
    for wanted in waiting:  # grows
        extras = frozenset(wanted.extras)
        if (wanted.name, extras) in taken:
            continue
        taken.add((wanted.name, extras))
        found = distribution(wanted.name)
        assert wanted.specifier.contains(found.version, prereleases=True), f"{wanted} is asked for, {found.version} is installed"
        for top in {str(path).split("/")[0] for path in found.files or () if not str(path).startswith("..")}:
            if top != "__pycache__" and not (site / top).exists():
                (site / top).symlink_to(Path(str(found.locate_file(top))))
        for line in found.requires or ():
            inner = Requirement(line)
            if inner.marker is None or any(inner.marker.evaluate({"extra": extra}) for extra in ("", *extras)):
                waiting.append(inner)
    python = folder / "bin" / "python"
    for name in PROGRAMS:
        program = folder / "bin" / name
        program.write_text("\n".join([f"#!{python}", *Path(sys.executable).with_name(name).read_text().splitlines()[1:]]))
        program.chmod(0o755)
    return python
