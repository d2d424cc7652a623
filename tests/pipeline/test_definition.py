"""A version gets features of the definition that it was fitted on, or none: at every entry point where this program makes features for one."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra import registry, store
from penumbra.base.params import project_root, read_yaml
from penumbra.base.refusal import Refusal
from penumbra.commands import predict as predict_command
from penumbra.imaging import grid, patient
from penumbra.network import inputs
from penumbra.pipeline import definition
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.radiomics import extraction
from penumbra.registry import LoadedModel
from penumbra.retraining import protocol

from ..registry.small_bundle import small_bundle

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """One registered version whose settings are the project's and whose keys are those of today's program."""
    folder = tmp_path_factory.mktemp("defined")
    shutil.copytree(empty_registry, folder, dirs_exist_ok=True)
    weights = folder / "weights"
    weights.write_bytes(b"weights")
    radiomics, rois = (read_yaml(project_root() / "features" / f"{name}.yaml") for name in ("radiomics", "rois"))
    key = store.version_key(definition.radiomics_definition(radiomics, rois, 1.0, "penumbra"))
    bundle = small_bundle(weights)
    settings = {"radiomics": radiomics, "rois": rois, "ingest": {"grid_mm": 1.0, "certificate": {}}, "populate": {"engine": "penumbra"}}
    lineage = replace(bundle.lineage, image_versions=definition.image_versions())
    versions = {"gtv": key, "ring_6mm": key, "deep": "d00000000000"}
    registry.register(folder, replace(bundle, settings=settings, feature_versions=versions, lineage=lineage))
    return folder


@pytest.fixture(params=["predict", "retrain"])
def door(request: pytest.FixtureRequest, home: Path, tmp_path: Path) -> Callable[[], object]:
    """What asks this program for features of the version; it ends in another refusal as soon as the definition is accepted."""
    work = Work(home, load_settings("quick"), "test")
    doors = {
        "predict": lambda: predict_command.predict(home, tmp_path),
        "retrain": lambda: protocol.follow(work, registry.load(home), "nowhere", protocol.Steps(work, "k", "nowhere"), None),
    }
    return doors[request.param]


def test_todays_program_makes_what_its_version_reads(door: Callable[[], object]) -> None:
    with pytest.raises((Refusal, KeyError)) as ended:
        door()
    assert "same_features" not in str(ended.value)


@pytest.mark.parametrize(("place", "name"), [(extraction, "VERSION"), (patient, "READER_VERSION"), (grid, "GRID_VERSION"), (inputs, "INPUT_VERSION")])
def test_an_engine_a_reader_a_grid_or_an_input_of_another_version_is_refused(
    door: Callable[[], object], monkeypatch: pytest.MonkeyPatch, place: object, name: str
) -> None:
    """predict answered with another log risk where retrain refused."""
    monkeypatch.setattr(place, name, "99")
    monkeypatch.setattr(definition, name, "99", raising=False)
    with pytest.raises(Refusal, match=r"nsclc-os/1 .* this program (makes|has) .* penumbra run.*\(rule same_features\)"):
        door()


def test_a_model_of_radiomics_alone_does_not_ask_for_the_networks_input(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = registry.load(home)
    monkeypatch.setattr(definition, "INPUT_VERSION", "99")
    definition.require_same_features(loaded, {"gtv", "ring_6mm"})
    with pytest.raises(Refusal, match=r".* gives the network input 1, this program has 99.*\(rule same_features\)"):
        definition.require_same_features(loaded, {"gtv", "deep"})


def test_a_version_that_names_no_definition_of_a_block_is_refused(home: Path) -> None:
    loaded = registry.load(home)
    without: LoadedModel = replace(loaded, feature_versions={"deep": "d00000000000"})
    with pytest.raises(Refusal, match=r"nsclc-os/1 reads features None of gtv.*\(rule same_features\)"):
        definition.require_same_features(without, {"gtv"})


def test_a_version_from_before_these_were_recorded_is_of_the_first_ones(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    loaded = registry.load(home)
    old = replace(loaded, lineage=replace(loaded.lineage, image_versions={}))
    definition.require_same_features(old)
    monkeypatch.setattr(definition, "GRID_VERSION", "2")
    with pytest.raises(Refusal, match="resamples with grid 1, this program has 2"):
        definition.require_same_features(old)
