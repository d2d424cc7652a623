"""A department's own columns as covariates: refused where they come too late, encoded, learned on training patients, in no key where no model reads them."""

import shutil
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.base.clinical_columns import declared_columns
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.base.yaml_files import ParamsError
from penumbra.commands.python.version import Version
from penumbra.commands.verify import verify
from penumbra.pipeline import evaluate as evaluate_stage
from penumbra.pipeline import explain
from penumbra.pipeline import register as register_stage
from penumbra.pipeline.alike import version_table
from penumbra.pipeline.arrived import clinical_table, measured
from penumbra.pipeline.covariates import of_version, used, with_levels
from penumbra.pipeline.dataset import columns_of, read_dataset
from penumbra.pipeline.fuse import fuse, load_models
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work

from ..small_run import few_models, small_work

OWN = declared_columns(
    {
        "ecog": {"type": "ordinal", "levels": [0, 1, 2, 3], "known": "planning", "meaning": "ECOG performance status"},
        "albumin": {"type": "number", "unit": "g/L", "range": [10, 60], "known": -7, "meaning": "serum albumin"},
        "chemotherapy": {"type": "category", "levels": ["none", "sequential", "concurrent"], "known": "planning", "meaning": "chemotherapy"},
        "dose_given": {"type": "number", "unit": "Gy", "range": [0, 100], "known": "treatment", "meaning": "delivered dose"},
    }
)
FILE = """
ecog: {type: ordinal, levels: ["0", "1", "2", "3"], known: planning, meaning: ECOG performance status}
chemotherapy: {type: category, levels: [none, sequential, concurrent], known: planning, meaning: chemotherapy}
dose_given: {type: number, unit: Gy, range: [0, 100], known: treatment, meaning: delivered dose}
toxicity: {type: integer, range: [0, 5], known: 90, meaning: worst toxicity}
"""
CONTROLS = "models/controls.yaml"


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the project's declarations with columns of its own."""
    for name in ("features", "models"):
        shutil.copytree(project_root() / name, tmp_path / name)
    shutil.copy(project_root() / "params.yaml", tmp_path)
    (tmp_path / "features" / "clinical.yaml").write_text(FILE)
    monkeypatch.setenv("PENUMBRA_PROJECT", str(tmp_path))
    return tmp_path


def change(project: Path, new: str) -> None:
    file = project / CONTROLS
    file.write_text(file.read_text() + new)


def test_a_model_may_name_what_is_known_at_the_planning_ct(project: Path) -> None:
    change(project, "\nOwn: {label: Own, family: control, kind: cox, columns: [clinical.ecog, clinical.chemotherapy], impute: [clinical.chemotherapy]}\n")
    settings = load_settings("quick")
    indicators = ["clinical.chemotherapy=sequential", "clinical.chemotherapy=concurrent"]
    assert settings.models["controls"]["Own"]["columns"] == ["clinical.ecog", *indicators]
    assert settings.models["controls"]["Own"]["impute"] == indicators
    assert list(used(settings.models, settings.clinical_columns)) == ["ecog", "chemotherapy"]


@pytest.mark.parametrize(
    ("columns", "fault", "rule"),
    [
        (
            "columns: [clinical.dose_given]",
            "Own names clinical.dose_given, which is known only at treatment: a prediction is made at the planning CT",
            "known_at_prediction",
        ),
        ("columns: [clinical.toxicity]", "Own names clinical.toxicity, which is known 90 days after the planning CT", "known_at_prediction"),
        ("columns: [clinical.ecogs]", "Own names the column 'clinical.ecogs', which clinical does not have. Did you mean clinical.ecog?", "model_declared"),
        ("columns: [clinical.ecog], log: [clinical.ecog]", "log of Own holds clinical.ecog, which is of type ordinal", "model_declared"),
        ("columns: [clinical.chemotherapy=none]", "Own names the column 'clinical.chemotherapy=none'", "model_declared"),
    ],
)
def test_a_covariate_that_cannot_be_is_refused_before_anything_runs(project: Path, columns: str, fault: str, rule: str) -> None:
    change(project, f"\nOwn: {{label: Own, family: control, kind: cox, {columns}}}\n")
    with pytest.raises(ParamsError) as refused:
        load_settings("quick")
    assert fault in str(refused.value)
    assert f"(rule {rule})" in str(refused.value)
    assert f"{CONTROLS}, line " in str(refused.value)


