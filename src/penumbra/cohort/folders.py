"""The patients' folders of a center, and the patients of its table that have none."""

from collections.abc import Collection
from pathlib import Path

from penumbra.base.refusal import Refusal
from penumbra.cohort.clinical import ClinicalTable
from penumbra.cohort.nearly import near_folders
from penumbra.cohort.sheet import CLINICAL_FILE
from penumbra.imaging.unread import ARCHIVES

IGNORED_FOLDERS = frozenset(("__MACOSX", "lost+found"))


def patient_folders(folder: Path) -> dict[str, Path]:
    """Find the folder of every patient below a center's folder; files next to them and hidden folders are not patients.

    Parameters
    ----------
    folder
        Of the center.

    Returns
    -------
    dict
        Name -> folder.

    Raises
    ------
    Refusal
        `center_folder: there is no such folder. ...`.
    """
    if not folder.is_dir():
        raise Refusal("center_folder", "there is no such folder", "Give the folder that holds clinical.csv and one folder per patient")
    places = sorted(place for place in folder.iterdir() if place.is_dir())
    return {place.name: place for place in places if not place.name.startswith(".") and place.name not in IGNORED_FOLDERS}


def nearly(folders: Collection[str], clinical: ClinicalTable) -> dict[str, str]:
    """Patient of the table -> the folder that is probably meant, if the two spell one name differently."""
    return near_folders(clinical.patients - set(folders), set(folders) - clinical.patients)


def count_patients(folder: Path, clinical: ClinicalTable) -> int:
    """Count the patients that a center sent: those of the table and those of the folders, one who is spelled in two ways once.

    Parameters
    ----------
    folder
        Of the center.
    clinical
        Its table.

    Returns
    -------
    int
        How many.
    """
    folders = patient_folders(folder)
    return len(clinical.patients | set(folders)) - len(nearly(folders, clinical))


def no_scan(folder: Path, patient: str) -> Refusal:
    """The refusal of a patient of the table without a folder."""
    packed = next((ending for ending in ARCHIVES if (folder / f"{patient}{ending}").is_file()), None)
    if packed:
        return Refusal("archive_unpacked", f"a {packed} archive instead of the folder", "Unpack it into a folder of this name")
    deeper = sum(place.is_dir() and (place / patient).is_dir() for place in folder.iterdir())
    if deeper:
        advice = f"Move the patients' folders up, next to {CLINICAL_FILE}, or put {CLINICAL_FILE} next to them and ingest that folder"
        return Refusal("scan_found", f"no folder of this name next to {CLINICAL_FILE}; there is one a folder deeper", advice)
    return Refusal("scan_found", "no folder of this name", "Send the patient's CT and contours, or leave the row out")
