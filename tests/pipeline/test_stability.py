"""Stability measured on small scans of three centers: from whom, from what, interrupted, and again."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy.ndimage import gaussian_filter

from penumbra import store
from penumbra.base.params import PROFILES, ParamsError, project_root, read_yaml
from penumbra.base.refusal import Refusal
from penumbra.base.workers import Pool
from penumbra.commands import forget
from penumbra.commands import stability as stability_command
from penumbra.fusion import StableOnly
from penumbra.imaging import Mask, Scan, Volume, save_scan
from penumbra.imaging.perturbation import PERTURBATIONS
from penumbra.pipeline import manifests
from penumbra.pipeline import stability as stage
from penumbra.pipeline.manifests import IngestedCenter, IngestManifest, PopulateManifest, StoredMargins
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.populate import populate
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.stability import sample_of, stability
from penumbra.pipeline.stability_manifest import StabilityManifest
from penumbra.pipeline.stages import BY_NAME, ON_REQUEST, STAGES
from penumbra.pipeline.workspace import Work
from penumbra.survival import icc_agreement
from tests.projects import project_with

CENTERS = {"north": 7, "east": 4}
FEATURES = {"shape": ["VoxelVolume", "MeshVolume"], "firstorder": ["Mean", "Entropy"], "glcm": ["Contrast"]}
ROIS = ("gtv", "ring_3mm")
COLUMNS = 'SELECT version, roi, feature, perturbation, icc, "lower", "upper", patients, levels, reason FROM feature_stability ORDER BY ALL'


class Killed(BaseException):
    """As a process ends that is killed: nothing catches it."""


def threads() -> Pool:
    return Pool(2, 2**34, ThreadPoolExecutor, ())


def scan_of(patient: str, *, altered: bool = False) -> Scan:
    random = np.random.default_rng([ord(letter) for letter in patient])
    shape, radius = (26, 28, 30), 4.0 + int(patient[1:]) % 4
    distance = np.linalg.norm(np.indices(shape) - (np.array(shape)[:, None, None, None] - 1) / 2, axis=0)
    texture = gaussian_filter(random.standard_normal(shape), 1.0)
    values = np.where(distance < radius + 0.7, 30.0, -150.0) + 60 * texture / texture.std()
    if altered:
        values, radius = -values, radius - 1.5
    return Scan(Volume(np.rint(values).astype(np.int16), (1.0, 1.0, 1.0)), Mask(distance <= radius, (1.0, 1.0, 1.0)))


def small_home(home: Path, *, spoil: frozenset[str] = frozenset(), outcomes: float = 1.0) -> Work:
    """Images, features and outcomes of two centers, of which north trains; `spoil` has others, and outcomes are multiplied."""
    settings = load_settings(PROFILES[0])
    settings = replace(
        settings,
        radiomics={"imageType": {"Original": {}}, "featureClass": FEATURES},
        rois={**settings.rois, "margins_mm": [3]},
        stability=replace(settings.stability, patients=5),
    )
    work, facts, people = Work(home, settings, "test"), {}, list[dict[str, Any]]()
    for center, count in CENTERS.items():
        names = [f"{center[0].upper()}{i:03d}" for i in range(count)]
        for name in names:
            save_scan(scan_of(name, altered=center in spoil), home / "images" / center / name / "i1")
            people.append({"patient": name, "center": center, "time": outcomes * (100.0 + len(people)), "event": len(people) % 2 == 0})
        facts[center] = IngestedCenter(
            found=count, accepted=dict.fromkeys(names, "i1"), flagged={}, rejected={}, clinical="c", kept=StoredMargins(margin_mm=99.0, periodic_mm=99.0)
        )
    with store.connect(home) as lake:
        lake.write({"centers": [{"center": center} for center in CENTERS], "patients": people}, run="test", what="ingest")
    manifests.write(home, IngestManifest(facts))
    populate(work, threads())
    return work


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """Only read."""
    work = small_home(tmp_path_factory.mktemp("finished"))
    stability(work, threads())
    return work


@pytest.fixture
def work(tmp_path: Path) -> Work:
    return small_home(tmp_path)


def measured(work: Work) -> list[dict[str, Any]]:
    return store.query(work.home, COLUMNS).to_pylist()


def test_every_feature_has_a_row_for_each_roi_and_perturbation(finished: Work) -> None:
    rows = measured(finished)
    assert len(rows) == 5 * len(ROIS) * len(PERTURBATIONS)
    assert {row["perturbation"] for row in rows} == set(PERTURBATIONS)
    assert {row["roi"] for row in rows} == set(ROIS)
    assert {row["patients"] for row in rows} == {5}
    assert {row["version"] for row in rows} == {manifests.read(finished.home, PopulateManifest).version}
    of_volume = {row["perturbation"]: row["icc"] for row in rows if (row["roi"], row["feature"]) == ("gtv", "original_shape_VoxelVolume")}
    assert of_volume["noise"] == 1.0  # the mask is the same
    assert of_volume["mask"] < of_volume["shift"] < 1.0
    manifest = manifests.read(finished.home, StabilityManifest)
    assert (manifest.patients, manifest.rois, manifest.rows) == (5, ROIS, len(rows))
    assert "-1, 1 mm" in stability_command.summary(manifest)


def test_the_value_is_the_icc_of_the_scan_as_it_is_and_of_all_levels(finished: Work) -> None:
    """By the definition, from the masks: voxels before, shrunk by 1 mm, and grown by 1 mm."""
    sample = sample_of(finished, accepted_images(finished), manifests.read(finished.home, PopulateManifest))
    volumes = []
    for patient in sample:
        inside = scan_of(patient).gtv.values
        padded = np.pad(inside, 1)
        neighbors = [np.roll(padded, step, axis)[1:-1, 1:-1, 1:-1] for axis in range(3) for step in (-1, 1)]
        volumes.append([inside.sum(), np.all([inside, *neighbors], axis=0).sum(), np.any([inside, *neighbors], axis=0).sum()])
    expected = icc_agreement(np.array(volumes, dtype=float))
    row = next(row for row in measured(finished) if (row["roi"], row["feature"], row["perturbation"]) == ("gtv", "original_shape_VoxelVolume", "mask"))
    assert (row["icc"], row["lower"], row["upper"]) == pytest.approx((expected.icc[0], expected.lower[0], expected.upper[0]), rel=1e-9)


def test_outcomes_and_test_centers_decide_nothing(finished: Work, tmp_path: Path) -> None:
    """Other outcomes everywhere, and other images outside: every value bit for bit the same."""
    other = small_home(tmp_path, spoil=frozenset({"east"}), outcomes=3.0)
    stability(other, threads())
    assert measured(other) == measured(finished)
    assert not list((tmp_path / stage.FOLDER).glob("*/east"))


def test_the_same_again_measures_nothing(finished: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    with store.connect(finished.home, read_only=True) as lake:
        before = lake.newest_commit()
    written = (finished.home / "manifests" / "stability.json").read_bytes()
    monkeypatch.setattr(stage, "measured_after", None)
    monkeypatch.setattr(stage, "summarized", None)
    stability(finished, threads())
    with store.connect(finished.home, read_only=True) as lake:
        assert lake.newest_commit() == before
    assert (finished.home / "manifests" / "stability.json").read_bytes() == written


@pytest.mark.parametrize("after", [0, 1, 4])
def test_a_kill_costs_the_patients_in_progress(finished: Work, work: Work, monkeypatch: pytest.MonkeyPatch, after: int) -> None:
    written, whole = list[Path](), stage.write_whole

    def until(path: Path, content: bytes) -> Path:
        if len(written) == after:
            raise Killed
        written.append(path)
        return whole(path, content)

    monkeypatch.setattr(stage, "write_whole", until)
    with pytest.raises(Killed):
        stability(work, threads())
    assert measured(work) == []
    monkeypatch.setattr(stage, "write_whole", whole)
    times = [path.stat().st_mtime_ns for path in written]
    stability(work, threads())
    assert measured(work) == measured(finished)
    assert [path.stat().st_mtime_ns for path in written] == times


def test_a_kill_before_the_store_knows(finished: Work, work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as here:

        def killed(*_: object) -> None:
            raise Killed

        here.setattr(stage.manifests, "write", killed)
        with pytest.raises(Killed):
            stability(work, threads())
    stability(work, threads())
    assert measured(work) == measured(finished)


def test_a_larger_sample_measures_whom_it_adds(work: Work) -> None:
    stability(work, threads())
    files = {path: path.stat().st_mtime_ns for path in (work.home / stage.FOLDER).rglob("*.npz")}
    everybody = replace(work, settings=replace(work.settings, stability=replace(work.settings.stability, patients=None)))
    assert stability(everybody, threads()).patients == CENTERS["north"]
    assert {path: path.stat().st_mtime_ns for path in files} == files
    assert len(list((work.home / stage.FOLDER).rglob("*.npz"))) == CENTERS["north"]
    assert {row["patients"] for row in measured(work)} == {CENTERS["north"]}, "the newest is shown"


def test_a_mask_that_vanishes_costs_its_patient_alone(work: Work) -> None:
    """Shrunk by 4 mm, the smallest of the tumors are gone: counted, and the others measured."""
    numbers = replace(work.settings.stability, patients=None, noise=(), thickness_mm=(1.0,), shift_voxels=(), rotation_voxels=(), mask_mm=(-4.0, 1.0))
    small = replace(work, settings=replace(work.settings, stability=numbers))
    manifest = stability(small, threads())
    by_roi = {each.roi: each for each in manifest.perturbations}
    assert [each.perturbation for each in manifest.perturbations] == ["mask", "mask"], "slices of 1 mm are the scan as it is"
    assert by_roi["gtv"].patients + by_roi["gtv"].refused == CENTERS["north"]
    assert by_roi["gtv"].refused == 2
    gone = replace(small, settings=replace(small.settings, stability=replace(numbers, mask_mm=(-20.0,))))
    with pytest.raises(Refusal, match=r"0 of 7 training patients can be measured under mask in gtv.*\(rule stability_sample\)"):
        stability(gone, threads())


def test_a_roi_that_is_none_is_a_sentence(work: Work) -> None:
    wrong = replace(work, settings=replace(work.settings, stability=replace(work.settings.stability, rois=("gtv", "ring_4mm"))))
    with pytest.raises(ParamsError, match=r"stability\.rois has 'ring_4mm', which is no ROI\. Did you mean ring_3mm\?"):
        stability(wrong, threads())


def test_a_forgotten_patient_leaves_the_aggregates_and_no_file(work: Work) -> None:
    stability(work, threads())
    sample = sample_of(work, accepted_images(work), manifests.read(work.home, PopulateManifest))
    before = measured(work)
    gone = forget.forget(work, sample[0], "north")
    assert not gone.remains
    assert measured(work) == before
    assert sorted(path.name.removesuffix("-i1.npz") for path in (work.home / stage.FOLDER).rglob("*.npz")) == sample[1:]
    with store.connect(work.home, read_only=True) as lake:
        assert store.check(lake) == []


def test_as_of_an_earlier_commit_nothing_was_measured(finished: Work) -> None:
    assert store.query(finished.home, COLUMNS, as_of=1).to_pylist() == []
    lowest = store.query(finished.home, "SELECT feature, lowest_icc, lowest_under FROM catalogue WHERE feature = 'original_shape_VoxelVolume'").to_pylist()
    by_hand = min((row["icc"], row["perturbation"]) for row in measured(finished) if row["feature"] == "original_shape_VoxelVolume")
    assert [(row["lowest_icc"], row["lowest_under"]) for row in lowest] == [by_hand]


def test_it_is_not_on_the_path_and_dvc_runs_it_on_request_alone() -> None:
    declared = read_yaml(project_root() / "dvc.yaml")["stages"]
    assert set(declared) == {"arrivals", *BY_NAME}, "and the stage that says what to run first in a fresh clone"
    assert [name for name, stage in declared.items() if stage.get("frozen")] == [stage.name for stage in ON_REQUEST] == ["stability"]
    assert "stability" not in [stage.name for stage in STAGES]


@pytest.mark.parametrize(
    ("written", "sentence"),
    [
        ("{min_icc: 0.75, under: [nois]}", r"fuse\.stability\.under names 'nois', which the group stability does not measure\. Did you mean noise\?"),
        ("{min_icc: 0.75, under: []}", r"fuse\.stability\.under names no perturbation"),
        ("{min_icc: 75, under: [noise]}", r"fuse\.stability\.min_icc is 75, out of its range.*75 percent is 0\.75"),
        ("{icc: 0.75, under: [noise]}", r"unknown parameter fuse\.stability\.icc"),
    ],
)
def test_a_mistake_in_the_rule_is_a_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, sentence: str) -> None:
    project_with(tmp_path, monkeypatch, lambda text: text.replace("  stability: null ", f"  stability: {written} "))
    with pytest.raises(ParamsError, match=sentence):
        load_settings()


def test_the_rule_as_params_have_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    project_with(tmp_path, monkeypatch, lambda text: text.replace("  stability: null ", "  stability: {min_icc: 0.75, under: [noise, mask]} "))
    assert load_settings().fuse.stability == StableOnly(0.75, ("noise", "mask"))
