"""Files and folders that are there whole or not at all, also after a crash. Standard library only: penumbra.network runs where nothing else is."""

import contextlib
import os
import re
from collections.abc import Iterator
from pathlib import Path


def write_whole(path: Path, content: str | bytes) -> Path:
    """Write a file, and the folders above it, so that a reader, or a run after a crash, finds the old content or the new and never half of it."""
    with whole_file(path) as fresh:
        fresh.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A new name for what is to become the file, or link, `path`: it replaces `path` when the block ends, and is removed where the block fails."""
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = _fresh(path)
    try:
        yield fresh
        if not fresh.is_symlink():
            _sync(fresh)
        fresh.replace(path)
        _sync(path.parent)
    finally:
        fresh.unlink(missing_ok=True)


@contextlib.contextmanager
def whole_folder(path: Path, *, durable: bool = True) -> Iterator[Path]:
    """A new folder that replaces the folder `path` when the block ends, and is removed where the block fails.

    Parameters
    ----------
    durable
        Whether every file is on the disk before; False spares the wait where thousands of files can be made again.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh, old = _fresh(path), _fresh(path, "old.")
    fresh.mkdir()
    try:
        yield fresh
        for part in (*fresh.rglob("*"), fresh) if durable else ():
            _sync(part)
        if path.exists():
            path.rename(old)
        fresh.rename(path)
        if durable:
            _sync(path.parent)
    finally:
        _remove(fresh)
        _remove(old)


def _fresh(path: Path, mark: str = "") -> Path:
    """A free name next to `path` that ends in the number of this process; what killed processes left under such names is removed."""
    ours = re.compile(rf"\.{re.escape(path.name)}\.(?:old\.)?(\d+)(?:-[a-z]+)?")  # -wal, -journal: next to a database
    for name in os.listdir(path.parent):  # noqa: PTH208
        match = ours.fullmatch(name)
        if match and not os.path.exists(f"/proc/{match[1]}"):  # noqa: PTH110
            _remove(path.parent / name)
    fresh = path.with_name(f".{path.name}.{mark}{os.getpid()}")
    _remove(fresh)
    return fresh


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        import shutil

        shutil.rmtree(path, ignore_errors=True)
    else:
        path.unlink(missing_ok=True)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
