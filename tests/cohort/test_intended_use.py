"""Whom the models are for: the file, what a center declares, and a patient against both. What nobody said is not known, and never silently inside."""

from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.base.yaml_files import ParamsError
from penumbra.cohort.intended_use import Declaration, IntendedUse, intended_use, read_declaration, read_intended_use, stage_group

CONTENT = {"treatment": ["radiotherapy"], "intent": ["curative"], "imaging": ["planning"], "stage": ["I", "II", "III"], "age": [18, 90]}
USE = intended_use(CONTENT)


def test_the_projects_own_file() -> None:
    own = read_intended_use()
    assert own.treatment == ("radiotherapy",)
    assert intended_use(own.to_dict()) == own, "what a registered version keeps is read back"


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("treatment", ["surgical"], "treatment is"),
        ("treatment", "radiotherapy", "list of radiotherapy"),
        ("stage", [], "stage is"),
        ("stage", [1], "list of 0, I"),
        ("age", [90, 18], "rising"),
        ("age", [0, 900], "age is"),
        ("age", [True, 90], "age is"),
        ("age", 18, "two numbers"),
        ("dose", [60], "unknown key"),
    ],
)
def test_a_value_that_is_none_is_refused(key: str, value: object, message: str) -> None:
    with pytest.raises(ParamsError, match=message):
        intended_use({**CONTENT, key: value})


def test_a_missing_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "intended_use.yaml").write_text("treatment: [radiotherapy]\n")
    with pytest.raises(ParamsError, match="intent is missing"):
        read_intended_use(tmp_path)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("treatment: Resection\nintent: radical\n", Declaration("surgery", "curative", None)),
        ("treatment: SBRT\nimaging: Planning-CT\n", Declaration("radiotherapy", None, "planning")),
        ("treatment: unknown\n", Declaration()),
    ],
)
def test_spellings_of_a_center(tmp_path: Path, text: str, expected: Declaration) -> None:
    assert read_declaration(tmp_path) == Declaration(), "nothing declared keeps working"
    (tmp_path / "center.yaml").write_text(text)
    assert read_declaration(tmp_path) == expected


@pytest.mark.parametrize("text", ["treatment: magnets\n", "surgeon: Dr. X\n", "- surgery\n", "treatment: [\n", "treatment: surgery\ntreatment: radiotherapy\n"])
def test_a_declaration_that_cannot_be_read_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "center.yaml").write_text(text)
    with pytest.raises(Refusal, match="center_declared"):
        read_declaration(tmp_path)


@pytest.mark.parametrize(("stage", "group"), [("IIIB", "III"), ("ii", "II"), ("IV", "IV"), ("IA2", "I"), ("0", "0"), ("occult", None), ("", None)])
def test_stage_groups(stage: str, group: str | None) -> None:
    assert stage_group(stage) == group


def test_what_is_contrary_and_what_is_not_known() -> None:
    whole = Declaration("radiotherapy", "curative", "planning")
    assert USE.of(whole, age=70, stage="IIIA").sentence == ""
    nothing = USE.of(Declaration())
    assert (nothing.contrary, nothing.unknown) == ((), ("treatment", "intent", "imaging", "stage", "age"))
    assert nothing.sentence == "treatment, intent, imaging, stage, age not known"
    surgical = USE.of(Declaration("surgery"), age=91, stage="IV")
    assert surgical.contrary == ("treatment surgery", "stage IV", "age 91")
    assert surgical.sentence == "outside the intended use: treatment surgery, stage IV, age 91; intent, imaging not known"
    assert USE.of(whole, age=18, stage="I").contrary == USE.of(whole, age=90, stage="I").contrary == ()


def test_rows_for_a_reader() -> None:
    assert dict(USE.rows) == {"treatment": "radiotherapy", "intent": "curative", "imaging": "planning", "stage": "I, II, III", "age": "18 to 90 years"}
    assert isinstance(USE, IntendedUse)
