"""Links below a center's folder: followed within the cohort and under declared roots, never out of them.

The sender of a folder also chooses where its links lead: to /etc, to another center's patients, to a whole archive.
"""

import json
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from penumbra.base.refusal import Refusal

RULE = "link_within_cohort"
MAX_ROOTS = 5  # in the line to add to params.yaml


@dataclass(frozen=True)
class Roots:
    """The folders under which a link may lead.

    Parameters
    ----------
    places
        As the system resolves them.
    declared
        Those of ingest.roots, as they are written.
    """

    places: tuple[str, ...]
    declared: tuple[str, ...] = ()

    def hold(self, target: str) -> bool:
        """Whether a resolved path is one of the folders or below one.

        Parameters
        ----------
        target
            The path.

        Returns
        -------
        bool
            True: a link may lead there.
        """
        return any(target == place or target.startswith(f"{place}/") for place in self.places)


@dataclass(frozen=True)
class Leaving:
    """A link to something that exists elsewhere. path: of the link below the folder that was walked. target: resolved."""

    path: Path
    target: Path


def cohort_of(folder: Path) -> str | None:
    """The cohort that a center's folder belongs to: the folder that holds it; None where that is the root of the file system."""
    parent = str(Path(os.path.realpath(folder)).parent)
    return None if parent == os.sep else parent


def roots_of(folder: Path, declared: Sequence[str] = (), earlier_cohorts: Collection[str] = ()) -> Roots:
    """Where links below a center's folder may lead.

    Parameters
    ----------
    folder
        Of the center, itself a link or not.
    declared
        ingest.roots of params.yaml, absolute paths.
    earlier_cohorts
        Cohorts that arrived here before.
    """
    places = [os.path.realpath(folder), cohort_of(folder), *(os.path.realpath(root) for root in declared), *earlier_cohorts]
    return Roots(tuple(dict.fromkeys(place for place in places if place)), tuple(declared))


def walk(folder: Path, roots: Roots, unreadable: list[Path] | None = None) -> Iterator[Path | Leaving]:
    """Every regular file below `folder`, and every link that leads out and is not followed, in no fixed order.

    What a link leads to is read once, and never where it holds the folder itself; broken links, loops of links, pipes and devices hold nothing.

    Parameters
    ----------
    unreadable
        Where given, a folder that may not be listed is added to it, and nothing is raised.

    Raises
    ------
    OSError
        Where a folder cannot be listed.
    """
    real = os.path.realpath(folder)
    visited = {real, *map(str, Path(real).parents)}
    waiting = [(str(folder), real)]
    while waiting:
        place, resolved = waiting.pop()
        try:
            listed = os.scandir(place)
        except OSError:
            if unreadable is None:
                raise
            unreadable.append(Path(place))
            continue
        with listed as entries:
            for entry in entries:
                if not entry.is_symlink():
                    if entry.is_dir():
                        inner = f"{resolved}/{entry.name}"
                        if inner not in visited:
                            visited.add(inner)
                            waiting.append((entry.path, inner))
                    elif entry.is_file():
                        yield Path(entry.path)
                    continue
                is_folder = _holds(entry.is_dir)
                if not is_folder and not _holds(entry.is_file):
                    continue
                target = os.path.realpath(entry.path)
                if not roots.hold(target):
                    yield Leaving(Path(entry.path).relative_to(folder), Path(target))
                elif not is_folder:
                    yield Path(entry.path)
                elif target not in visited:
                    visited.add(target)
                    waiting.append((entry.path, target))


def refuse_leaving(folder: Path, center_folder: Path, roots: Roots) -> None:
    """Refuse a patient's folder, or a file of the center, that is or contains a link out of the cohort. Hidden entries are ignored.

    Parameters
    ----------
    folder
        Of the patient, or a file of the center.
    center_folder
        That it is in.
    roots
        Where links may lead.

    Raises
    ------
    Refusal
        "link_within_cohort", with the line to add.
    OSError
        Where a folder cannot be listed.
    """
    leaving: list[Leaving] = []
    if folder.is_symlink() and not roots.hold(target := os.path.realpath(folder)):
        leaving = [Leaving(Path(), Path(target))]
    elif folder.is_dir():
        leaving = [entry for entry in walk(folder, roots) if isinstance(entry, Leaving) and not any(part.startswith(".") for part in entry.path.parts)]
    if leaving:
        inside = len(folder.relative_to(center_folder).parts)
        roots_to_add = list(dict.fromkeys(_root(entry, inside + len(entry.path.parts)) for entry in leaving))[:MAX_ROOTS]
        line = f"roots: {json.dumps([*roots.declared, *roots_to_add], ensure_ascii=False)}"
        what = "1 link leads" if len(leaving) == 1 else f"{len(leaving)} links lead"
        raise Refusal(RULE, f"{what} out of the cohort", f"Send the files themselves, or allow the folder in params.yaml, group ingest: {line}")


def _root(entry: Leaving, depth: int) -> str:
    """The folder to declare: as far above the target as the link is below the center's folder, so that it names no patient."""
    parts = entry.target.parts
    return str(Path(*parts[: max(2, len(parts) - depth)]))


def _holds(ask: Callable[[], bool]) -> bool:
    try:
        return bool(ask())
    except OSError:  # a loop of links, or a target without permission
        return False
