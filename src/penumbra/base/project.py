"""Where the declarations are: in a project of one's own, in the checkout that the program runs from, or in the package. Standard library only.

A project is a folder that `penumbra init` made; commands find it from any folder below it, as git finds its own. In src/ the folder penumbra/defaults
holds links to the declarations at the top of the checkout; an installed package has the files themselves there.
"""

import contextlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Final

MADE_FROM: Final = ".penumbra/defaults.json"  # the defaults that a project was made from; what marks a folder as a project
DEFAULTS: Final = Path(__file__).resolve().parents[1] / "defaults"
EXPERIMENTS: Final = (".dvc", "tmp", "exps")  # below a project: where DVC copies it for an experiment that runs outside the workspace
OF_PROGRAM: Final = ("schema", "views", "catalogue.csv", "queries.sql")  # of features/: no project keeps these, they belong to the code


def enclosing() -> Path | None:
    """The project that the current folder is in or below; None outside one."""
    with contextlib.suppress(OSError):
        here = Path.cwd()
        return next((folder for folder in (here, *here.parents) if os.path.isfile(folder / MADE_FROM)), None)  # noqa: PTH113 Path.is_file raises where it may not look
    return None


def of_state(home: Path | str) -> Path | None:
    """The project whose data/ a state folder is; None where it is not in one that `penumbra init` made."""
    place = Path(os.path.abspath(home))  # noqa: PTH100 links stay: data/ may be one to another disk
    return place.parent if place.name == "data" and os.path.isfile(place.parent / MADE_FROM) else None  # noqa: PTH113 as above


def experiment() -> "Experiment | None":
    """The copy of a project that the current folder is in or below, made by `dvc exp run --temp` or by its queue; None in the workspace."""
    with contextlib.suppress(OSError):
        here = Path.cwd()
        parts, length = here.parts, len(EXPERIMENTS)
        at = next((i for i in range(len(parts) - length, 0, -1) if parts[i : i + length] == EXPERIMENTS), None)
        if at is not None:
            return next((Experiment(copy, Path(*parts[:at])) for copy in (here, *here.parents) if len(copy.parts) > at + length and _is_declared(copy)), None)
    return None


def _is_declared(folder: Path) -> bool:
    return all(os.path.isfile(folder / name) for name in ("params.yaml", "dvc.yaml"))  # noqa: PTH113 as above


@dataclass(frozen=True)
class Experiment:
    """copy: the folder with the declarations of the experiment. project: the one that it was copied from, which has the state."""

    copy: Path
    project: Path


def checkout() -> Path | None:
    """The checkout that this program runs from; None for an installed package."""
    root = Path(__file__).resolve().parents[3]
    return root if (DEFAULTS / "params.yaml").is_symlink() and (root / "params.yaml").is_file() else None


def part_of(features: Path, name: str) -> Path:
    """A part of the folder features/ that comes with the program (OF_PROGRAM): from `features` where it is there, as in a checkout, else from the package."""
    path = features / name
    return path if path.exists() else DEFAULTS / "features" / name


def is_made(root: Path) -> bool:
    """Whether `penumbra init` made this project."""
    return (root / MADE_FROM).is_file()
