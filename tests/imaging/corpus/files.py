"""Files and folders: names, nesting, files that are damaged or do not belong."""

from pathlib import Path

from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import ExplicitVRLittleEndian, MediaStorageDirectoryStorage, generate_uid

from ..phantom import Patient, save
from .case import refused, right, write


@right()
def sound_patient(patient: Patient, folder: Path) -> None:
    """Nothing is wrong."""
    patient.write(folder)


@right()
def names_without_extension(patient: Patient, folder: Path) -> None:
    """Files named by numbers alone."""
    patient.write(folder)
    for path in list(folder.rglob("*.dcm")):
        path.rename(path.with_suffix(""))


@right()
def deep_nesting(patient: Patient, folder: Path) -> None:
    """Every slice in a folder of its own."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / "a" / str(index % 3) / f"s{index}" / "image")
    save(patient.structures(), folder / "a" / "rs" / "x" / "RS")


@right()
def junk_beside(patient: Patient, folder: Path) -> None:
    """Text, an empty file, a DICOMDIR, a broken link, a picture."""
    patient.write(folder)
    (folder / "readme.txt").write_text("hello" * 100)
    (folder / "empty").write_bytes(b"")
    directory = Dataset()
    directory.file_meta = FileMetaDataset()
    directory.file_meta.MediaStorageSOPClassUID = MediaStorageDirectoryStorage
    directory.file_meta.MediaStorageSOPInstanceUID, directory.file_meta.TransferSyntaxUID = generate_uid(), ExplicitVRLittleEndian
    save(directory, folder / "DICOMDIR")
    (folder / "link.dcm").symlink_to(folder / "nowhere")
    (folder / "shot.png").write_bytes(b"\x89PNG" + bytes(300))


@right("damaged")
def damaged_extra_file(patient: Patient, folder: Path) -> None:
    """A DICOM file cut off in its header."""
    patient.write(folder)
    whole = next(folder.rglob("0000.dcm")).read_bytes()
    (folder / "cut.dcm").write_bytes(whole[:150])


@right()
def no_preamble(patient: Patient, folder: Path) -> None:
    """Old files that start with the data set, implicit little endian."""
    for index, item in enumerate([*patient.slices(), patient.structures()]):
        del item.file_meta
        item.save_as(folder / f"{index}", implicit_vr=True, little_endian=True, enforce_file_format=False)


@refused("ct_found")
def empty_folder(patient: Patient, folder: Path) -> None:
    """Nothing in it."""


@refused("ct_found")
def no_ct(patient: Patient, folder: Path) -> None:
    """A structure set alone."""
    save(patient.structures(), folder / "rs.dcm")


@refused("contours_found")
def no_structure_set(patient: Patient, folder: Path) -> None:
    """A CT alone."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / f"{index}.dcm")


@refused("structure_set_readable")
def damaged_structure_set(patient: Patient, folder: Path) -> None:
    """An ROI without a number."""
    structures = patient.structures()
    del structures.StructureSetROISequence[0].ROINumber
    write(patient, folder, structures)
