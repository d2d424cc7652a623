"""Folders of the structure in which public archives and PACS deliver their patients, each with small phantoms instead of the scans."""

import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
from pydicom.dataset import Dataset
from pydicom.sequence import Sequence as Items
from pydicom.uid import UID, MediaStorageDirectoryStorage, generate_uid

from penumbra.cohort.incoming import Accepted, Rejected
from penumbra.cohort.rois import RoiRules, list_rois
from tests.imaging.phantom import Ellipsoid, Patient, Shape, save, turned

Ingest = Callable[..., list[Accepted | Rejected]]
LUNG = Ellipsoid((14.0, 15.0, 30.0), (8.0, 8.0, 8.0))
# The table of NSCLC-Radiomics, "NSCLC Radiomics Lung1.clinical-version3-Oct-2019.csv".
LUNG1 = "PatientID,age,clinical.T.Stage,Clinical.N.Stage,Clinical.M.Stage,Overall.Stage,Histology,gender,Survival.time,deadstatus.event"


def ball(radius: float = 13.0) -> Ellipsoid:
    return Ellipsoid((31.3, 33.6, 34.7), (radius, radius, radius))


def person(number: int, **changes: object) -> Patient:
    """A scan that is no other patient's: the phantoms are turned against each other."""
    made = Patient((24, 58, 64), (3.0, 1.2, 1.0), direction=turned(0, 0, number), rois={"Lung-Left": LUNG, "GTV-1": ball()})
    made.hu = lambda x, y, z: np.where(y < 12, -1000.0, 40.0 + 10 * np.sin(x / (9 + number)))
    for name, value in changes.items():
        setattr(made, name, value)
    return made


def mixed_gaps(number: int) -> Patient:
    """Slices 3 mm apart, and 6 mm below, as in six patients of NSCLC-Radiomics."""
    heights = [*np.arange(4) * 6.0, *(24.0 + np.arange(19) * 3.0)]
    rois: dict[str, Shape] = {"GTV-1": Ellipsoid((31.3, 33.6, 34.7), (13.0, 13.0, 13.0))}
    made = Patient((len(heights), 58, 64), (3.0, 1.2, 1.0), heights=heights, direction=turned(0, 0, number), rois=rois)
    made.hu = lambda x, y, z: np.where(y < 12, -1000.0, 40.0 + 10 * np.sin(x / (9 + number)))
    return made


def segmented(patient: Patient, labels: dict[str, Ellipsoid]) -> Dataset:
    """A DICOM SEG of the patient's CT with segments of these labels."""
    kept, patient.rois = patient.rois, dict(labels)  # type: ignore[arg-type]
    made = patient.segmentation()
    patient.rois = kept
    return made


def put(name: str, patient_id: str, *files: tuple[Path, Dataset]) -> None:
    """Each file at its place, with the collection's id of the patient."""
    for place, dataset in files:
        dataset.PatientID, dataset.ClinicalTrialProtocolName = patient_id, name
        save(dataset, place)


def slices(folder: Path, patient: Patient, name: Callable[[int, Dataset], str]) -> list[tuple[Path, Dataset]]:
    return [(folder / name(index, item), item) for index, item in enumerate(patient.slices(), 1)]


def table(folder: Path, rows: Sequence[str], header: str = "patient,time,event") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "clinical.csv").write_text("\n".join([header, *rows]) + "\n")


def outcome(found: list[Accepted | Rejected]) -> tuple[dict[str, Accepted], dict[str, str]]:
    accepted = {entry.patient: entry for entry in found if isinstance(entry, Accepted)}
    return accepted, {entry.patient: entry.rejections[0]["rule"] for entry in found if isinstance(entry, Rejected)}


def volume(entry: Accepted) -> float:
    return float(next(row["volume_mm3"] for row in entry.rois if row["roi"] == "gtv"))


SEG_LABELS = {"Lung": LUNG, "Neoplasm, Primary": ball()}


