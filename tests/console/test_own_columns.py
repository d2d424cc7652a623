"""A department's own columns on the list of patients and on a patient's page: values with unit, order, history, and as of a commit."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from penumbra import store
from penumbra.commands import init
from tests import example_home

from . import serving
from .serving import Served
from .test_patients import answered, command, names, words

pytestmark = [pytest.mark.slow, pytest.mark.xdist_group("everybody")]

DECLARED = """
ecog: {type: ordinal, levels: [good, fair, bad], known: planning, meaning: ECOG performance status}
planned_dose: {type: number, unit: Gy, range: [0, 100], known: planning, meaning: dose prescribed to the primary tumor}
smoker: {type: boolean, known: planning, meaning: smoked within a year}
"""


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, example: Path) -> Path:
    """In a project that declares columns: two patients with values, of which one was corrected later."""
    project = tmp_path_factory.mktemp("own") / "clinic"
    init.init(project)
    (project / "features" / "clinical.yaml").write_text(DECLARED)
    home = project / "data"
    (home / ".keep").unlink(missing_ok=True)
    if home.is_dir():
        home.rmdir()
    example_home.copied(example, home)
    first, second = ({"patient": f"N00{n}", "center": "north"} for n in (1, 2))
    with store.connect(home) as lake:
        values = [
            {**first, "name": "ecog", "level": "good"},
            {**first, "name": "planned_dose", "number": 66.5},
            {**second, "name": "ecog", "level": "fair"},
            {**second, "name": "smoker", "number": 0.0},
        ]
        lake.write({"clinical_long": values}, run="test", what="ingest north")
        lake.write({"clinical_long": [{**first, "name": "ecog", "level": "bad"}]}, run="test", what="corrected")
    return home


@pytest.fixture(scope="module")
def console(home: Path) -> Iterator[Served]:
    with serving.served(home) as running:
        yield running


@pytest.fixture(scope="module")
def earlier(home: Path) -> int:
    """The commit before the correction."""
    with store.connect(home, read_only=True) as lake:
        return int(lake.sql("SELECT max(id) AS id FROM commits WHERE what = 'ingest north'").to_pylist()[0]["id"])


def test_the_list_has_them_sorts_by_their_levels_and_shows_them_as_of_a_commit(console: Served, home: Path, earlier: int) -> None:
    said = words(console.get("/patients?sort=patient").text)
    assert "Histology ecog planned dose, Gy smoker Tumor" in said
    assert "bad 66.5 – " in said
    assert "fair – no" in said
    page = console.get("/patients?sort=-clinical.ecog").text
    assert names(page) == ["N001", "N002"], "bad before fair, which no alphabet says"
    assert answered(home, command(page)) == ["N001", "N002"]
    assert names(console.get("/patients?sort=clinical.ecog").text) == ["N002", "N001"]
    then = console.get(f"/patients?sort=clinical.ecog&as_of={earlier}").text
    assert names(then) == ["N001", "N002"]
    assert "good 66.5" in words(then)
    assert names(console.get("/patients?sort=clinical.karnofsky").text) == names(console.get("/patients").text)


def test_a_patient_has_values_and_what_changed(console: Served, earlier: int) -> None:
    said = words(console.get("/patients/N001").text)
    assert "ecog bad" in said
    assert "planned dose 66.5 Gy" in said
    assert "smoker not known" in said
    assert "2 changes to the record" in said
    assert "ecog from good to bad" in said
    assert "ecog from not known to good" in said
    then = words(console.get(f"/patients/N001?as_of={earlier}").text)
    assert "ecog good" in then
    assert "from good to bad" not in then
