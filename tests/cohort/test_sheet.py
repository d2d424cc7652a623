"""Tables as Excel and pandas write them, and identifiers that a table and its folders write differently."""

import datetime as dt
import unicodedata
from pathlib import Path

import openpyxl
import pytest

from penumbra.base.refusal import Refusal
from penumbra.cohort.clinical import read_clinical
from penumbra.cohort.entries import Arrival, ImageRules
from penumbra.cohort.folders import count_patients
from penumbra.cohort.incoming import ingest_center
from penumbra.cohort.nearly import near_folders
from penumbra.cohort.rois import GtvNames

from ..limits import certificate_limits

RAGGED = {
    "in the rows": "patient,time,event,age\nP,512,1,64,\nQ,100,0,65,,\n",
    "in the header": "patient,time,event,age,\nP,512,1,64\nQ,100,0,65\n",
    "in both": "patient;time;event;age;;;\nP;512;1;64;;;\nQ;100;0;65;;;\n",
    "left out": "patient,time,event,age,sex\nP,512,1,64,F\nQ,100,0,65\n",
    "one row longer": "patient,time,event,age\nP,512,1,64\nQ,100,0,65,\n",
}


@pytest.mark.parametrize("content", RAGGED.values(), ids=RAGGED)
def test_cells_at_the_end_that_are_empty_or_left_out(tmp_path: Path, content: str) -> None:
    """Every patient was refused as row_shape."""
    (tmp_path / "clinical.csv").write_text(content)
    table = read_clinical(tmp_path / "clinical.csv")
    assert [(record.patient, record.age, record.time, record.event) for record in table.records] == [("P", 64, 512, True), ("Q", 65, 100, False)]
    assert table.refused == ()


def workbook(path: Path, rows: list[list[object]]) -> None:
    book = openpyxl.Workbook()
    for row in rows:
        book.worksheets[0].append(row)
    book.create_sheet("notes").append(["patient", "time", "event"])
    book.save(path)


@pytest.mark.parametrize("name", ["clinical.xlsx", "clinical.csv"])
def test_the_first_sheet_of_a_workbook(tmp_path: Path, name: str) -> None:
    header: list[object] = ["patient", "age", "diagnosed", "time", "event", None]
    workbook(tmp_path / name, [header, [124, 64.5, dt.datetime(2020, 3, 4, tzinfo=None), 512.0, 1], [], ["P 2", None, None, "100,5", False, None]])
    table = read_clinical(tmp_path / "clinical.csv")
    assert [(record.patient, record.age, record.time, record.event) for record in table.records] == [("124", 64.5, 512, True), ("P 2", None, 100.5, False)]


def test_a_workbook_beside_a_csv_and_one_that_cannot_be_opened(tmp_path: Path) -> None:
    (tmp_path / "clinical.csv").write_text("patient,time,event\nP,1,1\n")
    (tmp_path / "clinical.xlsx").write_bytes(b"PK\x03\x04rest")
    with pytest.raises(Refusal, match=r"clinical\.csv and clinical\.xlsx.*\(rule clinical_found\)"):
        read_clinical(tmp_path / "clinical.csv")
    (tmp_path / "clinical.csv").unlink()
    with pytest.raises(Refusal, match=r"a spreadsheet that cannot be opened.*\(rule clinical_readable\)"):
        read_clinical(tmp_path / "clinical.csv")
    (tmp_path / "clinical.xlsx").write_bytes(b"\xd0\xcf\x11\xe0rest")
    with pytest.raises(Refusal, match=r"a spreadsheet of Excel 97.*\(rule clinical_readable\)"):
        read_clinical(tmp_path / "clinical.csv")


NEAR = [
    ("lung1-001", "LUNG1-001", "by capitals"),
    ("123", "00123", "by leading zeros"),
    ("LUNG1-7", "LUNG1-007", "by leading zeros"),
    ("124.0", "124", "by a decimal"),
    ("P8", "P8 ", "by blanks"),
    ("M\u00fcller", unicodedata.normalize("NFD", "M\u00fcller"), "in the form of its letters"),
    ("LUNG1-007", "LUNG1-007_pre", "by a suffix"),
    ("A_1", "A-1", "by separators"),
]


@pytest.mark.parametrize(("row", "folder", "how"), NEAR, ids=[how for *_, how in NEAR])
@pytest.mark.parametrize("key", [None, "a key that is long enough"])
def test_a_patient_who_is_spelled_in_two_ways_is_rejected_once(tmp_path: Path, row: str, folder: str, how: str, key: str | None) -> None:
    """They were rejected twice, counted twice, and neither rejection named the other spelling."""
    (tmp_path / folder).mkdir()
    (tmp_path / "clinical.csv").write_text(f"patient,time,event\n{row},10,1\n", encoding="utf-8")
    clinical = read_clinical(tmp_path / "clinical.csv")
    rules = ImageRules(1.0, 12.0, 0.0, (3.0,), GtvNames(("gtv",), "first"), certificate_limits())
    found = list(ingest_center(Arrival("x", tmp_path, clinical, pseudonym_key=key), images=tmp_path / "images", rules=rules))
    assert len(found) == count_patients(tmp_path, clinical) == 1
    assert [entry["rule"] for outcome in found for entry in outcome.rejections] == ["scan_found"]
    said = found[0].rejections[0]
    assert said["found"].endswith(how)
    assert (repr(folder) in said["found"]) is (key is None)
    assert (repr(row) in said["advice"]) is (key is None)


@pytest.mark.parametrize(
    ("rows", "folders", "found"),
    [
        ({"P1"}, {"P2"}, {}),
        ({"1", "01"}, {"001"}, {}),
        ({"1"}, {"01", "001"}, {}),
        ({"P1"}, {"P1_a", "P1_b"}, {}),
        ({"P1"}, {"P10"}, {}),
        ({"1-23"}, {"12-3"}, {}),
        ({"10"}, {"1"}, {}),
        ({"p1", "P2"}, {"P1", "P2_pre"}, {"p1": "P1", "P2": "P2_pre"}),
    ],
)
def test_nothing_is_near_that_could_be_somebody_else(rows: set[str], folders: set[str], found: dict[str, str]) -> None:
    assert near_folders(rows, folders) == found


def test_a_table_that_may_not_be_opened_is_one_refusal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "clinical.csv"
    path.write_text("patient,time,event\n1,100,1\n")

    def closed(path: Path) -> bytes:
        raise PermissionError(13, "Permission denied", str(path))

    monkeypatch.setattr(Path, "read_bytes", closed)
    with pytest.raises(Refusal, match=r"clinical\.csv cannot be read \(Permission denied\)\. Check the permissions"):
        read_clinical(path)