def radiomics_of_tcia(root: Path) -> Path:
    """NSCLC-Radiomics/<patient>/<date-StudyID-..>/<series-..>/1-001.dcm, as the NBIA retriever writes it."""
    center = root / "manifest-1603198545583" / "NSCLC-Radiomics"
    for number, patient_id in enumerate(("LUNG1-001", "LUNG1-014", "LUNG1-128", "LUNG1-129"), 1):
        patient = mixed_gaps(number) if patient_id == "LUNG1-014" else person(number)
        study = center / patient_id / f"09-18-2008-StudyID-NA-{69330 + number}"
        put("NSCLC-Radiomics", patient_id, *slices(study / "0.000000-NA-82046", patient, lambda index, _: f"1-{index:03d}.dcm"))
        if patient_id == "LUNG1-128":  # neither structure set nor segmentation
            continue
        structures = patient.structures()
        if patient_id == "LUNG1-129":
            for item in structures.ROIContourSequence:
                item.ContourSequence = Items([])
        put("NSCLC-Radiomics", patient_id, (study / "3.000000-NA-78236" / "1-1.dcm", structures))
        if patient_id == "LUNG1-001":
            put("NSCLC-Radiomics", patient_id, (study / "300.000000-Segmentation-9.554" / "1-1.dcm", segmented(patient, SEG_LABELS)))
    table(
        center,
        [
            "LUNG1-001,78.7515,2,3,0,IIIb,large cell,male,2165,1",
            "LUNG1-014,83.8001,2,0,0,I,squamous cell carcinoma,male,155,1",
            "LUNG1-128,68.1807,2,3,0,IIIb,large cell,male,256,1",
            "LUNG1-129,80.1205,4,0,0,IIIb,NA,female,141,1",
        ],
        LUNG1,
    )
    (center / "LICENSE").write_text("CC BY-NC 3.0")
    return center


def radiomics_of_idc(root: Path) -> Path:
    """nsclc_radiomics/<patient>/<study uid>/<modality>_<series uid>/<uuid>.dcm, as `idc download` writes it."""
    center = root / "nsclc_radiomics"
    for number, patient_id in enumerate(("LUNG1-001", "LUNG1-002"), 1):
        patient = person(number)
        study = center / patient_id / patient.study
        put("nsclc", patient_id, *slices(study / f"CT_{patient.series}", patient, lambda index, item: f"{_uuid(item)}.dcm"))
        structures, segments = patient.structures(), segmented(patient, SEG_LABELS)
        put("nsclc", patient_id, (study / f"RTSTRUCT_{structures.SeriesInstanceUID}" / f"{_uuid(structures)}.dcm", structures))
        put("nsclc", patient_id, (study / f"SEG_{segments.SeriesInstanceUID}" / f"{_uuid(segments)}.dcm", segments))
    table(center, ["LUNG1-001,78.7515,2,3,0,IIIb,large cell,male,2165,1", "LUNG1-002,83.8001,2,0,0,I,squamous cell carcinoma,male,155,1"], LUNG1)
    return center


def radiogenomics(root: Path) -> Path:
    """NSCLC Radiogenomics/<patient>/<study>/<series>/1-01.dcm: segmentations of 3D Slicer alone, more than one CT, PET in a study of its own."""
    center = root / "NSCLC Radiogenomics"
    for number, patient_id in enumerate(("R01-001", "R01-008", "AMC-001"), 1):
        patient, scout = person(number), person(number + 20)
        scout.frame, scout.study = patient.frame, patient.study
        study = center / patient_id / "09-06-1990-NA-CT CHEST ABD PELVIS WITH CON-98785"
        put("R", patient_id, *slices(study / "3.000000-THORAX 1.0 B45f-95741", patient, lambda index, _: f"1-{index:02d}.dcm"))
        put("R", patient_id, *slices(study / "2.000000-CHEST SCOUT-00012", scout, lambda index, _: f"1-{index:02d}.dcm"))
        pet = center / patient_id / "10-01-1990-NA-PET-12345" / "4.000000-PET AC-1"
        for place, item in slices(pet, person(number + 40), lambda index, _: f"1-{index}.dcm"):
            item.Modality = "PT"
            item.SOPClassUID = item.file_meta.MediaStorageSOPClassUID = UID("1.2.840.10008.5.1.4.1.1.128")
            put("R", patient_id, (place, item))
        if patient_id != "AMC-001":
            segments = every_slice(segmented(patient, {"Segmentation": ball()}), patient)
            if patient_id == "R01-008":
                segments.NumberOfFrames = 1  # as archived: another number than there are frames
            put("R", patient_id, (study / "1000.000000-3D Slicer segmentation result-67652" / "1-1.dcm", segments))
    table(center, ["R01-001,1000,0", "R01-008,900,1", "AMC-001,800,0"])
    return center


