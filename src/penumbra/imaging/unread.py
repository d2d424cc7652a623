"""Why nothing could be read from a patient's folder: what it contains, and what is expected."""

import re
from collections import Counter
from collections.abc import Iterable
from pathlib import Path

from penumbra.base.refusal import Refusal
from penumbra.imaging.folder import files_below

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz", ".tar.bz2", ".tar.xz", ".7z", ".rar")
EXPECTED = "Name the image ct.nii.gz and the mask of the GTV gtv.nii.gz (or .nii, or .nrrd) in the patient's folder, or send DICOM"
_UNPACK = "Unpack it into the patient's folder"
_VOLUMES = (".nii.gz", ".nii", ".seg.nrrd", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr", ".img", ".img.gz", ".npy", ".npz", ".mat")
# Words that a file may be shown by; any other part of a name could be a person's or an identifier.
_WORDS = frozenset(
    re.findall(
        r"\w+",
        """copy cropped ct ctv dose final gtv gtvp image images img l label labels left lesion lung mask masks mr
        new old orig original pet plan planning primary ptv r resampled right roi scan seg segmentation tumor tumor vol volume""",
    )
)


def nothing_read(folder: Path, files: int, *, image: bool, mask: bool, foreign: str = "") -> Refusal:
    """The refusal of a folder without a CT.

    Parameters
    ----------
    files
        How many there are.
    image, mask
        Whether a file by the expected name was found.
    foreign
        What DICOM of other modalities was found, in words.
    """
    volumes, archives = _volumes(folder), packed(folder)
    if image or mask:
        others = f"; found: {volumes}" if volumes else ""
        return Refusal("nifti_pair", f"{'gtv.nii.gz' if image else 'ct.nii.gz'} is missing{others}", EXPECTED)
    if archives:
        return Refusal("archive_unpacked", f"no CT, but {archives}", _UNPACK)
    if volumes:
        return Refusal("nifti_pair", f"no pair of ct.nii.gz and gtv.nii.gz; found: {volumes}", EXPECTED)
    fault = f"no CT slice among {files} files{foreign}"
    return Refusal("ct_found", fault, "Send the DICOM files of the planning CT with its structure set, or ct.nii.gz and gtv.nii.gz")


def no_contours(folder: Path, *, mask: bool) -> Refusal:
    """The refusal of a folder that holds a DICOM CT alone."""
    archives = packed(folder)
    if archives:
        return Refusal("archive_unpacked", f"no RTSTRUCT and no DICOM SEG with the CT, but {archives}", _UNPACK)
    fault, advice = "no RTSTRUCT and no DICOM SEG with the CT", "Send the structure set that holds the GTV"
    volumes = _volumes(folder)
    if mask or volumes:
        return Refusal("contours_found", f"{fault}, but {volumes}", f"{advice}, or the CT as ct.nii.gz on the grid of a mask gtv.nii.gz")
    return Refusal("contours_found", fault, advice)


def packed(folder: Path) -> str:
    """The archives below a folder, in words; empty where there are none."""
    kinds = Counter(kind for path in files_below(folder) if (kind := _ending(path, ARCHIVES)))
    return " and ".join(f"{count} {kind} archive{'s' if count > 1 else ''}" for kind, count in sorted(kinds.items()))


def _volumes(folder: Path) -> str:
    names = [_public_name(path, ending) for path in files_below(folder) if (ending := _ending(path, _VOLUMES))]
    counts = Counter(names)
    listed = [name if count == 1 else f"{count} x {name}" for name, count in sorted(counts.items())]
    return ", ".join(listed[:6]) + (f" and {len(listed) - 6} more" if len(listed) > 6 else "")


def _public_name(path: Path, ending: str) -> str:
    """The name where it holds nothing but known words and small numbers, otherwise what kind of file it is."""
    parts = [part for part in re.split(r"[\W_]+|(?<=[a-z])(?=\d)", path.name[: -len(ending)].lower()) if part]
    harmless = bool(parts) and all(part in _WORDS or re.fullmatch(r"\d{1,2}", part) for part in parts)
    return path.name if harmless else f"a {ending} file of another name"


def _ending(path: Path, endings: Iterable[str]) -> str:
    """The longest of these endings that a file's name has, capitals apart."""
    return max((ending for ending in endings if path.name.lower().endswith(ending)), key=len, default="")
