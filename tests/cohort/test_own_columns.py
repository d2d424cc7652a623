"""Cells of a department's own columns, as centers write them."""

from pathlib import Path

import pytest

from penumbra.base.clinical_columns import declared_columns
from penumbra.base.refusal import Refusal
from penumbra.cohort.clinical import ClinicalTable, read_clinical
from penumbra.cohort.own_columns import typed_values

COLUMNS = declared_columns(
    {
        "ecog": {"type": "ordinal", "levels": [0, 1, 2, 3, 4], "known": "planning", "header": ["ECOG PS"], "meaning": "ECOG"},
        "dose": {"type": "number", "unit": "Gy", "range": [0, 100], "known": "planning", "header": ["prescribed dose (Gy)"], "meaning": "dose"},
        "fractions": {"type": "integer", "range": [1, 60], "known": "planning", "meaning": "fractions"},
        "smoker": {"type": "boolean", "known": "planning", "meaning": "smoked within a year"},
        "chemotherapy": {"type": "category", "levels": ["none", "concurrent"], "known": "planning", "meaning": "chemotherapy"},
    }
)


def read(folder: Path, content: str) -> ClinicalTable:
    (folder / "clinical.csv").write_text(content)
    return read_clinical(folder / "clinical.csv", further=COLUMNS)


CELLS = [
    ("ecog", "1", "1"),
    ("ecog", " 2.0 ", "2"),
    ("ecog", "unknown", None),
    ("ecog", "7", "7, not one of 0, 1, 2, 3, 4"),
    ("ecog", "good", "a text, not one of 0, 1, 2, 3, 4"),
    ("dose", "60", 60.0),
    ("dose", "66.5", 66.5),
    ("dose", "NA", None),
    ("dose", "600", "600, not a number from 0 to 100 Gy"),
    ("dose", "-1", "-1, not a number from 0 to 100 Gy"),
    ("dose", "Mrs. Smith", "a text, not a number from 0 to 100 Gy"),
    ("fractions", "33", 33.0),
    ("fractions", "33.5", "33.5, not a whole number from 1 to 60"),
    ("smoker", "Yes", 1.0),
    ("smoker", "0", 0.0),
    ("smoker", "2", "2, not yes or no"),
    ("chemotherapy", "None", "none"),  # a level, and not what elsewhere means missing
    ("chemotherapy", "CONCURRENT", "concurrent"),
    ("chemotherapy", "", None),
    ("chemotherapy", "12345678901", "a text, not one of none, concurrent"),  # may be a number of an insurance
]


@pytest.mark.parametrize(("column", "cell", "expected"), CELLS)
def test_a_cell(tmp_path: Path, column: str, cell: str, expected: float | str | None) -> None:
    table = read(tmp_path, f'patient,time,event,{column}\nP,100,1,"{cell}"\n')
    (record,) = table.records
    if isinstance(expected, str) and " not " in expected:
        assert record.further[column] is None
        assert [(doubt.rule, doubt.found) for doubt in record.doubts] == [("clinical_value", f"{column} is {expected}")]
        assert f"1 values of {column} were not understood and count as missing." in table.notes
    else:
        assert record.further[column] == expected
        assert record.doubts == ()


def test_other_headers_and_decimal_commas(tmp_path: Path) -> None:
    table = read(tmp_path, "patient;time;event;ECOG PS;Prescribed.Dose (Gy)\nP;100;1;1;66,5\n")
    assert table.records[0].further == {"ecog": "1", "dose": 66.5, "fractions": None, "smoker": None, "chemotherapy": None}
    assert not any("Not used" in note for note in table.notes)


def test_a_column_that_is_there_twice_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refusal, match=r"2 columns for ecog: ecog, ECOG PS.*rule clinical_columns"):
        read(tmp_path, "patient,time,event,ecog,ECOG PS\nP,100,1,1,1\n")


def test_a_record_without_columns_has_the_version_it_had(tmp_path: Path) -> None:
    content = "patient,time,event,ecog\nP,100,1,1\n"
    (tmp_path / "clinical.csv").write_text(content)
    (plain,) = read_clinical(tmp_path / "clinical.csv").records
    assert plain.version == "903693a5da5b"  # of this record at the commit before there were columns
    assert read(tmp_path, content).records[0].version != plain.version


def test_values_that_a_person_types() -> None:
    assert typed_values(COLUMNS, {"ecog": "1", "dose": "60"}) == {"ecog": "1", "dose": 60.0, "fractions": None, "smoker": None, "chemotherapy": None}
    with pytest.raises(Refusal, match=r"ecog is 9, not one of 0, 1, 2, 3, 4\. Give ecog=0, or leave it out"):
        typed_values(COLUMNS, {"ecog": "9"})
    with pytest.raises(Refusal, match="reads no clinical column 'karnofsky'"):
        typed_values(COLUMNS, {"karnofsky": "90"})
