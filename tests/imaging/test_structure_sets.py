"""Which structure set counts, and that one which was cut off never passes for a whole one."""

import warnings
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from pydicom.dataset import Dataset
from pydicom.uid import UID, DeflatedExplicitVRLittleEndian, ExplicitVRBigEndian, ExplicitVRLittleEndian, ImplicitVRLittleEndian, generate_uid

from penumbra.base.refusal import Refusal
from penumbra.imaging import Scan, read_patient
from penumbra.imaging.dicom import find_dicom
from penumbra.imaging.dicom_file import lenient
from penumbra.imaging.structure_sets import chosen_set
from penumbra.imaging.structures import read_structure_set
from penumbra.imaging.whole import top_level_tags

from .phantom import Ellipsoid, Patient, save

BALL = Ellipsoid((15.0, 14.0, 15.0), (9.0, 9.0, 9.0))
SMALL = Ellipsoid((15.0, 14.0, 15.0), (5.0, 5.0, 5.0))


def small(**change: object) -> Patient:
    return Patient(**({"shape": (10, 28, 30), "spacing": (3.0, 1.0, 1.0), "rois": {"Heart": SMALL, "GTV-1": BALL}} | change))  # type: ignore[arg-type]


def undefined(dataset: Dataset) -> Dataset:
    """The same with sequences of undefined length, items as well."""
    for element in dataset:
        if element.VR == "SQ":
            element.is_undefined_length = True
            for item in element.value:
                item.is_undefined_length_sequence_item = True
                undefined(item)
    return dataset


def encoded(structures: Dataset, syntax: UID, path: Path, *, delimited: bool) -> bytes:
    if delimited:
        undefined(structures)
    structures.file_meta.TransferSyntaxUID = syntax
    return save(structures, path).read_bytes()


