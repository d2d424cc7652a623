"""No training patient is in a registered version: neither a key, nor a feature's value, nor a day, in any file of MLflow; and a withdrawal changes none."""

import json
import sqlite3
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import network, registry, store
from penumbra.base.refusal import Refusal
from penumbra.commands.forget import forget
from penumbra.commands.verify import verify
from penumbra.fusion import SurvivalModel
from penumbra.network import Ensemble, Trained
from penumbra.network.ensemble import volume_digest
from penumbra.network.settings import NO_AUGMENT
from penumbra.network.tensors import read
from penumbra.pipeline.dataset import columns_of, network_file, read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.register import register
from penumbra.pipeline.workspace import Work

from ..network.test_train import SHORT, SMALL
from ..small_run import few_models, small_work

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def registered(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    """Two versions: the combined model, and the volume alone."""
    import shutil

    from penumbra.network.se_resnet import initial_variables

    home = tmp_path_factory.mktemp("private") / "home"
    shutil.copytree(empty_registry, home)
    work = small_work(home, centers={"north": 61, "east": 20}, features=6)
    settings = few_models(work.settings)
    work = replace(work, settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=20, refits=12)))
    members = tuple(Trained(initial_variables(SMALL, seed=seed), SMALL, NO_AUGMENT, SHORT, history=(), best_epoch=0) for seed in (0, 1))
    channels = SMALL.filters[-1]
    seen = {volume_digest(np.full((4, 4, 4), float(i))): (i % 2,) for i in range(61)}
    weights = network_file(home, "deep1")
    weights.parent.mkdir(parents=True)
    network.save(Ensemble(members, seen, np.zeros((2, channels), np.float32), np.ones((2, channels), np.float32)), weights)
    for served in ("Combined", "Volume"):
        one = replace(work, settings=replace(work.settings, register=replace(work.settings.register, served=served)))
        fuse(one)
        evaluate(one)
        register(one)
    return work


def artifacts(home: Path) -> list[Path]:
    """Every file of every version, and of MLflow itself."""
    return [path for path in sorted((home / "mlflow").rglob("*")) if path.is_file()]


def numbers_in(value: Any) -> Iterator[float]:
    """Every number of a document, at any depth, and those that are the whole of a text."""
    if isinstance(value, dict):
        for entry in value.values():
            yield from numbers_in(entry)
    elif isinstance(value, list | tuple):
        for entry in value:
            yield from numbers_in(entry)
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield float(value)
    elif isinstance(value, str):
        try:
            yield float(value)
        except ValueError:
            return


def numbers_of(path: Path) -> Iterator[float]:
    """Every number of one file: of JSON, of arrays, of a database; none of code."""
    if path.suffix == ".json":
        yield from numbers_in(json.loads(path.read_text(encoding="utf-8")))
    elif path.suffix == ".npz":
        with np.load(path, allow_pickle=False) as arrays:
            for name in arrays.files:
                if arrays[name].dtype.kind in "fiu":
                    yield from arrays[name].astype(float).ravel().tolist()
    elif path.suffix == ".safetensors":
        arrays, metadata = read(path)
        yield from numbers_in(json.loads(metadata["ensemble"]))
        for array in arrays.values():
            yield from np.asarray(array, dtype=float).ravel().tolist()
    elif path.suffix == ".db":
        with sqlite3.connect(f"file:{path}?mode=ro", uri=True) as database:
            for (table,) in database.execute("SELECT name FROM sqlite_master WHERE type = 'table'").fetchall():
                yield from numbers_in([list(row) for row in database.execute(f'SELECT * FROM "{table}"').fetchall()])  # noqa: S608 - MLflow's own names


def person(work: Work) -> tuple[str, float, list[float]]:
    """A training patient who died on a day of nobody else's, the day, and the values of every feature of every block."""
    data = read_dataset(work)
    dead = data.training & data.event
    alone = [i for i in np.flatnonzero(dead) if (data.time == data.time[i]).sum() == 1 and data.time[i] > 200 and data.time[i] not in (365.0, 730.0, 1095.0)]
    row = int(alone[0])
    values = [float(column[row]) for name, column in columns_of(data.blocks).items() if not name.startswith("clinical.")]
    return str(data.patients[row]), float(data.time[row]), values


