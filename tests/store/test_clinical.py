"""The relation `clinical`: one column for each that features/clinical.yaml declares, with its comment."""

import shutil
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.params import project_root

DECLARED = """
ecog: {type: ordinal, levels: ["0", "1", "2"], known: planning, meaning: "the patient's ECOG; not a template"}
fractions: {type: integer, range: [1, 60], known: planning, meaning: fractions}
dose: {type: number, unit: Gy, range: [0.5, 100], known: treatment, meaning: dose}
smoker: {type: boolean, known: -7, meaning: smoked}
"""


@pytest.fixture
def features(tmp_path: Path) -> Path:
    folder = tmp_path / "features"
    shutil.copytree(project_root() / "features", folder)
    (folder / "clinical.yaml").write_text(DECLARED)
    return folder


def test_the_wide_relation_has_typed_and_commented_columns(tmp_path: Path, features: Path) -> None:
    one, two = ({"patient": patient, "center": "north"} for patient in ("A", "B"))
    values = [
        {**one, "name": "ecog", "level": "1"},
        {**one, "name": "fractions", "number": 33.0},
        {**one, "name": "dose", "number": 66.5},
        {**one, "name": "smoker", "number": 0.0},
        {**one, "name": "of_yesterday", "number": 1.0},
    ]
    with store.connect(tmp_path / "home", schema_root=features) as lake:
        first = lake.write({"patients": [one, two], "clinical_long": values}, run="test", what="ingest")
        lake.write({"clinical_long": [{**one, "name": "ecog", "level": "2"}]}, run="test", what="corrected")
        assert lake.sql("FROM clinical ORDER BY patient").to_pylist() == [
            {**one, "ecog": "2", "fractions": 33, "dose": 66.5, "smoker": False},
            {**two, "ecog": None, "fractions": None, "dose": None, "smoker": None},
        ]
        comments = dict(lake.sql("SELECT column_name, comment FROM duckdb_columns() WHERE table_name = 'clinical'").to_pandas().values.tolist())
        assert comments["ecog"] == "the patient's ECOG; not a template; one of 0, 1, 2; known at planning"
        assert comments["smoker"] == "smoked; yes or no; known -7 days from the planning CT"
        declared = lake.sql("SELECT name, unit, lowest, highest, levels, known, for_models FROM clinical_columns").to_pylist()
        assert [tuple(row.values()) for row in declared] == [
            ("ecog", None, None, None, "0, 1, 2", "planning", True),
            ("fractions", None, 1.0, 60.0, None, "planning", True),
            ("dose", "Gy", 0.5, 100.0, None, "treatment", False),
            ("smoker", None, None, None, None, "-7", True),
        ]
    with store.connect(tmp_path / "home", as_of=first, schema_root=features) as lake:
        assert lake.sql("SELECT ecog FROM clinical WHERE patient = 'A'").to_pylist() == [{"ecog": "1"}]


def test_nothing_declared_leaves_patient_and_center(filled: Path) -> None:
    with store.connect(filled, read_only=True) as lake:
        assert lake.sql("FROM clinical").column_names == ["patient", "center"]
        assert lake.sql("FROM clinical").num_rows == lake.sql("FROM patients").num_rows
        assert lake.sql("FROM clinical_columns").num_rows == 0