@pytest.mark.parametrize("delimited", [False, True], ids=["lengths", "delimiters"])
@pytest.mark.parametrize(
    "syntax", [ExplicitVRLittleEndian, ImplicitVRLittleEndian, ExplicitVRBigEndian, DeflatedExplicitVRLittleEndian], ids=lambda uid: uid.name
)
def test_a_cut_structure_set_is_recognized_in_every_encoding(syntax: UID, delimited: bool, tmp_path: Path) -> None:
    """An older structure set must not take the place of one that was cut off: of sequences of undefined length pydicom reports nothing."""
    whole = encoded(small().structures(), syntax, tmp_path / "whole.dcm", delimited=delimited)
    complete = read_structure_set(tmp_path / "whole.dcm").contoured
    assert complete == {3, 4}
    for cut in sorted({*range(400, len(whole) - 2, max(1, len(whole) // 60)), len(whole) - 3, len(whole) - 9}):
        (tmp_path / "cut.dcm").write_bytes(whole[:cut])
        assert find_dicom(tmp_path).structure_sets[0].name == "cut.dcm"
        with pytest.raises(Refusal, match="structure_set_readable"):
            read_structure_set(tmp_path / "cut.dcm")
        (tmp_path / "cut.dcm").write_bytes(whole[:cut] + bytes(len(whole) - cut))  # a transfer that filled the rest with zeros
        if whole[cut:].strip(b"\0"):
            with pytest.raises(Refusal, match=r"structure_set_readable|contour_data"):
                read_patient_contours(tmp_path / "cut.dcm")
    assert top_level_tags(whole + bytes(6)) == top_level_tags(whole)  # padding after the end is none of the data set


def read_patient_contours(path: Path) -> None:
    from penumbra.imaging.structures import structure

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        drawing = read_structure_set(path)
        for number in drawing.names:
            structure(drawing, number)


def saved(name: str = "StructureSet", at: str = "20200101", time: str = "120000", **more: str) -> dict[str, str]:
    return {f"{name}Date": at, f"{name}Time": time, **more}


NOTHING = {"StructureSetDate": "", "StructureSetTime": ""}


@pytest.mark.parametrize(
    ("ball", "small_one", "ground"),
    [
        (saved(at="20200102"), saved(), "StructureSetDate"),
        (saved(time="120001.5"), saved(time="120001.25"), "StructureSetDate"),
        (saved(at="2020.01.02"), saved(), "StructureSetDate"),  # as before 1993
        (saved(time="13"), saved(time="125959"), "StructureSetDate"),
        (saved(ApprovalStatus="APPROVED"), saved(at="20210101", ApprovalStatus="UNAPPROVED"), "APPROVED"),
        (saved(ApprovalStatus="approved "), saved(at="20210101"), "APPROVED"),
        (saved(), saved(at="20210101", ApprovalStatus="REJECTED"), "rejected"),
        (NOTHING | saved("Series", "20200102"), saved() | saved("Series"), "SeriesDate"),
        (saved("Series", "20200102"), NOTHING | saved("Series"), "SeriesDate"),
        (NOTHING | saved("InstanceCreation", "20200102"), NOTHING | saved("InstanceCreation"), "InstanceCreationDate"),
        (saved() | saved("Content", "20200102"), saved() | saved("Content"), "ContentDate"),
        (saved() | saved("Series", time="09"), saved() | saved("Series", time="0859"), "SeriesDate"),
        (saved(), saved(), None),
        (NOTHING, NOTHING, None),
        (NOTHING, saved(), None),
        (saved(time="12"), saved(time="120500"), None),
        (saved(at="00000000"), saved(), None),
        (NOTHING | saved("Series", "20200102"), saved(at="20210101") | saved("Series"), None),  # the dates contradict each other
        (saved(ApprovalStatus="REJECTED"), saved(ApprovalStatus="REJECTED"), "all rejected"),
    ],
)
def test_which_of_two_counts(ball: dict[str, str], small_one: dict[str, str], ground: str | None, tmp_path: Path) -> None:
    patient = small()
    for name, shape, changes in (("b_ball", BALL, ball), ("a_small", SMALL, small_one)):
        patient.rois = {"GTV-1": shape}
        made = patient.structures()
        with lenient():
            for attribute, value in changes.items():
                setattr(made, attribute, value)
            save(made, tmp_path / f"{name}.dcm")
    for index, item in enumerate(patient.slices()):
        save(item, tmp_path / f"{index}.dcm")
    if ground in (None, "all rejected"):
        with pytest.raises(Refusal) as refusal:
            read_patient(tmp_path)
        assert refusal.value.rule == ("one_structure_set" if ground is None else "structure_set_rejected")
        return
    scan = read_patient(tmp_path)
    assert scan.gtv.volume_mm3 == pytest.approx(BALL.volume, rel=0.05)
    assert any(str(ground) in note for note in scan.notes), scan.notes


def phases(tmp_path: Path, *, apart: timedelta, here: tuple[int, ...], named: bool = True) -> Scan:
    """Three scans of one patient with a structure set each; the CT of those in `here` is in the folder."""
    start = datetime(2020, 1, 1, 23, 59, 55)
    frame = generate_uid()
    for index in range(3):
        patient = small(rois={"GTV-1": BALL if index == 1 else SMALL})
        patient.frame = patient.structure_frame = frame
        at = start + index * apart
        made = patient.structures()
        made.StructureSetDate, made.StructureSetTime = at.strftime("%Y%m%d"), at.strftime("%H%M%S")
        save(made, tmp_path / f"rs{index}.dcm")
        if not named:
            patient.series, patient.instances = generate_uid(), [generate_uid() for _ in patient.instances]
        for number, item in enumerate(patient.slices() if index in here else []):
            save(item, tmp_path / str(index) / f"{number}.dcm")
    return read_patient(tmp_path)


def test_phases_are_told_apart_by_the_series_that_they_name(tmp_path: Path) -> None:
    """The newest of ten phases is an accident of the export, even over midnight."""
    scan = phases(tmp_path / "one", apart=timedelta(seconds=7), here=(1,))
    assert scan.gtv.volume_mm3 == pytest.approx(BALL.volume, rel=0.05)
    assert any("drawn on this CT" in note for note in scan.notes)
    for name, here, apart, named in (
        ("two", (0, 1), timedelta(seconds=7), True),
        ("none", (1,), timedelta(seconds=7), False),
        ("later", (1,), timedelta(days=30), False),
    ):
        with pytest.raises(Refusal, match=r"phases.*rule one_structure_set"):
            phases(tmp_path / name, apart=apart, here=here, named=named)


def test_a_later_scan_with_its_own_structure_set_counts(tmp_path: Path) -> None:
    scan = phases(tmp_path, apart=timedelta(days=30), here=(0, 1))
    assert scan.gtv.volume_mm3 == pytest.approx(BALL.volume, rel=0.05)
    assert any("newest by StructureSetDate" in note for note in scan.notes)


def test_copies_of_one_structure_set_are_one(tmp_path: Path) -> None:
    patient = small()
    patient.write(tmp_path)
    save(made := patient.structures(), tmp_path / "rs.dcm")
    save(made, tmp_path / "again.dcm")
    found = find_dicom(tmp_path)
    notes: list[str] = []
    assert chosen_set([read_structure_set(path) for path in found.structure_sets], found.slices, notes).contoured == {3, 4}
    assert notes == []
    made.ApprovalStatus = "REJECTED"
    save(made, tmp_path / "again.dcm")
    with pytest.raises(Refusal, match="structure_set_rejected"):  # the same contours, once rejected
        read_patient(tmp_path)


def test_the_date_that_decides_may_be_one_that_an_older_drawing_lacks(tmp_path: Path) -> None:
    """Broke: two drawings tied by StructureSetDate and told apart by another date, which a third, on a scan of its own, does not have: a TypeError."""
    for index, (day, created) in enumerate((("20200103", "20200103"), ("20200103", "20200104"), ("20200101", None))):
        patient = small(rois={"GTV-1": BALL if index else SMALL})
        if index == 1:  # on the scan of the first
            patient.series, patient.instances, patient.frame = first.series, first.instances, first.frame
        elif index == 0:
            first = patient
        else:
            patient.frame = first.frame
        patient.structure_frame = patient.frame
        made = patient.structures()
        made.StructureSetDate, made.StructureSetTime = day, "120000"
        for name in ("SeriesDate", "SeriesTime", "InstanceCreationDate", "InstanceCreationTime", "ContentDate", "ContentTime"):
            made.pop(name, None)
        if created is not None:
            made.InstanceCreationDate, made.InstanceCreationTime = created, "120000"
        save(made, tmp_path / f"rs{index}.dcm")
        for number, item in enumerate(patient.slices() if index != 1 else []):
            save(item, tmp_path / str(index) / f"{number}.dcm")
    with pytest.raises(Refusal, match="rule one_structure_set"):
        read_patient(tmp_path)