def test_nothing_of_a_training_patient_is_in_a_version_and_a_withdrawal_changes_none(registered: Work) -> None:
    work = registered
    patient, day, values = person(work)
    fitted = [SurvivalModel.from_json(path.read_text()) for path in (work.home / "fitted").rglob("*.json")]
    assert any(day in model.baseline_times for model in fitted), "a fit has the day: the search can find one"
    names = [str(name) for name in read_dataset(work).patients]
    before = {entry.version: entry.digest for entry in registry.versions(work.home)}
    assert sorted(before) == [1, 2]

    def search() -> None:
        files = artifacts(work.home)
        assert {path.suffix for path in files} >= {".json", ".npz", ".safetensors", ".db"}
        for path in files:
            content = path.read_bytes()
            for name in names:
                for code in ("utf-8", "utf-16-le", "utf-32-le"):
                    assert name.encode(code) not in content, f"{name} is in {path.name}"
            for value in values:
                for kind in ("<f8", ">f8"):
                    assert np.array(value, dtype=kind).tobytes() not in content, f"a feature is in {path.name}"
                assert repr(value).encode() not in content, f"a feature is in {path.name}"
            numbers = np.array(list(numbers_of(path)) or [np.nan])
            for value in values:
                assert not (np.abs(numbers - value) <= 1e-9 * abs(value)).any(), f"a feature is in {path.name}"
                assert not (numbers == np.float32(value)).any(), f"a feature is in {path.name}"
            if path.suffix != ".db":  # MLflow's own counters are whole numbers too
                assert not (numbers == day).any(), f"the day is in {path.name}"

    search()
    forget(work, patient)
    search()
    for version, digest in before.items():
        entry = registry.find(work.home, version)
        assert entry.digest == digest
        registry.verify(entry.folder, digest)
        loaded = registry.load(work.home, version)
        data = {column.name: [1.0] for column in loaded.model.inputs}
        assert np.isfinite(loaded.model.log_risk(data)).all()
        with pytest.raises(Refusal, match="was trained on a patient who was forgotten since"):
            verify(work.home, f"nsclc-os/{version}")
    with store.connect(work.home, read_only=True) as lake:
        assert not lake.sql("SELECT * FROM predictions WHERE patient = ?", [patient]).num_rows


def test_the_registered_networks_know_no_training_volume(registered: Work) -> None:
    """The digest of a volume tells anybody who has the scan that it trained the network."""
    trained = network.load(network_file(registered.home, "deep1"))
    assert len(trained.unseen) == 61
    path = registry.load(registered.home, 1).network_path
    assert path is not None
    assert not network.load(path).unseen
    content = path.read_bytes()
    assert not [digest for digest in trained.unseen if digest.encode() in content]
    np.testing.assert_array_equal(network.load(path).mean, trained.mean)


def test_what_the_store_says_is_what_the_version_says(registered: Work) -> None:
    """Survival at the horizons is that of the fit though the baseline is on a grid, and every prediction has its limits."""
    with store.connect(registered.home, read_only=True) as lake:
        rows = lake.sql("SELECT * FROM predictions WHERE version = '1' ORDER BY patient").to_pylist()
        horizons = lake.sql("SELECT * FROM prediction_horizons WHERE version = '1' AND survival IS NOT NULL").to_pylist()
    loaded, data = registry.load(registered.home, 1), read_dataset(registered)
    assert loaded.model.linear_baseline
    table = columns_of(data.blocks)
    log_risk = dict(zip(data.patients.tolist(), loaded.model.log_risk(table).tolist(), strict=True))
    fit = SurvivalModel.from_json(next((registered.home / "fitted").rglob("Combined.json")).read_text())
    for row in rows:
        assert row["log_risk"] == pytest.approx(log_risk[row["patient"]], abs=1e-12)
        assert row["log_risk_lower"] <= row["log_risk"] <= row["log_risk_upper"]
        assert row["log_risk_lower"] < row["log_risk_upper"]
        assert row["limits"] == "refits on resamples of the training patients"
        for name in ("survival_1y", "survival_2y"):
            assert row[f"{name}_lower"] - 1e-12 <= row[name] <= row[f"{name}_upper"] + 1e-12
        assert row["survival_1y"] == pytest.approx(float(fit.survival([row["log_risk"]], [365.0])[0, 0]), abs=1e-12)
    assert {row["days"] for row in horizons} >= {365.0, 730.0}
    assert all(row["lower"] - 1e-12 <= row["survival"] <= row["upper"] + 1e-12 for row in horizons)