def test_columns_that_no_model_reads_change_no_model(project: Path) -> None:
    declared = load_settings("quick")
    (project / "features" / "clinical.yaml").unlink()
    plain = load_settings("quick")
    assert declared.models == plain.models
    assert with_levels(plain.models, {}) == plain.models
    assert used(declared.models, declared.clinical_columns) == {}


def _with_values(work: Work) -> None:
    with store.connect(work.home) as lake:
        people = lake.sql("SELECT patient, center, event FROM patients ORDER BY patient").to_pylist()
        rows: list[dict[str, Any]] = []
        for i, person in enumerate(people):
            of = {"patient": person["patient"], "center": person["center"]}
            rows.append({**of, "name": "ecog", "level": None if i % 7 == 0 else str(i % 4)})
            rows.append({**of, "name": "chemotherapy", "level": ("none", "sequential", "concurrent")[i % 3]})
            rows.append({**of, "name": "albumin", "number": 30.0 + i % 11})
            rows.append({**of, "name": "dose_given", "number": 60.0})
        lake.write({"clinical_long": rows}, run="test", what="own columns")


def _reading(work: Work, *names: str) -> Work:
    entry = {
        "label": "Own",
        "family": "control",
        "kind": "cox",
        "columns": [f"clinical.{name}" for name in names],
        "impute": [f"clinical.{name}" for name in names],
    }
    models = with_levels({**work.settings.models, "controls": {**work.settings.models["controls"], "Own": entry}}, OWN)
    return replace(work, settings=replace(work.settings, models=models))


@pytest.mark.slow
def test_the_data_set_has_them_and_its_key_only_where_a_model_reads_them(tmp_path: Path) -> None:
    plain = small_work(tmp_path / "home")
    before = read_dataset(plain)
    _with_values(plain)
    declared = replace(plain, settings=replace(plain.settings, clinical_columns=OWN))
    unused = read_dataset(declared)
    assert (unused.fingerprint, unused.training_sha256) == (before.fingerprint, before.training_sha256)
    reading = read_dataset(_reading(declared, "ecog", "chemotherapy"))
    assert reading.training_sha256 != before.training_sha256
    table = columns_of(reading.blocks)
    assert np.isnan(table["clinical.ecog"][[0, 7]]).all()
    assert table["clinical.ecog"][[1, 2, 3]].tolist() == [1.0, 2.0, 3.0]
    assert table["clinical.chemotherapy=concurrent"][:3].tolist() == [0.0, 0.0, 1.0]
    assert "clinical.dose_given" not in table, "what comes later is not even in the table"
    with store.connect(plain.home) as lake:
        lake.write({"clinical_long": [{"patient": "N001", "center": "north", "name": "ecog", "level": "0"}]}, run="test", what="corrected")
    assert read_dataset(_reading(declared, "ecog", "chemotherapy")).training_sha256 != reading.training_sha256
    assert read_dataset(declared).training_sha256 == before.training_sha256
    turned = declared_columns({**{name: each.to_dict() for name, each in OWN.items()}, "ecog": {**OWN["ecog"].to_dict(), "levels": ["3", "2", "1", "0"]}})
    other = _reading(replace(declared, settings=replace(declared.settings, clinical_columns=turned)), "ecog", "chemotherapy")
    assert read_dataset(other).training_sha256 != reading.training_sha256, "other ranks are other data"


