"""The record of a patient's files, so that they are reread only if something has changed."""

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from penumbra.base.whole_files import write_whole
from penumbra.imaging.folder import files_below
from penumbra.store.version import version_key

READER = 5  # raise when the same files and settings give other voxels, or another refusal, than before: every scan becomes a new image_version
RECORD_FILE = "record.json"
NAMED_FILES = (".nii", ".nii.gz", ".nrrd", ".mha")  # their names distinguish image and mask


@dataclass(frozen=True)
class Evidence:
    """What a record was made from.

    Parameters
    ----------
    files
        Digest of all file contents, see `folder_digest`.
    settings
        Grid, margins and limits.
    names
        Of all structures that the files hold, each as it may be kept (`GtvNames.stored`).
    matched
        The policy and the names taken for the GTV, in order of preference.
    asked
        Digest of the patterns and words that they were matched with.
    """

    files: str
    settings: Mapping[str, Any]
    names: tuple[str, ...]
    matched: tuple[str, ...]
    asked: str


@dataclass(frozen=True)
class Record:
    """Rows of `images` and `rois` of one patient, without the patient, and the evidence they rest on."""

    evidence: Evidence
    image: Mapping[str, Any]
    rois: tuple[Mapping[str, Any], ...]


def folder_digest(folder: Path) -> str:
    """SHA-256 over the sorted contents of all files below a patient's folder; moved and renamed DICOM files change nothing.

    Raises
    ------
    OSError
        Where a file cannot be read.
    """
    digests = []
    for path in files_below(folder):
        with path.open("rb") as stream:
            digest = hashlib.file_digest(stream, "sha256").hexdigest()
        digests.append(f"{path.name.lower()}:{digest}" if path.name.lower().endswith(NAMED_FILES) else digest)
    return hashlib.sha256("\n".join(sorted(digests)).encode()).hexdigest()


def image_version(files: str, roi_name: str | None, *, grid_mm: float, margin_mm: float, periodic_mm: float) -> str:
    """The key of a scan on the grid: the same files, GTV and settings give the same version on every machine.

    Parameters
    ----------
    files
        Digest of all file contents.
    roi_name
        Of the structures that became the GTV.
    """
    grid_settings = {"grid_mm": float(grid_mm), "margin_mm": float(margin_mm), "periodic_mm": float(periodic_mm)}
    return version_key({"files": files, "roi_name": roi_name, **grid_settings, "reader": READER})


def has_records(home: Path) -> bool:
    """Whether anything was read for this patient before; `home` is the folder of the patient's versions."""
    return any(home.glob(f"*/{RECORD_FILE}"))


def find_record(home: Path, files: str, settings: Mapping[str, Any]) -> Record | None:
    """The record of an earlier reading of the same files with the same settings, or None.

    Parameters
    ----------
    home
        Folder of one patient's versions.
    """
    for path in sorted(home.glob(f"*/{RECORD_FILE}")):
        if path.parent.name.startswith("."):
            continue
        content = json.loads(path.read_text(encoding="utf-8"))
        about = content["evidence"]
        if about["files"] == files and about["settings"] == dict(settings) and content["reader"] == READER:
            evidence = Evidence(files, settings, tuple(about["names"]), tuple(about["matched"]), about.get("asked", ""))
            return Record(evidence, content["image"], tuple(content["rois"]))
    return None


def write_record(folder: Path, record: Record) -> None:
    """Write the record into the folder of its scan, whole or not at all."""
    write_whole(folder / RECORD_FILE, json.dumps({"reader": READER, **asdict(record)}, indent=1, sort_keys=True) + "\n")
