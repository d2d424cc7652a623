"""Series and frames of reference, and structure sets next to each other."""

from pathlib import Path

from pydicom.uid import DeflatedExplicitVRLittleEndian, generate_uid

from ..phantom import Patient, save
from .case import OTHER, refused, right, sound, write


@right("series")
def two_series(patient: Patient, folder: Path) -> None:
    """A second CT next to the one that the structure set names."""
    patient.write(folder / "planning")
    other = Patient(rois={"GTV-1": OTHER}, seed=1)
    for index, item in enumerate(other.slices()):
        save(item, folder / "diagnostic" / f"{index}.dcm")


@right("another series")
def named_series_has_another_uid(patient: Patient, folder: Path) -> None:
    """The series UID was changed on the way; the frame of reference was not."""
    patient.referenced_series = generate_uid()
    structures = patient.structures()
    for index, instance in enumerate(patient.instances):
        patient.instances[index] = generate_uid(entropy_srcs=[instance])
    write(patient, folder, structures)


@refused("one_series")
def two_series_none_named(patient: Patient, folder: Path) -> None:
    """Two CT series in one frame of reference; the structure set names neither."""
    patient.referenced_series = generate_uid()
    structures = patient.structures()
    for half in range(2):
        patient.series, patient.instances = generate_uid(), [generate_uid() for _ in patient.instances]
        for index, item in enumerate(patient.slices()):
            save(item, folder / str(half) / f"{index}.dcm")
    save(structures, folder / "rs.dcm")


@refused("frame_of_reference")
def another_frame_of_reference(patient: Patient, folder: Path) -> None:
    """The structure set was drawn in another frame of reference."""
    patient.structure_frame = generate_uid()
    patient.write(folder)


@refused("frame_of_reference")
def structure_set_of_another_scan(patient: Patient, folder: Path) -> None:
    """Structure set and CT share nothing."""
    for index, item in enumerate(patient.slices()):
        save(item, folder / f"{index}.dcm")
    save(sound().structures(), folder / "rs.dcm")


@right()
def no_frame_of_reference(patient: Patient, folder: Path) -> None:
    """The CT has no frame of reference, but the structure set names its series."""
    slices = patient.slices()
    for item in slices:
        del item.FrameOfReferenceUID
    write(patient, folder, slices=slices)


@right("newest")
def two_structure_sets(patient: Patient, folder: Path) -> None:
    """A corrected structure set in addition to the first."""
    patient.write(folder)
    patient.rois = {"GTV-1": OTHER}
    old = patient.structures()
    old.StructureSetDate = "20190101"
    save(old, folder / "a_first.dcm")


@refused("one_structure_set")
def two_structure_sets_of_one_time(patient: Patient, folder: Path) -> None:
    """Two different structure sets with the same date and time."""
    patient.write(folder)
    save(patient.structures(), folder / "second.dcm")


@right("newest")
def structure_set_without_gtv_beside(patient: Patient, folder: Path) -> None:
    """A later structure set that holds organs alone."""
    patient.write(folder)
    patient.rois = {"Heart": OTHER}
    later = patient.structures()
    later.StructureSetDate = "20210101"
    save(later, folder / "later.dcm")


@right("rejected")
def rejected_structure_set_beside(patient: Patient, folder: Path) -> None:
    """The newer structure set was rejected at its review."""
    patient.write(folder)
    patient.rois = {"GTV-1": OTHER}
    newer = patient.structures()
    newer.StructureSetDate, newer.ApprovalStatus = "20210101", "REJECTED"
    save(newer, folder / "newer.dcm")


@refused("structure_set_rejected")
def rejected_structure_set_alone(patient: Patient, folder: Path) -> None:
    """The only structure set was rejected at its review."""
    structures = patient.structures()
    structures.ApprovalStatus = "REJECTED"
    write(patient, folder, structures)


@right("newest by SeriesDate")
def structure_set_without_a_date(patient: Patient, folder: Path) -> None:
    """The revised structure set has lost its date on the way; the dates of the series are there."""
    structures = patient.structures()
    structures.StructureSetDate, structures.SeriesDate = "", "20200601"
    write(patient, folder, structures)
    patient.rois = {"GTV-1": OTHER}
    old = patient.structures()
    old.StructureSetDate = old.SeriesDate = "20190101"
    save(old, folder / "old.dcm")


@refused("structure_set_readable")
def a_newer_structure_set_cut_off(patient: Patient, folder: Path) -> None:
    """Deflated, and cut off in transfer; the older one is whole."""
    patient.write(folder)
    newer = patient.structures()
    newer.StructureSetDate, newer.file_meta.TransferSyntaxUID = "20210101", DeflatedExplicitVRLittleEndian
    content = save(newer, folder / "newer.dcm").read_bytes()
    (folder / "newer.dcm").write_bytes(content[: len(content) * 9 // 10])
