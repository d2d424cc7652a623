"""A zip of one patient's scan: what is unpacked, and what is refused before a byte of it is.

A zip says of itself how large it is and where its files go, and neither is believed: every entry is a plain file below the folder, files get new names (theirs
may be a patient's), and what comes out is counted while it comes out.
"""

import lzma
import stat
import zipfile
import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import IO

from penumbra.base.refusal import Refusal

CHUNK = 1 << 20
MB = 1_000_000
RATIO = 200  # unpacked to packed, of the whole; a CT packs to a half or a third, and air to a fiftieth
READER_NAMES = frozenset(("ct.nii.gz", "ct.nii", "gtv.nii.gz", "gtv.nii"))  # which the reader goes by; DICOM is read by its content
# What zipfile, and the decompressors below it, raise for a zip that is cut off or damaged.
DAMAGED = (zipfile.BadZipFile, zipfile.LargeZipFile, NotImplementedError, EOFError, ValueError, RuntimeError, zlib.error, lzma.LZMAError)
ENCRYPTED = 0x1
IGNORED = ("__MACOSX",)


@dataclass(frozen=True)
class Limits:
    """files: of a zip. unpacked_mb: MB of all of them."""

    files: int
    unpacked_mb: int


def unpack(packed: IO[bytes], folder: Path, limits: Limits) -> int:
    """Unpack a zip into an empty folder; how many files.

    Parameters
    ----------
    packed
        The zip.
    folder
        Below which each directory of the zip becomes 0, 1, 2, ... and each file a number in it.

    Raises
    ------
    Refusal
        "archive_readable": `what was sent is no zip. ...`; "archive_safe": a name leaves the folder, a link, an encrypted entry; "archive_size": more files or
        more bytes than are allowed.
    """
    try:
        with zipfile.ZipFile(packed) as archive:
            entries = list(_files(archive, limits))
            size = packed.seek(0, 2)
            return _written(archive, entries, folder, min(limits.unpacked_mb * MB, max(RATIO * size, MB)))
    except DAMAGED as error:
        raise _damaged(error) from None
    except OSError as error:
        if error.errno is not None:  # of the machine, such as a full disk; bzip2's damaged stream has no number
            raise
        raise _damaged(error) from None


def _damaged(error: Exception) -> Refusal:
    return Refusal("archive_readable", f"what was sent is no zip that can be read ({type(error).__name__})", "send one patient's folder as a zip")


def _files(archive: zipfile.ZipFile, limits: Limits) -> Iterator[zipfile.ZipInfo]:
    infos = archive.infolist()
    if len(infos) > 2 * limits.files:
        raise Refusal("archive_size", f"the zip has {len(infos)} entries", f"send one patient's scan; at most {limits.files} files (serve_model.files)")
    count = 0
    for info in infos:
        path = PurePosixPath(info.filename)
        if info.filename.startswith("/") or "\\" in info.orig_filename or ":" in info.filename or ".." in path.parts or "\x00" in info.orig_filename:
            raise Refusal("archive_safe", "a file of the zip would leave its folder", "pack the folder again, with relative names")
        kind = stat.S_IFMT(info.external_attr >> 16)
        if kind not in (0, stat.S_IFREG, stat.S_IFDIR):
            raise Refusal("archive_safe", "the zip holds a link or a device", "pack plain files")
        if info.flag_bits & ENCRYPTED:
            raise Refusal("archive_safe", "the zip is encrypted", "pack it without a password; the line is what is to be encrypted")
        if info.is_dir() or path.parts[:1] == IGNORED or path.name.startswith("."):
            continue
        count += 1
        if count > limits.files:
            raise Refusal("archive_size", f"the zip has more than {limits.files} files", "send one patient's scan (serve_model.files)")
        yield info
    if not count:
        raise Refusal("archive_readable", "the zip holds no file", "send one patient's folder as a zip")


def _written(archive: zipfile.ZipFile, entries: list[zipfile.ZipInfo], folder: Path, most: int) -> int:
    """Bytes are counted as they come out: the sizes that a zip declares are its sender's."""
    folders: dict[str, Path] = {}
    remaining = most
    for number, info in enumerate(entries):
        path = PurePosixPath(info.filename)
        place = folders.setdefault(str(path.parent), folder / str(len(folders)))
        place.mkdir(exist_ok=True)
        name = path.name.lower() if path.name.lower() in READER_NAMES else str(number)
        with archive.open(info) as source, (place / name).open("xb") as target:
            while chunk := source.read(CHUNK):
                remaining -= len(chunk)
                if remaining < 0:
                    raise Refusal("archive_size", f"the zip unpacks to more than {most // MB} MB", "send one patient's scan (serve_model.unpacked_mb)")
                target.write(chunk)
    return len(entries)