def every_slice(made: Dataset, patient: Patient) -> Dataset:
    """The segmentation with a frame on each slice, empty ones among them, as 3D Slicer wrote it."""
    count, rows, columns = int(made.NumberOfFrames), int(made.Rows), int(made.Columns)
    filled = np.unpackbits(np.frombuffer(made.PixelData, np.uint8), bitorder="little")[: count * rows * columns].reshape(count, rows, columns)
    named = [frame.DerivationImageSequence[0].SourceImageSequence[0].ReferencedSOPInstanceUID for frame in made.PerFrameFunctionalGroupsSequence]
    frames, planes = [], []
    for index, (height, instance) in enumerate(zip(patient.heights or (), patient.instances, strict=True)):
        frames.append(patient.segment_frame(3, index, float(height)))
        planes.append(filled[named.index(instance)] if instance in named else np.zeros((rows, columns), np.uint8))
    made.PerFrameFunctionalGroupsSequence, made.NumberOfFrames = Items(frames), len(frames)
    packed = np.packbits(np.array(planes).ravel(), bitorder="little").tobytes()
    made.PixelData = packed + bytes(len(packed) % 2)
    return made


def interobserver(root: Path) -> Path:
    """NSCLC-Radiomics-Interobserver1/<patient>/..: ten GTVs in one structure set, five readers by hand and five with help of a program."""
    center = root / "NSCLC-Radiomics-Interobserver1"
    for number, patient_id in enumerate(("interobs05", "interobs06"), 1):
        readers = {f"GTV-1auto-{reader}": ball(12.0 + 0.2 * reader) for reader in (2, 3, 1, 5, 4)}
        readers |= {f"GTV-1vis-{reader}": ball(9.0 + 0.8 * reader) for reader in (3, 1, 2, 5, 4)}
        patient = person(number, rois=readers)
        study = center / patient_id / f"02-18-2019-NA-CT-{90318 + number}"
        put("I", patient_id, *slices(study / "1.000000-NA-04836", patient, lambda index, _: f"1-{index:02d}.dcm"))
        put("I", patient_id, (study / "1.000000-NA-56112" / "1-1.dcm", patient.structures()))
    table(center, ["interobs05,1000,0", "interobs06,900,1"])
    return center


def pacs(root: Path) -> Path:
    """<patient>/<hash>/<hash>/<hash> without any extension, DICOMDIR, plan, dose, PET and pictures among them."""
    center = root / "export"
    for number, patient_id in enumerate(("4711", "0815"), 1):
        patient = person(number)
        top = center / patient_id / "DICOM"
        others = [person(number + 40).slices()[index] for index in range(3)]
        for item, modality, kind in zip(others, ("PT", "RTDOSE", "SR"), (".128", ".481.2", ".88.11"), strict=True):
            item.Modality, item.SOPClassUID = modality, UID("1.2.840.10008.5.1.4.1.1" + kind)
            item.file_meta.MediaStorageSOPClassUID = item.SOPClassUID
        for item in [*patient.slices(), patient.structures(), *others]:
            digest = hashlib.sha256(item.SOPInstanceUID.encode()).hexdigest().upper()
            put("P", patient_id, (top / digest[:4] / digest[4:8] / digest[8:24], item))
        (center / patient_id / "DICOMDIR").write_bytes(_directory(patient_id))
        (center / patient_id / "README.TXT").write_text("VIEWER.EXE")
        (center / patient_id / "VIEWER.EXE").write_bytes(b"MZ" + bytes(2000))
    table(center, ["4711,1000,0", "0815,900,1"])
    return center


