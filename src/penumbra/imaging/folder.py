"""The files of a patient: what below a folder counts, for every reader of it alike."""

import os
from collections.abc import Iterator
from pathlib import Path

SYSTEM_FILES = frozenset(("Thumbs.db", "desktop.ini"))


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below `folder`, in order of names. Hidden files, those that a system leaves, broken links and what is no file (a pipe would
    never end) do not count. Links to folders are followed once, and never to a folder that holds this one: other patients lie there.

    Raises OSError where a folder cannot be listed.
    """
    seen = {str(place) for place in (Path(os.path.realpath(folder)), *Path(os.path.realpath(folder)).parents)}
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        inner = {name: os.path.realpath(Path(root) / name) for name in sorted(folders) if not name.startswith(".")}
        folders[:] = [name for name, place in inner.items() if place not in seen]
        seen |= set(inner.values())
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and name not in SYSTEM_FILES and path.is_file():
                yield path


def _raise(error: OSError) -> None:
    raise error
