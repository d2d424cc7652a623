"""Columns of a department's own, as features/clinical.yaml declares them: what is refused, and what each becomes in a model."""

import math
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from penumbra.base.clinical_columns import KEYWORDS, ClinicalColumn, declared_columns, read_columns
from penumbra.base.params import project_root
from penumbra.base.yaml_files import ParamsError
from penumbra.cohort.own_columns import HEADERS

ECOG = {"type": "ordinal", "levels": [0, 1, 2, 3, 4], "known": "planning", "header": ["ECOG PS"], "meaning": "ECOG performance status"}
DOSE = {"type": "number", "unit": "Gy", "range": [0, 100], "known": "planning", "meaning": "prescribed dose"}
CHEMO = {"type": "category", "levels": ["none", "sequential", "concurrent"], "known": -3, "meaning": "chemotherapy as planned"}


def one(**changes: Any) -> ClinicalColumn:
    return declared_columns({"dose": {**DOSE, **changes}})["dose"]


def test_an_ordinal_is_its_rank_and_a_category_one_indicator_per_level_but_the_reference() -> None:
    columns = declared_columns({"ecog": ECOG, "chemotherapy": CHEMO, "dose": DOSE})
    assert columns["ecog"].headers == ("ecog", "ecog_ps")
    assert columns["ecog"].encoded(None, "2") == (2.0,)
    assert columns["chemotherapy"].features == ("chemotherapy=sequential", "chemotherapy=concurrent")
    assert columns["chemotherapy"].encoded(None, "none") == (0.0, 0.0)
    assert columns["chemotherapy"].encoded(None, "concurrent") == (0.0, 1.0)
    assert all(math.isnan(value) for value in columns["chemotherapy"].encoded(None, None))
    assert columns["dose"].encoded(60.0, None) == (60.0,)
    assert columns["dose"].comment == "prescribed dose, in Gy; a number from 0 to 100 Gy; known at planning"


def test_known_by_the_planning_ct_or_later() -> None:
    times = {"planning": True, "treatment": False, "follow_up": False, -7: True, 0: True, 1: False}
    assert {known: one(known=known).in_time for known in times} == times


HOSTILE = [
    "select",
    "order",
    "date",
    "age",
    "patient",
    "clinical_version",
    'a"b',
    "a'b",
    "a b",
    "a.b",
    "a;drop table patients",
    "Ecog",
    "2nd",
    "größe",
    "ecog\u0430",
    "a" * 64,
    "",
    "a=b",
    "%declared_rows%",
    "$x",
]


@pytest.mark.parametrize("name", HOSTILE)
def test_a_hostile_name_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match="rule clinical_column"):
        declared_columns({name: DOSE}, HEADERS)


@pytest.mark.parametrize(
    "name", ["patient_name", "birth_year", "dob", "home_address", "ssn", "postcode", "admission_date", "comment", "notes", "referring_physician", "nhs_id"]
)
def test_a_column_that_could_hold_a_person_or_free_text_is_refused(name: str) -> None:
    with pytest.raises(ParamsError, match="rule clinical_column_private"):
        declared_columns({name: DOSE})
    with pytest.raises(ParamsError, match="rule clinical_column_private"):
        one(header=[name])


@pytest.mark.parametrize(
    ("changes", "fault"),
    [
        ({"type": "text"}, "dose is of type 'text'"),
        ({"type": None}, "dose is of type empty"),
        ({"known": "later"}, "dose is known at 'later'"),
        ({"known": True}, "dose is known at true"),
        ({"meaning": ""}, "meaning of dose is ''"),
        ({"meaning": "two\nlines"}, "meaning of dose is"),
        ({"unit": 3}, "unit of dose is 3"),
        ({"range": [100, 0]}, "range of dose is"),
        ({"range": [0]}, "range of dose is"),
        ({"range": ["a", "b"]}, "range of dose is"),
        ({"range": [0, math.inf]}, "range of dose is"),
        ({"range": None}, "range of dose is empty"),
        ({"levels": ["a", "b"]}, "dose is of type number, which has no levels"),
        ({"header": 3}, "header of dose is 3"),
        ({"header": ["age"]}, "the header 'age' of dose is that of a column that is always read"),
        ({"header": ["Overall.Stage"]}, "the header 'overall_stage' of dose"),
        ({"limit": 3}, "dose has no key 'limit'"),
    ],
)
def test_a_declaration_that_cannot_be_is_refused(changes: dict[str, Any], fault: str) -> None:
    with pytest.raises(ParamsError, match=re.escape(fault)):
        declared_columns({"dose": {**DOSE, **changes}}, HEADERS)


@pytest.mark.parametrize("levels", [None, ["one"], [True, False], ["a", "A"], ["a.b", "c"], ["a=b", "c"], ["é", "c"], [str(i) for i in range(21)], [1.5, 2]])
def test_levels_that_cannot_be_are_refused(levels: Any) -> None:
    with pytest.raises(ParamsError, match=r"rule clinical_column\)"):
        declared_columns({"ecog": {**ECOG, "levels": levels}})


def test_two_columns_cannot_share_a_header() -> None:
    with pytest.raises(ParamsError, match="the header 'dose' of total is that of the column dose"):
        declared_columns({"dose": DOSE, "total": {**DOSE, "header": ["Dose"]}})


def test_the_error_names_file_and_line(tmp_path: Path) -> None:
    folder = tmp_path / "features"
    folder.mkdir()
    (folder / "clinical.yaml").write_text("# ours\ndose:\n  type: number\n  range: [0, 100]\n  known: sometimes\n  meaning: dose\n")
    with pytest.raises(ParamsError, match=r"features/clinical\.yaml, line 5: dose is known at 'sometimes'"):
        read_columns(folder)


@pytest.mark.parametrize("text", [None, "", "# none\n", "\ufeff# none\n\n", "---\n", "{}\n"])
def test_no_file_and_a_file_of_comments_declare_nothing(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "clinical.yaml").write_text(text)
    assert read_columns(tmp_path) == {}


def test_the_shipped_file_declares_nothing_and_its_examples_can_be_declared() -> None:
    features = project_root() / "features"
    assert read_columns(features, HEADERS) == {}
    text = (features / "clinical.yaml").read_text()
    examples = yaml.safe_load("\n".join(line.removeprefix("# ") for line in text.splitlines() if re.match(r"# \w+: +\{", line)))
    assert list(declared_columns(examples, HEADERS)) == ["ecog", "planned_dose", "chemotherapy", "albumin"]


def test_every_word_that_sql_keeps_for_itself_is_known() -> None:
    import duckdb

    words = duckdb.sql("SELECT keyword_name FROM duckdb_keywords() WHERE keyword_category <> 'unreserved'").fetchall()
    assert {word for (word,) in words} <= KEYWORDS


def test_what_a_version_keeps_reads_the_same() -> None:
    columns = declared_columns({"ecog": ECOG, "chemotherapy": CHEMO, "dose": DOSE})
    assert declared_columns({name: column.to_dict() for name, column in columns.items()}) == columns