@pytest.mark.slow
def test_a_version_learns_them_on_training_patients_keeps_their_declaration_and_takes_them_by_name(
    tmp_path: Path, empty_registry: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(empty_registry, tmp_path / "home")
    work = small_work(tmp_path / "home", centers={"north": 40, "east": 24}, features=6)
    (tmp_path / "home" / "networks" / "deep1").mkdir(parents=True)
    (tmp_path / "home" / "networks" / "deep1" / "network.safetensors").write_bytes(b"weights")
    monkeypatch.setattr(register_stage, "learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    monkeypatch.setattr(register_stage, "released_network", lambda weights, folder: weights)
    monkeypatch.setattr(evaluate_stage, "cross_fitted_falsifiers", lambda *_: {})
    _with_values(work)
    settings = few_models(replace(work.settings, clinical_columns=OWN, evaluate=replace(work.settings.evaluate, bootstraps=20, refits=2)))
    work = _reading(replace(work, settings=replace(settings, register=replace(settings.register, served="Own"))), "ecog", "chemotherapy", "albumin")
    data = read_dataset(work)
    fitted = fuse(work)
    evaluate_stage.evaluate(work)
    register_stage.register(work)
    import mlflow

    loaded = registry.load(work.home, "1")
    columns = {each.name: each for each in loaded.model.inputs}
    assert list(columns) == ["clinical.ecog", "clinical.chemotherapy=sequential", "clinical.chemotherapy=concurrent", "clinical.albumin"]
    ecog = columns_of(data.rows(data.training))["clinical.ecog"]
    assert columns["clinical.ecog"].fill == np.nanmedian(ecog), "what is missing becomes the median of the training patients"
    assert columns["clinical.ecog"].mean == pytest.approx(np.where(np.isnan(ecog), np.nanmedian(ecog), ecog).mean())
    kept = of_version(loaded.settings)
    assert kept == {name: OWN[name] for name in ("ecog", "albumin", "chemotherapy")}
    assert verify(work.home, "1").sha256 == loaded.entry.store_digest

    table, remarks = clinical_table(loaded, None, None, {"ecog": "2", "chemotherapy": "concurrent"})
    assert {name: values[0] for name, values in table.items() if not np.isnan(values[0])} == {
        "clinical.ecog": 2.0,
        "clinical.chemotherapy=sequential": 0.0,
        "clinical.chemotherapy=concurrent": 1.0,
    }
    assert [remark.partition(":")[0] for remark in remarks] == ["albumin is not given"]
    with pytest.raises(Refusal, match="ecog is 7, not one of 0, 1, 2, 3"):
        clinical_table(loaded, None, None, {"ecog": "7"})
    with store.connect(work.home, read_only=True) as lake:
        _, stored = version_table(lake, loaded, "north", ["N001", "N002"])
    assert stored["clinical.ecog"].tolist() == [columns_of(data.blocks)["clinical.ecog"][data.patients.tolist().index(name)] for name in ("N001", "N002")]

    version = Version(loaded, work.home)
    frame = version.read()
    answer = version.predict(frame).set_index("patient")
    predictions = {row["patient"]: row["log_risk"] for row in store.query(work.home, "SELECT patient, log_risk FROM predictions").to_pylist()}
    assert answer["log_risk"].to_dict() == pytest.approx(predictions, rel=1e-12), "from a frame as the stages scored them"
    assert 0 < frame["clinical.ecog"].isna().sum() < len(frame), "what is missing stays missing in a frame"
    filled = frame.fillna({"clinical.ecog": columns["clinical.ecog"].fill})
    assert version.predict(filled)["log_risk"].tolist() == answer["log_risk"].tolist(), "and is the median of the training patients in a risk"
    served = mlflow.pyfunc.load_model(str(loaded.entry.folder.parents[1])).predict(frame[list(columns)])
    assert served["log_risk"].tolist() == answer["log_risk"].tolist()
    with pytest.raises(Refusal, match=r"needs the column clinical\.albumin"):
        version.predict(frame.drop(columns="clinical.albumin"))
    explained = explain.explain_person(work, loaded, explain.of_store(work, loaded, "N001", "north", scan=False))
    assert explained.log_risk == pytest.approx(predictions["N001"], rel=1e-12)
    assert {shown.name for shown in explained.exact.features["clinical"]} == set(columns)

    described = "".join(path.read_text(encoding="utf-8") for path in work.home.rglob("MLmodel"))
    assert all(f'"name": "{name}"' in described for name in columns), "the signature of the served model names them"

    _, refits = evaluate_stage.refitted(work, data, load_models(work, fitted.key), (), "")
    assert (refits.selection_frequency, refits.refits) == ({}, 0), "where nothing is served there is nothing to refit on resamples"

    with store.connect(work.home) as lake:
        others = lake.sql("SELECT patient, center FROM patients WHERE center <> 'north'").to_pylist()
        lake.write({"clinical_long": [{**person, "name": "ecog", "level": "3"} for person in others]}, run="test", what="others")
    again = fuse(work)
    assert (again.key, again.digests) == (fitted.key, fitted.digests), "values of patients who did not train reach no fit"
    assert again.dataset != fitted.dataset


def test_a_version_that_reads_no_feature_of_a_region(tmp_path: Path) -> None:
    """It was an error of the extraction, of no region at all."""
    loaded: Any = SimpleNamespace(settings={"radiomics": {}, "populate": {"engine": "penumbra"}})
    scan: Any = SimpleNamespace(gtv=None)
    assert measured(tmp_path, loaded, scan, {}, {"clinical"}) == ({}, {})
