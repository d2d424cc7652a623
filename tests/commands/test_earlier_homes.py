"""What earlier programs left in a home is read by this one: manifests, records, registered models; what cannot be read is one sentence."""

import json
from pathlib import Path

import click
import numpy as np
import pytest
import yaml

from penumbra.base.refusal import Refusal
from penumbra.base.yaml_files import read_yaml
from penumbra.bench.archives import unpack
from penumbra.cli import main
from penumbra.console import trail
from penumbra.pipeline import history, manifests, networks
from penumbra.pipeline.dataset import clinical_block, columns_of
from penumbra.pipeline.manifests import (
    ArrivalManifest,
    DecisionManifest,
    EvaluateManifest,
    FuseManifest,
    IngestManifest,
    PopulateManifest,
    RegisterManifest,
    TrainManifest,
)
from penumbra.registry import bundle, noted

from ..projects import CHECKOUT

KEPT = Path(__file__).parents[1] / "reference" / "homes"
HOMES = sorted(KEPT.glob("20*.tar.xz"))


@pytest.fixture(params=HOMES, ids=lambda path: path.name.partition(".")[0])
def home(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    return unpack(request.param, tmp_path / "home")


def test_manifests_and_records(home: Path) -> None:
    ingested = manifests.read(home, IngestManifest)
    assert {center: len(facts.accepted) for center, facts in ingested.centers.items()} == {"east": 2, "north": 12}
    assert set(manifests.read(home, ArrivalManifest).centers) == set(ingested.centers)
    assert set(manifests.read(home, PopulateManifest).patients) == set(manifests.read(home, TrainManifest).patients) == set(ingested.scans)
    fused, evaluated = manifests.read(home, FuseManifest), manifests.read(home, EvaluateManifest)
    assert (fused.trained_on, fused.events, len(evaluated.metrics)) == (12, 8, 6)
    registered = [manifests.read(home, RegisterManifest, file.stem) for file in sorted((home / "manifests").glob("register*.json"))]
    assert {(entry.model, entry.version, entry.train_centers) for entry in registered} == {("nsclc-os", 1, ("north",))}
    for file in (home / "manifests").glob("*.json"):  # written again, an earlier manifest has every fact that it had, but what is known here no more
        kind = next((kind for kind, name in manifests.NAMES.items() if name == file.stem), None)
        if kind is not None and not file.name.startswith("."):
            document = kind.from_json(json.loads(file.read_text(encoding="utf-8")))
            assert kind.from_json(json.loads(json.dumps(document.to_json()))) == document, file.name
    for file in (home / "manifests").glob("retrain-*.json"):
        decided = manifests.read(home, DecisionManifest, file.stem)
        assert (decided.center, decided.decision, decided.champion, decided.model) == ("east", "stop", 1, None)
        assert decided.reason.startswith("Stopped: 1 deaths at east")
    run = history.last_run(home)
    assert (run is None) is not (home / history.LAST_RUN).is_file()
    assert run is None or (run.command, run.error) == ("penumbra run", "")
    assert bool(noted.read(home, "nsclc-os").state) is (home / "mlflow" / noted.FILE).is_file()


def test_a_registered_model_answers_as_it_did(home: Path) -> None:
    document, models = bundle.read_manifest(home / "bundle"), bundle.read_models(home / "bundle")
    assert {"Clinical", "Volume"} <= set(models)
    rows = json.loads((home / "predictions.json").read_text(encoding="utf-8"))
    assert len(rows) == 14
    model = models[document["served"]]
    risk = model.log_risk(columns_of({"clinical": clinical_block(tuple(rows))}))
    np.testing.assert_allclose(risk, [row["log_risk"] for row in rows], rtol=0, atol=1e-12)
    assert model.risk_group(risk).tolist() == [row["risk_group"] for row in rows]
    stored = np.array([[row[f"survival_{year}y"] for year in (1, 2, 3)] for row in rows], dtype=float)
    np.testing.assert_allclose(model.survival(risk, document["horizons_days"]), stored, rtol=0, atol=1e-12)


def test_models_and_networks_of_an_unknown_format(home: Path, tmp_path: Path) -> None:
    file = home / "bundle" / "models" / "Volume.json"
    file.write_text(json.dumps({**json.loads(file.read_text(encoding="utf-8")), "format": 99}), encoding="utf-8")
    with pytest.raises(Refusal, match=r"Volume\.json of a registered version cannot be read .*format.*\(rule bundle_readable\)"):
        bundle.read_models(home / "bundle")
    header = json.dumps({"__metadata__": {"format": "penumbra network 1"}}).encode()
    network = tmp_path / "weights.safetensors"
    network.write_bytes(len(header).to_bytes(8, "little") + header)
    with pytest.raises(Refusal, match=r"'penumbra network 1'.*\(rule bundle_readable\)"):
        networks.read(network)


def test_a_damaged_manifest_of_an_earlier_program(home: Path) -> None:
    file = home / "manifests" / "fuse.json"
    document = json.loads(file.read_text(encoding="utf-8"))
    del document["key"]
    file.write_text(json.dumps(document), encoding="utf-8")
    with pytest.raises(Refusal, match=r"fuse\.json cannot be read \(key is missing\).*penumbra fuse, which writes it again"):
        manifests.read(home, FuseManifest)


def test_the_first_log_of_access(tmp_path: Path) -> None:
    home = unpack(KEPT / "console_2026-11-27_0232.tar.xz", tmp_path / "home")
    log = trail.log_of(home)
    assert (log.check().entries, log.check().fault) == (3, "")
    assert [entry["event"] for entry in trail.seen(log, patient="N001")] == ["page"]
    log.append({"event": "sign-out"})
    assert (log.check().entries, log.check().fault) == (4, "")


def test_files_of_dvc(home: Path) -> None:
    """A pipeline and a lock file of that day: DVC reads them, every command of theirs is one of today's, and every file is where today's stage leaves it."""
    from dvc.schema import COMPILED_LOCKFILE_SCHEMA, COMPILED_MULTI_STAGE_SCHEMA

    pipeline, lock = (yaml.safe_load((home / "project" / name).read_text(encoding="utf-8")) for name in ("dvc.yaml", "dvc.lock"))
    COMPILED_MULTI_STAGE_SCHEMA(pipeline)
    COMPILED_LOCKFILE_SCHEMA(lock)
    today = read_yaml(CHECKOUT / "dvc.yaml")["stages"]
    assert set(lock["stages"]) <= set(pipeline["stages"]) <= set(today)
    for name, stage in pipeline["stages"].items():
        program, *words = stage["cmd"].split()
        assert program == "penumbra"
        with click.Context(main, info_name=program) as context:
            command = main.get_command(context, words[0])
            assert command is not None, name
            command.make_context(words[0], words[1:], parent=context, resilient_parsing=True)
        assert outputs(stage) <= outputs(today[name]), name


def outputs(stage: dict[str, object]) -> set[str]:
    listed = stage.get("outs", [])
    assert isinstance(listed, list)
    return {next(iter(entry)) if isinstance(entry, dict) else entry for entry in listed}