def _directory(patient_id: str) -> bytes:
    """A DICOMDIR that names the patient."""
    from io import BytesIO

    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian

    made, record = Dataset(), Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.MediaStorageSOPClassUID, made.file_meta.MediaStorageSOPInstanceUID = MediaStorageDirectoryStorage, generate_uid()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    record.DirectoryRecordType, record.PatientID, record.PatientName = "PATIENT", patient_id, "PLANTED^NAME"
    made.FileSetID, made.DirectoryRecordSequence = "EXPORT", Items([record])
    stream = BytesIO()
    made.save_as(stream, enforce_file_format=True)
    return stream.getvalue()


def _uuid(item: Dataset) -> str:
    digest = hashlib.sha256(item.SOPInstanceUID.encode()).hexdigest()
    return f"{digest[:8]}-{digest[8:12]}-{digest[12:16]}-{digest[16:20]}-{digest[20:32]}"


def test_nsclc_radiomics_as_tcia_delivers_it(ingest: Ingest, tmp_path: Path) -> None:
    accepted, rejected = outcome(ingest(radiomics_of_tcia(tmp_path), "maastro", tmp_path / "images"))
    assert rejected == {"LUNG1-128": "contours_found", "LUNG1-129": "gtv_not_empty"}
    assert set(accepted) == {"LUNG1-001", "LUNG1-014"}
    assert accepted["LUNG1-001"].image["certificate"]["roi_name"] == "GTV-1"  # of the structure set, not of the segmentation
    assert accepted["LUNG1-014"].status == "flagged"
    assert any(finding["rule"] == "slice_gaps" for finding in accepted["LUNG1-014"].image["certificate"]["findings"])
    for entry in accepted.values():
        assert volume(entry) == pytest.approx(ball().volume, rel=0.03)


def test_nsclc_radiomics_as_idc_delivers_it(ingest: Ingest, tmp_path: Path) -> None:
    accepted, rejected = outcome(ingest(radiomics_of_idc(tmp_path), "maastro", tmp_path / "images"))
    assert not rejected
    assert {entry.image["certificate"]["roi_name"] for entry in accepted.values()} == {"GTV-1"}
    assert [volume(accepted[name]) for name in sorted(accepted)] == pytest.approx([ball().volume] * 2, rel=0.02)


def test_nsclc_radiogenomics(ingest: Ingest, tmp_path: Path) -> None:
    """The CT is the one that the segmentation names, the number of frames that there are."""
    accepted, rejected = outcome(ingest(radiogenomics(tmp_path), "radiogenomics", tmp_path / "images"))
    assert rejected == {"AMC-001": "contours_found"}
    assert set(accepted) == {"R01-001", "R01-008"}
    for entry in accepted.values():
        assert volume(entry) == pytest.approx(ball().volume, rel=0.05)
        assert any("Of 2 CT series" in note for note in entry.image["certificate"]["notes"])


@pytest.mark.slow
def test_the_reader_of_the_interobserver_collection_is_declared(ingest: Ingest, declared: RoiRules, tmp_path: Path) -> None:
    center = interobserver(tmp_path)
    accepted, rejected = outcome(ingest(center, "interobserver", tmp_path / "images"))
    assert not rejected
    for entry in accepted.values():
        assert entry.image["certificate"]["roi_name"] == "GTV-1vis-1"
        assert volume(entry) == pytest.approx(ball(9.8).volume, rel=0.03)
    survey = list_rois(center, declared.of("interobserver"))
    assert [entry.name for entry in survey.names if entry.meaning.startswith("gtv")] == ["GTV-1vis-1"]
    _, rejected = outcome(ingest(center, "another", tmp_path / "others"))
    assert set(rejected.values()) == {"gtv_named"}  # nobody chose a reader


def test_a_pacs_export_with_hashed_names_and_a_dicomdir(ingest: Ingest, tmp_path: Path) -> None:
    accepted, rejected = outcome(ingest(pacs(tmp_path), "west", tmp_path / "images"))
    assert not rejected
    assert [volume(accepted[name]) for name in ("4711", "0815")] == pytest.approx([ball().volume] * 2, rel=0.02)
    assert not any(b"PLANTED" in path.read_bytes() for path in (tmp_path / "images").rglob("*") if path.is_file())
