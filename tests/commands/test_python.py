"""`penumbra.read`, `sql`, `load` and what comes with them, on a small home: as the commands answer, and a mistake in one sentence."""

import datetime as dt
import importlib.util
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from click.testing import CliRunner

import penumbra
from penumbra import store
from tests.test_collecting import HEAVY

if TYPE_CHECKING:
    import pandas as pd

FEATURES = ("original_firstorder_Mean", "original_glcm_Contrast", "original_shape_MeshVolume")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two patients with three features of their GTV, and version 1."""
    from tests import example_home

    made = tmp_path_factory.mktemp("python") / "home"
    example_home.make(made)
    return made


@pytest.fixture
def columns() -> "pd.DataFrame":
    """What the version reads, of two patients."""
    import pandas as pd

    from tests.registry.small_bundle import COLUMNS

    return pd.DataFrame({"patient": ["P1", "P2"], **dict(zip(COLUMNS, ([1.0, 2.0], [0.5, -0.5], [0.0, 1.0]), strict=True))})


def test_importing_penumbra_loads_nothing_heavy_and_names_what_it_has(tmp_path: Path) -> None:
    program = (
        "import sys, penumbra; listed = dir(penumbra); penumbra.Refusal\n"
        f"print(*(name for name in {(*HEAVY, 'numpy', 'click', 'yaml', 'polars')} if name in sys.modules)); print(set(penumbra.__all__) <= set(listed))\n"
        "try: penumbra.raed\nexcept AttributeError as error: print(error)"
    )
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.splitlines() == ["", "True", "module 'penumbra' has no attribute 'raed'"], done.stderr


@pytest.mark.slow
def test_every_relation_is_read_as_sql_answers_it(home: Path) -> None:
    names = penumbra.sql("SHOW TABLES", home=home)["name"].tolist()
    assert len(names) > 40
    for name in names:
        table = penumbra.read(name, home=home, format="arrow")
        answer = store.query(home, f"FROM {name}")
        assert table.schema.names == answer.schema.names
        assert sorted(map(repr, table.to_pylist())) == sorted(map(repr, answer.to_pylist())), name


def test_values_are_those_that_the_command_prints(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.cli import main

    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    for statement in ("SELECT * FROM patients ORDER BY patient", "SELECT * FROM radiomics ORDER BY patient"):
        printed = CliRunner().invoke(main, ["sql", statement, "--format", "json"])
        relation = statement.split()[3]
        assert (
            json.loads(printed.stdout)
            == json.loads(penumbra.read(relation).to_json(orient="records"))
            == json.loads(penumbra.sql(statement).to_json(orient="records"))
        )


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ("original_shape_*", ["original_shape_MeshVolume"]),
        (["*_Mean", "original_glcm_*"], ["original_firstorder_Mean", "original_glcm_Contrast"]),
        (["original_glcm_Contrast", "*Contrast"], ["original_glcm_Contrast"]),
        ("version", ["version"]),
        ([], []),
    ],
)
def test_columns_by_pattern_come_with_whose_row_it_is(home: Path, patterns: str | list[str], expected: list[str]) -> None:
    frame = penumbra.read("radiomics", columns=patterns, home=home)
    assert frame.columns.tolist() == ["patient", "center", "roi", *expected]
    with_outcome = penumbra.read("radiomics", columns=patterns, outcome=True, home=home)
    assert with_outcome.columns.tolist() == ["patient", "center", "roi", "time", "event", *expected]
    assert with_outcome["time"].tolist() == [420.0, 730.0]
    assert with_outcome["event"].tolist() == [True, False]


def test_an_outcome_that_a_relation_has_is_kept_whatever_the_columns(home: Path) -> None:
    assert penumbra.read("patients", columns="age", outcome=True, home=home).columns.tolist() == ["patient", "center", "time", "event", "age"]
    assert penumbra.read("patients", columns="age", home=home).columns.tolist() == ["patient", "center", "age"]


def test_a_patient_without_a_record_has_no_outcome_and_stays(home: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(home, tmp_path / "home")
    row = {"patient": "N003", "center": "north", "roi": "gtv", "image_version": "image1", "values": [1.0, 2.0, 3.0]}
    with store.connect(copy) as lake:
        store.write_features(lake, "radiomics", "0123456789ab", [row], features=FEATURES, run="test")
    frame = penumbra.read("radiomics", outcome=True, home=copy)
    assert frame["patient"].tolist() == ["N001", "N002", "N003"]
    assert frame["event"].tolist()[:2] == [True, False]
    assert frame["time"].isna().tolist() == [False, False, True]


@pytest.mark.parametrize(
    ("call", "rule", "words"),
    [
        ({"relation": "radiomic"}, "relation", "Did you mean radiomics?"),
        ({"relation": "stored.patients"}, "relation", "no relation"),
        ({"relation": "radiomics_vectors"}, "relation", "no relation"),
        ({"relation": 'patients"; DROP TABLE patients; --'}, "relation", "no relation"),
        ({"relation": "read_csv('/etc/passwd')"}, "relation", "no relation"),
        ({"relation": "patients\0"}, "relation", "no relation"),
        ({"relation": "x" * 100_000}, "relation", "no relation"),
        ({"relation": ""}, "relation", "no relation"),
        ({"columns": "original_shape_Volum*"}, "column", "no column of radiomics fits"),
        ({"columns": '"; DROP TABLE patients'}, "column", "no column"),
        ({"columns": ["original_*", "agee"]}, "column", "no column of radiomics fits 'agee'"),
        ({"roi": "gtvv"}, "filter", "Did you mean gtv?"),
        ({"roi": "' OR 1=1 --"}, "filter", "no roi"),
        ({"center": "nort"}, "filter", "Did you mean north?"),
        ({"relation": "patients", "roi": "gtv"}, "filter", "has no column roi"),
        ({"relation": "commits", "outcome": True}, "filter", "has no outcome"),
        ({"format": "panda"}, "format_known", "Did you mean pandas?"),
        ({"as_of": 99}, "commit", "no commit 99; the newest is"),
        ({"as_of": "nsclc-os/9"}, "version_registered", "Did you mean nsclc-os/1?"),
        ({"as_of": "1999-01-01"}, "commit", "no commit by 1999-01-01 23:59 UTC; the first commit is of"),
        ({"as_of": "2026-13-45"}, "commit", "is no date"),
        ({"as_of": dt.date(1999, 1, 1)}, "commit", "no commit by"),
        ({"home": "/nowhere/at/all"}, "store_exists", "no feature store"),
    ],
)
def test_a_mistake_is_one_sentence_with_the_nearest_name(home: Path, call: dict[str, Any], rule: str, words: str) -> None:
    with pytest.raises(penumbra.Refusal) as refused:
        penumbra.read(**{"relation": "radiomics", "home": home, **call})
    assert refused.value.rule == rule
    assert words in str(refused.value)
    assert len(str(refused.value)) < 600
    assert len(penumbra.read("patients", home=home)) == 2


def test_sql_is_read_only_and_binds_values(home: Path) -> None:
    assert penumbra.sql("SELECT patient FROM patients WHERE age > ?", [70], home=home)["patient"].tolist() == ["N002"]
    for statement, rule in (("DELETE FROM patients", "read_only_sql"), ("SELECT * FROM '/etc/passwd'", "relation"), ("SELEC 1", "sql_syntax")):
        with pytest.raises(penumbra.Refusal) as refused:
            penumbra.sql(statement, home=home)
        assert refused.value.rule == rule, statement


def test_as_of_means_a_commit_a_day_or_a_moment(home: Path) -> None:
    commits = penumbra.read("commits", home=home)
    last, second = commits["id"].iloc[-1], commits["at"].iloc[1].to_pydatetime()
    today = commits["at"].iloc[-1].to_pydatetime()

    def seen(as_of: "int | str | dt.date") -> int:
        return int(penumbra.read("commits", as_of=as_of, home=home)["id"].max())

    assert seen(2) == 2
    assert seen("2") == 2
    assert seen(today.date()) == seen(today.date().isoformat()) == last
    assert seen(second) == seen(second.isoformat()) == seen(second.replace(tzinfo=dt.UTC).isoformat()) == 2
    two_hours_east = dt.timezone(dt.timedelta(hours=2))
    assert seen(second.replace(tzinfo=dt.UTC).astimezone(two_hours_east)) == 2
    assert penumbra.sql("SELECT max(id) AS id FROM commits", as_of=second, home=home)["id"].tolist() == [2]


def test_polars_and_arrow_hold_the_same(home: Path) -> None:
    import polars as pl

    frame = penumbra.read("radiomics", outcome=True, home=home, format="polars")
    assert isinstance(frame, pl.DataFrame)
    assert frame.to_dicts() == penumbra.read("radiomics", outcome=True, home=home, format="arrow").to_pylist()
    assert penumbra.sql("SELECT 1 AS one", home=home, format="polars").to_dicts() == [{"one": 1}]


def test_without_polars_a_sentence_says_what_to_do(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name, package=None: None)
    with pytest.raises(penumbra.Refusal, match=r'polars is not installed .*Install the extra: pip install "penumbra-survival\[polars\]"'):
        penumbra.read("patients", home=home, format="polars")


def test_threads_read_at_once(home: Path) -> None:
    with ThreadPoolExecutor(4) as pool:
        frames = list(pool.map(lambda name: penumbra.read(name, home=home), ["patients", "radiomics", "commits", "patients"] * 2))
        answers = list(pool.map(lambda n: penumbra.sql("SELECT ? AS n", [n], home=home)["n"].iloc[0], range(8)))
    assert [len(frame) for frame in frames[:4]] == [len(frame) for frame in frames[4:]]
    assert answers == list(range(8))


def test_a_home_is_found_from_another_folder(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.parent)
    assert len(penumbra.read("patients", home="home")) == 2
    monkeypatch.chdir(tmp_path)
    assert len(penumbra.read("patients", home=os.path.relpath(home))) == 2
    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    assert len(penumbra.read("patients")) == 2
    assert penumbra.load().version == 1


def test_who_is_forgotten_is_in_no_frame(home: Path, tmp_path: Path) -> None:
    from penumbra.store import forget

    copy = shutil.copytree(home, tmp_path / "home")
    with store.connect(copy) as lake:
        forget(lake, "N001", "north", run="test")
    for as_of in (None, 3):
        for relation in ("patients", "radiomics", "images", "radiomics_long_all"):
            assert "N001" not in penumbra.read(relation, as_of=as_of, home=copy).to_csv(), (relation, as_of)


def test_a_version_says_what_it_is(home: Path) -> None:
    from tests.registry.small_bundle import COLUMNS

    version = penumbra.load("nsclc-os/1", home=home)
    assert version == penumbra.load(1, home=home) == penumbra.load("champion", home=home)
    assert (version.name, version.version, version.aliases, version.served, version.features) == ("nsclc-os", 1, ("champion",), "Combined", COLUMNS)
    assert version.uri == "models:/nsclc-os/1"
    assert version.tracking_uri.endswith("mlflow.db")
    assert repr(version) == "<Version nsclc-os/1 (champion): Combined, trained on north>"
    assert sorted(version.coefficients["name"]) == sorted(COLUMNS)
    assert version.metrics.columns.tolist() == ["center", "split", "metric", "value", "lower", "upper", "n", "events"]
    with pytest.raises(penumbra.Refusal, match="no version or alias 9 of nsclc-os"):
        penumbra.load(9, home=home)


def test_a_frame_is_scored_as_mlflow_scores_it(home: Path, columns: "pd.DataFrame") -> None:
    import mlflow
    import polars as pl

    version = penumbra.load(home=home)
    answer = version.predict(columns)
    served = mlflow.pyfunc.load_model(str(version.loaded.entry.folder.parents[1])).predict(columns.drop(columns="patient"))
    assert answer.drop(columns="patient").to_dict("list") == served.to_dict("list")
    assert answer["patient"].tolist() == ["P1", "P2"]
    assert answer["log_risk"].tolist() == version.loaded.model.log_risk({name: columns[name].to_numpy() for name in version.features}).tolist()
    shuffled = columns.iloc[::-1, ::-1]
    assert version.predict(shuffled)["log_risk"].tolist() == answer["log_risk"].tolist()[::-1]
    assert version.predict(shuffled).index.tolist() == [1, 0]
    assert version.predict(pl.from_pandas(columns))["log_risk"].tolist() == answer["log_risk"].tolist()
    assert {"limits", "percentile", "contributions"} <= set(version.predict(columns, explain=True))


@pytest.mark.parametrize(
    ("change", "rule", "words"),
    [
        (lambda frame: frame.drop(columns="deep.deep_007"), "column_given", "Combined needs the column deep.deep_007"),
        (lambda frame: frame.assign(**{"deep.deep_007": ["high", "low"]}), "value_is_a_number", "deep.deep_007 is a text for 2 of 2"),
        (lambda frame: frame.assign(**{"deep.deep_007": [1.0, None]}), "value_missing", "deep.deep_007 is missing for 1 of 2"),
        (lambda frame: frame.assign(**{"deep.deep_007": [1.0, float("inf")]}), "value_finite", "deep.deep_007 is infinite for 1 of 2"),
        (lambda frame: frame.assign(**{"gtv.original_shape_MeshVolume": [-1.0, 2.0]}), "value_positive", "gtv.original_shape_MeshVolume must be positive"),
    ],
)
def test_a_frame_that_lacks_something_is_refused_by_its_name(
    home: Path, columns: "pd.DataFrame", change: "Callable[[pd.DataFrame], pd.DataFrame]", rule: str, words: str
) -> None:
    with pytest.raises(penumbra.Refusal) as refused:
        penumbra.load(home=home).predict(change(columns))
    assert refused.value.rule == rule
    assert words in str(refused.value)


def test_rows_by_roi_are_taken_for_a_version_that_reads_them(home: Path) -> None:
    """What is missing is named, features of another definition are refused, and two rows of one patient are."""
    import pandas as pd

    version = penumbra.load(home=home)
    rows = penumbra.read("radiomics", home=home)
    with pytest.raises(penumbra.Refusal, match=r"Combined needs the column ring_6mm\.wavelet-LLH_glcm_Contrast"):
        version.predict(rows)
    with pytest.raises(penumbra.Refusal, match="reads gtv features of definition 0123456789ab, not ffffffffffff"):
        version.predict(rows.assign(version="ffffffffffff"))
    with pytest.raises(penumbra.Refusal, match="a patient has two rows of one roi"):
        version.predict(pd.concat([rows, rows]))


def test_models_and_their_refusal_are_those_of_the_command(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.cli import main

    monkeypatch.setenv("PENUMBRA_HOME", str(home))
    printed = CliRunner().invoke(main, ["models", "--format", "csv"]).stdout
    assert penumbra.models().columns.tolist() == [name.strip('"') for name in printed.splitlines()[0].split(",")]
    assert penumbra.models()["version"].tolist() == [1]
    with pytest.raises(penumbra.Refusal, match="no version of nsclc-pfs is registered"):
        penumbra.models("nsclc-pfs")
    with pytest.raises(penumbra.Refusal, match=r"one version, nsclc-os/1 \(champion\), and nothing to compare it with"):
        penumbra.compare(penumbra.load())


def test_a_home_in_another_project_goes_by_what_that_project_declares(home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was asked with the params.yaml, the rings and the clinical columns of the current folder."""
    from penumbra.base.params import project_root, recalibrate_from
    from penumbra.commands import init
    from penumbra.pipeline.settings import load_settings

    for name in ("PENUMBRA_PROJECT", "PENUMBRA_HOME"):
        monkeypatch.delenv(name, raising=False)
    here, there = tmp_path / "here", tmp_path / "there"
    for project in (here, there):
        init.init(project)
    state = there / "data"
    shutil.copytree(home, state, dirs_exist_ok=True)
    (here / "params.yaml").write_text((here / "params.yaml").read_text().replace("model: nsclc-os", "model: nsclc-pfs"))
    params = (there / "params.yaml").read_text().replace("bootstraps: 1000", "bootstraps: 77")
    changed = [line.replace("null", "12") if line.lstrip().startswith("recalibrate_from:") else line for line in params.splitlines()]
    (there / "params.yaml").write_text("\n".join(changed) + "\n")
    (there / "features" / "clinical.yaml").write_text("ecog: {type: integer, range: [0, 4], known: planning, meaning: ECOG}\n")
    rois = there / "features" / "rois.yaml"
    rois.write_text(rois.read_text().replace("margins_mm: [3, 6, 9]", "margins_mm: [3, 6, 12]"))
    monkeypatch.chdir(here)
    assert penumbra.models(home=state)["version"].tolist() == [1], "of nsclc-os, as there; here it would be nsclc-pfs"
    assert penumbra.load(home=state).name == "nsclc-os"
    assert penumbra.compare(home=state).versions == ("nsclc-os/1 (champion)",)
    assert penumbra.read("clinical", home=state).columns.tolist() == ["patient", "center", "ecog"]
    assert penumbra.sql("SELECT name FROM clinical_columns", home=state)["name"].tolist() == ["ecog"]
    assert penumbra.sql("SHOW TABLES", home=state)["name"].isin(["ring_12mm_outcome", "ring_9mm_outcome"]).sum() == 1
    assert load_settings(None, state).evaluate.bootstraps == 77
    assert (recalibrate_from(state), recalibrate_from(home), project_root(home)) == (12, None, here), "a home of no project goes by the one here"
    monkeypatch.setenv("PENUMBRA_HOME", str(state))
    assert (project_root(), penumbra.models()["version"].tolist()) == (there, [1]), "commands, too"
    monkeypatch.setenv("PENUMBRA_PROJECT", str(here))
    assert project_root(state) == here, "what is named counts"
