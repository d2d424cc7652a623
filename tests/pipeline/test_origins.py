"""A stage trusts the manifests before it only where they were made from what is there now; else it says which stage to run again."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from penumbra import network, registry, store
from penumbra.base.refusal import Refusal
from penumbra.commands import doctor
from penumbra.commands.verify import contradicted, verify
from penumbra.network.se_resnet import initial_variables
from penumbra.pipeline import aliases, manifests, settings
from penumbra.pipeline.dataset import network_file, read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.manifests import EvaluateManifest, FuseManifest, IngestManifest, PopulateManifest
from penumbra.pipeline.origins import accepted_images, of_populate
from penumbra.pipeline.register import register
from penumbra.pipeline.report import report
from penumbra.pipeline.workspace import Work

from ..network.conftest import NO_AUGMENT, SHORT, SMALL
from ..small_run import few_models, say_what_it_was_made_from, small_work

pytestmark = pytest.mark.slow

STAGES: dict[str, Callable[[Work], Any]] = {"fuse": fuse, "evaluate": evaluate, "register": register, "report": report}
Row = dict[str, Any]


def small(work: Work) -> Work:
    """The same work with few and small models."""
    chosen = few_models(work.settings)
    few = {"evaluate": replace(chosen.evaluate, bootstraps=20, refits=1), "report": replace(chosen.report, patients=0)}
    return replace(work, settings=replace(chosen, **few))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Work:
    """ingest to evaluate have run."""
    work = small(small_work(tmp_path_factory.mktemp("origins") / "home", centers={"north": 40, "east": 16}, features=6))
    shutil.copytree(empty_registry, work.home, dirs_exist_ok=True)
    say_what_it_was_made_from(work)
    fuse(work)
    evaluate(work)
    return work


@pytest.fixture
def work(made: Work, tmp_path: Path) -> Work:
    """A copy, to be changed."""
    shutil.copytree(made.home, tmp_path / "home")
    return replace(made, home=tmp_path / "home")


def with_numbers(work: Work, group: str, **values: Any) -> Work:
    return replace(work, settings=replace(work.settings, **{group: replace(getattr(work.settings, group), **values)}))


def newer_records(work: Work, center: str, change: Callable[[Row], Row], *, ingested: bool) -> None:
    """Newer clinical records of a center in the store; `ingested`: by an ingest that was finished, which populate and train followed."""
    with store.connect(work.home) as lake:
        known = [{name: value for name, value in row.items() if name not in ("commit_id", "clinical_version")} for row in lake.rows("patients")]
        lake.write({"patients": [{**row, **change(row)} for row in known if row["center"] == center]}, run="test", what="a newer table")
    if ingested:
        say_what_it_was_made_from(work)


def stops(work: Work, *stages: str) -> set[str]:
    """What these stages say, without their rule."""
    found = set()
    for stage in stages:
        with pytest.raises(Refusal) as refusal:
            STAGES[stage](work)
        assert refusal.value.rule == "stage_is_current"
        found.add(str(refusal.value).removesuffix(" (rule stage_is_current)"))
    return found


def again(found: str, stage: str) -> set[str]:
    return {f"{found}. Run penumbra {stage}, or penumbra run for all stages."}


def longer(row: Row) -> Row:
    return {"time": row["time"] + 30.0}


def older(row: Row) -> Row:
    return {"age": row["age"] + 1.0}


@pytest.mark.parametrize(("center", "change"), [("north", longer), ("north", older), ("east", longer)], ids=["outcomes", "ages", "a test center"])
def test_newer_rows_after_fuse_stop_what_follows_until_fuse_has_run(work: Work, center: str, change: Callable[[Row], Row]) -> None:
    newer_records(work, center, change, ingested=True)
    assert stops(work, "evaluate", "register", "report") == again("fuse was made from other data", "fuse")
    fuse(work)
    assert stops(work, "register", "report") == again("evaluate was made from other data", "evaluate")


def test_an_ingest_that_was_interrupted_stops_everything(work: Work) -> None:
    """The store has the newer rows, the manifest of ingest is the one before: some patients may be of one table and some of the other."""
    newer_records(work, "east", longer, ingested=False)
    assert stops(work, *STAGES) == again("ingest of east was made from other data", "ingest")


def test_after_a_refused_fuse_nothing_goes_on_with_the_models_of_before(work: Work) -> None:
    newer_records(work, "north", lambda row: {"event": False}, ingested=True)
    with pytest.raises(Refusal, match="none of the 40 training patients died"):
        fuse(work)
    assert stops(work, "evaluate", "register", "report") == again("fuse was made from other data", "fuse")


@pytest.mark.parametrize(
    ("group", "values", "stage", "said"),
    [
        ("fuse", {"pca_variance": 0.9}, "fuse", "fuse was made with fuse.pca_variance = 0.95, which is 0.9 now"),
        ("fuse", {"lasso_lambda": "1se"}, "fuse", 'fuse was made with fuse.lasso_lambda = "min", which is "1se" now'),
        ("evaluate", {"bootstraps": 30}, "evaluate", "evaluate was made with evaluate.bootstraps = 20, which is 30 now"),
        ("register", {"served": "Clinical"}, "evaluate", 'evaluate was made with register.served = "Combined", which is "Clinical" now'),
        ("network", {"input_size": 16}, "train", "train was made with network.input_size = "),
        ("train", {"epochs": 3}, "train", "train was made with train.epochs = 40, which is 3 now"),
        ("ablation", {"without_se": True}, "train", "train was made with ablation.without_se = false, which is true now"),
        ("cohort", {"train_centers": ("east",)}, "train", 'train was made with cohort.train_centers = ["north"], which is ["east"] now'),
        ("cohort", {"time_unit": "months"}, "ingest", 'ingest of east was made with cohort.time_unit = "days", which is "months" now'),
        ("ingest", {"grid_mm": 2.0}, "ingest", "ingest of east was made with ingest.grid_mm = 1.0, which is 2.0 now"),
        ("populate", {"engine": "pyradiomics"}, "populate", 'populate was made with populate.engine = "penumbra", which is "pyradiomics" now'),
    ],
)
def test_another_number_stops_what_follows_until_its_stage_has_run(made: Work, group: str, values: dict[str, Any], stage: str, said: str) -> None:
    other = with_numbers(made, group, **values)
    behind = list(STAGES)[list(STAGES).index(stage) + 1 :] if stage in STAGES else ["fuse", "register"]
    (sentence,) = stops(other, *behind)
    assert sentence.startswith(said)
    assert sentence.endswith(f". Run penumbra {stage}, or penumbra run for all stages.")


def test_another_declaration_stops_what_follows(made: Work) -> None:
    work, chosen = made, made.settings
    wider = {**chosen.radiomics, "setting": {**chosen.radiomics["setting"], "binWidth": 13}}
    found = "populate was made with another features/radiomics.yaml"
    assert stops(replace(work, settings=replace(chosen, radiomics=wider)), "fuse", "register") == again(found, "populate")
    fewer = replace(chosen, models={**chosen.models, "controls": {"Volume": chosen.models["controls"]["Volume"]}})
    assert stops(replace(work, settings=fewer), "evaluate", "register", "report") == again("fuse was made with another models/controls.yaml", "fuse")
    own = {**chosen.rois, "centers": {"east": {"patterns": ["tumour"]}}}
    found = "ingest of east was made with another list of names for the GTV"
    assert stops(replace(work, settings=replace(chosen, rois=own)), "fuse", "register") == again(found, "ingest")
    new = {**chosen.rois, "centers": {"west": {"patterns": ["tumour"]}}}
    assert evaluate(replace(work, settings=replace(chosen, rois=new))) == evaluate(work), "names of a center that has not arrived change nothing"


def test_another_profile_is_named(made: Work) -> None:
    other = with_numbers(replace(made, settings=replace(made.settings, profile="paper")), "train", epochs=100)
    found = "train was made with profile quick, not paper. Run penumbra train, or name the profile: --profile quick."
    assert stops(other, "fuse", "report") == {found}


def test_a_patient_more_stops_what_follows_stage_by_stage(work: Work) -> None:
    ingested = manifests.read(work.home, IngestManifest)
    row = {"patient": "E999", "center": "east", "age": 60.0, "time": 100.0, "event": True}
    with store.connect(work.home) as lake:
        lake.write({"patients": [row], "images": [{"patient": "E999", "center": "east", "image_version": "i1"}]}, run="test", what="ingest")
    east = ingested.centers["east"]
    manifests.write(work.home, IngestManifest({**ingested.centers, "east": replace(east, accepted={**east.accepted, "E999": "i1"})}))
    assert stops(work, *STAGES) == again("populate was made from other data", "populate")
    manifests.write(work.home, replace(manifests.read(work.home, PopulateManifest), made_from=of_populate(work, accepted_images(work))))
    assert stops(work, *STAGES) == again("train was made from other data", "train")


def test_unchanged_everything_is_as_it_was_to_the_byte(work: Work) -> None:
    def left() -> dict[str, bytes]:
        return {path.name: path.read_bytes() for path in (work.home / "manifests").glob("*.json")}

    before = left()
    with store.connect(work.home) as lake:  # a commit of something else
        lake.write({"rejections": [{"patient": "W1", "center": "west", "stage": "ingest", "rule": "r", "found": "f", "advice": "a"}]}, run="test", what="other")
    fuse(work)
    evaluate(work)
    assert left() == before


def test_what_an_earlier_program_left_is_taken_as_it_is_but_for_its_own_key(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    for stage in ("ingest", "populate", "train", "fuse", "evaluate"):
        path = manifests.file_of(work.home, stage)
        content = json.loads(path.read_text(encoding="utf-8"))
        for added in ("made_from", "training_sha256", "store_commit"):
            content.pop(added, None)
        for entry in content.get("centers", {}).values():
            del entry["made_from"], entry["stored"]
        path.write_text(json.dumps(content), encoding="utf-8")
    old = manifests.read(work.home, EvaluateManifest)
    found = evaluate(work)
    assert (old.made_from, found.to_json()) == (None, replace(old, made_from=found.made_from).to_json())
    newer_records(work, "north", longer, ingested=False)
    assert stops(work, "evaluate", "register") == again("fuse was made from other data, or by an earlier program", "fuse")


def test_features_are_read_once_until_something_is_written(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Four stages of a run read the same ones."""
    read, kinds = store.read_matrix, list[str]()

    def counted(lake: store.Store, kind: Any, roi: str, **named: Any) -> store.Matrix:
        kinds.append(kind)
        return read(lake, kind, roi, **named)

    monkeypatch.setattr(store, "read_matrix", counted)
    first, second = read_dataset(work), read_dataset(work)
    assert kinds.count("deep") == 1
    assert first.fingerprint == second.fingerprint
    newer_records(work, "east", longer, ingested=True)
    assert read_dataset(work).fingerprint != first.fingerprint
    assert kinds.count("deep") == 2


