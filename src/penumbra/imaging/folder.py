"""The files of a patient: which files below a folder count, the same for every reader."""

import os
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from penumbra.base.refusal import Refusal

SYSTEM_FILES = frozenset(("Thumbs.db", "desktop.ini"))


def files_below(folder: Path) -> Iterator[Path]:
    """Every regular file below `folder`, in order of names.

    Hidden files, those that a system leaves, broken links and what is not a file (a pipe would never end) do not count. Links to folders are followed once,
    and never to a folder that contains this one: it holds other patients.

    Raises
    ------
    OSError
        Where a folder cannot be listed.
    """
    visited = {str(place) for place in (Path(os.path.realpath(folder)), *Path(os.path.realpath(folder)).parents)}
    for root, folders, names in os.walk(folder, followlinks=True, onerror=_raise):
        inner = {name: os.path.realpath(Path(root) / name) for name in sorted(folders) if not name.startswith(".")}
        folders[:] = [name for name, place in inner.items() if place not in visited]
        visited |= set(inner.values())
        for name in sorted(names):
            path = Path(root) / name
            if not name.startswith(".") and name not in SYSTEM_FILES and path.is_file():
                yield path


@contextmanager
def readable() -> Iterator[None]:
    """Turn an operating system error about a file into a refusal without a path: folders may be named after patients.

    Decoder errors about damaged content (no errno) pass through.

    A file that cannot be read is not a damaged one: to continue without it would silently lose a slice or use an older structure set.
    """
    try:
        yield
    except OSError as error:
        if error.errno is None:
            raise
        raise Refusal("files_readable", f"a file cannot be read ({error.strerror})", "Check the permissions and the medium") from None


@contextmanager
def understood() -> Iterator[None]:
    """Turn any unexpected error into a refusal that says where it happened: one patient's files do not stop the others."""
    try:
        yield
    except Refusal:
        raise
    except MemoryError:
        raise Refusal("memory_enough", "reading this patient needs more memory than is free", "Free memory and ingest the center again") from None
    except Exception as error:  # any bug of a reader on unusual files stops one patient only, and its place is reported
        if isinstance(error, OSError) and error.errno is not None:
            raise
        place = traceback.extract_tb(error.__traceback__)[-1]
        fault = f"the reader fails on these files ({type(error).__name__} in {Path(place.filename).name}, line {place.lineno})"
        raise Refusal("files_understood", fault, "Export the patient again; if that does not help, please report it: this error was not expected") from error


def _raise(error: OSError) -> None:
    raise error