def test_a_version_names_the_rows_that_it_was_fitted_on(work: Work) -> None:
    """The commit is the one that fuse read, whatever was committed since; verify proves it, and finds a version whose lineage is not true."""
    weights = network_file(work.home, "deep1")
    weights.parent.mkdir(parents=True)
    network.save(network.Trained(initial_variables(SMALL, seed=0), SMALL, NO_AUGMENT, SHORT, history=(), best_epoch=0), weights)
    fitted_at = manifests.read(work.home, FuseManifest).store_commit
    newer_records(work, "east", longer, ingested=True)
    for stage in ("fuse", "evaluate", "register"):
        STAGES[stage](work)
    data, entry = read_dataset(work), registry.find(work.home)
    assert entry.store_commit == fitted_at < data.commit
    assert entry.store_digest == data.training_sha256 == verify(work.home, "1").sha256
    renamed = f'register was made with register.model = "{entry.model}", which is "another" now'
    assert stops(with_numbers(work, "register", model="another"), "report") == again(renamed, "register")
    assert list(contradicted(work.home)) == []

    newer_records(work, "north", longer, ingested=True)  # and then what an earlier program did: it registered the models of before
    newer, loaded = read_dataset(work), registry.load(work.home, 1)
    lineage = replace(loaded.lineage, store_commit=newer.commit, store_digest=newer.training_sha256)
    bundle = registry.Bundle(loaded.models, loaded.served, (400.0,), loaded.feature_versions, loaded.settings, lineage, loaded.network_path)
    second = registry.register(work.home, bundle)
    uses = [{"model": second.model, "version": "2", "patient": str(patient), "center": "north", "split": "train"} for patient in data.patients[data.training]]
    with store.connect(work.home) as lake:
        lake.write({"model_versions": [aliases.version_record(second)], "model_patients": uses}, run="test", what="registered")
    with pytest.raises(Refusal, match=r".*/2 was fitted on (a|no) death between day \d+ and day \d+, .* its lineage names.*\(rule fitted_on_these\)"):
        verify(work.home, "2")
    found = {finding.what: finding.ok for finding in doctor.examine(work.home)}
    assert not found[f"{second.model}/2"]
    assert f"{second.model}/1" not in found


def test_doctor_says_which_stage_waits(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    def finding() -> doctor.Finding:
        return doctor.examine(work.home, "stages")[0]

    declared = settings.load_settings(work.profile)
    monkeypatch.setattr(settings, "load_settings", lambda profile=None: replace(work.settings, fuse=declared.fuse))
    assert (finding().ok, finding().waits) == (False, True), "waiting is nothing that the nightly check fails of"
    assert "fuse was made with fuse.folds = 3, which is 10 now. Run penumbra fuse" in finding().found
    monkeypatch.setattr(settings, "load_settings", lambda profile=None: work.settings)
    assert finding().ok
    newer_records(work, "north", older, ingested=True)
    assert "fuse was made from other data. Run penumbra fuse" in finding().found
