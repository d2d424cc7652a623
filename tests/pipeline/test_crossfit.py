"""Cross-fitted risks: what may reach them, what a kill leaves, and which model they let answer."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import registry
from penumbra.evaluate import CROSS_FITTED, TRAINING
from penumbra.pipeline.crossfit import CrossFitted, Recipe, cross_fitted, permuted_within
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.falsifiers import SHUFFLED, cross_fitted_falsifiers, falsifiers_of, shuffled_columns
from penumbra.pipeline.fuse import cross_fitted_by, fuse, load_models
from penumbra.pipeline.groups import AUTO
from penumbra.pipeline.register import register
from penumbra.pipeline.workspace import Work
from penumbra.survival.outcome import Outcomes
from penumbra.survival.selection import folds_within

from ..small_run import few_models, small_work

NAMES = ("Volume", "Ridge", "Late", "Combined")


def few(work: Work) -> Work:
    """The same work with few resamples, that chooses what is served."""
    settings = work.settings
    register, evaluate = replace(settings.register, served=AUTO), replace(settings.evaluate, bootstraps=20, refits=1)
    return replace(work, settings=replace(settings, register=register, evaluate=evaluate))


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    return few(small_work(tmp_path_factory.mktemp("small")))


@pytest.fixture(scope="module")
def data(work: Work) -> Dataset:
    return read_dataset(work)


def crossed(work: Work, data: Dataset, names: tuple[str, ...] = NAMES, *, shuffled: bool = False) -> CrossFitted:
    return cross_fitted(work, data, {}, np.flatnonzero(data.training), Recipe.of(work.settings, names), shuffled=shuffled)


def test_the_outcome_of_a_patient_never_reaches_the_risk_of_that_patient(work: Work, data: Dataset) -> None:
    patient = int(np.flatnonzero(data.training & data.event)[3])
    later = data.time.copy()
    later[patient] += 900.0  # the folds are drawn within death, which stays
    before, after = crossed(work, data), crossed(work, changed(data, time=later))
    place = int(np.flatnonzero(np.flatnonzero(data.training) == patient)[0])
    for name in NAMES:
        np.testing.assert_array_equal(before.risks[name][:, place], after.risks[name][:, place])
        assert (before.risks[name] != after.risks[name]).any(), "others are fitted with that patient"


def test_other_centers_never_reach_a_risk_or_the_choice(work: Work, tmp_path: Path) -> None:
    spoiled = few(small_work(tmp_path, spoil=frozenset({"east", "south"})))
    first, second = ([fuse(one), evaluate(one)] for one in (work, spoiled))
    ours, theirs = cross_fitted_by(work, first[0].key), cross_fitted_by(spoiled, second[0].key)
    assert first[0].digests == second[0].digests
    for name, risk in ours.risks.items():
        np.testing.assert_array_equal(risk, theirs.risks[name])
    assert first[1].choice is not None
    assert first[1].choice == second[1].choice
    inside = [[row for row in left.metrics if row.split == CROSS_FITTED] for left in (first[1], second[1])]
    assert inside[0] == inside[1]
    outside = [[row for row in left.metrics if row.center == "east" and row.metric == "harrell_c"] for left in (first[1], second[1])]
    assert outside[0] != outside[1]


def test_a_finished_draw_is_read_back_after_a_kill(work: Work, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    before = crossed(work, data)
    folder = next(path.parent for path in (work.home / "crossfitted").rglob("draw-1.npz") if set(np.load(path).files) == set(NAMES))
    stamp = (folder / "draw-0.npz").stat().st_mtime_ns
    (folder / "draw-1.npz").unlink()
    again = crossed(work, data)
    assert (folder / "draw-0.npz").stat().st_mtime_ns == stamp
    for name in NAMES:
        np.testing.assert_array_equal(before.risks[name], again.risks[name])


def test_processes_change_no_risk(work: Work, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    alone = crossed(work, data, ("Volume", "Ridge"))
    for path in (work.home / "crossfitted").rglob("draw-*.npz"):
        path.unlink()
    monkeypatch.setattr("penumbra.pipeline.crossfit.SMALL", 0)
    monkeypatch.setattr("penumbra.pipeline.crossfit.available_cores", lambda: 2)
    together = crossed(work, data, ("Volume", "Ridge"))
    for name in ("Volume", "Ridge"):
        np.testing.assert_array_equal(alone.risks[name], together.risks[name])


def test_shuffled_columns_know_nothing(work: Work, data: Dataset) -> None:
    honest, shuffled = crossed(work, data), crossed(work, data, shuffled=True)
    outcomes = data.outcomes.rows(data.training)
    for name in ("Ridge", "Combined"):
        assert within(outcomes, honest.ranks(name)) > 0.57 > within(outcomes, shuffled.ranks(name))


def within(outcomes: Outcomes, ranks: np.ndarray) -> float:
    from penumbra import survival

    return float(np.mean([survival.concordance_index(outcomes.event, outcomes.time, draw) for draw in ranks]))


def test_a_model_has_every_falsifier_but_itself(work: Work, data: Dataset) -> None:
    key = fuse(work).key
    inside = np.flatnonzero(data.training)
    every = cross_fitted_by(work, key).and_then(cross_fitted_falsifiers(work, data, {}, inside, ["Ridge"]))
    assert shuffled_columns("Ridge") in every.risks
    ranks = falsifiers_of("Ridge", every, data.centers[inside], seed=1)
    assert set(ranks) == {"Volume", "Clinical", SHUFFLED, "ShuffledColumns"}, "no network was trained here, so that none has random weights"
    assert sorted(ranks[SHUFFLED][0].tolist()) == sorted(every.ranks("Ridge")[0].tolist())
    assert set(falsifiers_of("Volume", every, data.centers[inside], seed=1)) == {"Clinical", SHUFFLED}


def test_probabilities_come_from_cross_fitted_risks(work: Work, data: Dataset) -> None:
    """The slope of what was fitted on few patients with many columns is below one, and no refit changes who is before whom."""
    apparent_work = replace(work, settings=replace(work.settings, crossfit=replace(work.settings.crossfit, calibrate=False)))
    apparent = load_models(apparent_work, fuse(apparent_work).key)
    calibrated = load_models(work, fuse(work).key)
    rows = {(row.model, row.metric): row.value for row in evaluate(work).metrics if row.split == CROSS_FITTED and row.center == TRAINING}
    for name in ("Volume", "Combined", "Late"):
        assert apparent[name].slope == 1.0
        assert calibrated[name].slope == pytest.approx(max(0.01, rows[name, "calibration_slope"]), rel=1e-6)
        assert calibrated[name].inputs == apparent[name].inputs
    assert calibrated["Combined"].slope < 0.95


def test_folds_share_deaths_and_centers() -> None:
    random = np.random.default_rng(0)
    outcomes = Outcomes(random.random(97) < 0.4, np.arange(1.0, 98.0), np.where(np.arange(97) % 3 == 0, "b", "a"))
    fold = folds_within(outcomes.centers, outcomes.event, folds=5, seed=(1, 2))
    for center in ("a", "b"):
        for died in (True, False):
            counts = np.bincount(fold[(outcomes.centers == center) & (outcomes.event == died)], minlength=5)
            assert counts.max() - counts.min() <= 1
    assert (fold != folds_within(outcomes.centers, outcomes.event, folds=5, seed=(1, 3))).any()


def test_permuting_stays_within_the_center() -> None:
    centers = np.array(list("aabbbcaab"))
    order = permuted_within(centers, np.random.default_rng(0))
    assert sorted(order.tolist()) == list(range(9))
    assert (centers[order] == centers).all()
    assert (order != np.arange(9)).any()


def changed(data: Dataset, *, time: np.ndarray) -> Dataset:
    """The same patients with other times, in the records as well."""
    clinical = tuple({**record, "time": float(days)} for record, days in zip(data.clinical, time, strict=True))
    return replace(data, time=time, clinical=clinical)


def test_a_network_is_trained_again_without_each_fold_where_no_ensemble_was(work: Work, data: Dataset, monkeypatch: pytest.MonkeyPatch) -> None:
    """Profile paper: the first draw has a network for every fold, which saw none of the fold; models without deep features have all draws."""
    from penumbra import network

    settings = work.settings
    single = replace(work, settings=replace(settings, ensemble=replace(settings.ensemble, folds=0)))
    inside = np.flatnonzero(data.training)
    trained_on: list[set[int]] = []

    def inputs(work: Work, patients: list[str], images: object, settings: object) -> np.ndarray:
        return np.arange(float(len(patients)))[:, None, None, None]

    def fit(volumes: np.ndarray, event: np.ndarray, time: np.ndarray, *settings: object, **more: object) -> int:
        places = volumes[:, 0, 0, 0].astype(int)
        np.testing.assert_array_equal(event, data.event[inside[places]])
        trained_on.append(set(places.tolist()))
        return len(trained_on)

    def embed(number: int, volumes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        features = data.blocks["deep"].values[inside] * (1.0 + number)
        return features[:, 0], features

    monkeypatch.setattr("penumbra.pipeline.crossfit.network_inputs", inputs)
    monkeypatch.setattr(network, "fit_ensemble", fit)
    monkeypatch.setattr(network, "embed", embed)
    images = {str(patient): {"image_version": "i1", "center": "north"} for patient in data.patients}
    risks = cross_fitted(single, data, images, inside, Recipe.of(single.settings, ("Volume", "Late", "Combined")))
    draws, folds = settings.crossfit.repeats, settings.crossfit.folds
    assert {name: len(risk) for name, risk in risks.risks.items()} == {"Volume": draws, "Late": 1, "Combined": 1}
    assert len(trained_on) == folds
    for number, patients in enumerate(trained_on):
        assert patients == set(np.flatnonzero(risks.fold[0] != number).tolist())
    assert np.isfinite(risks.risks["Late"]).all()
    again = cross_fitted(single, data, images, inside, Recipe.of(single.settings, ("Volume", "Late", "Combined")))
    assert len(trained_on) == folds, "networks that were trained before a kill are read back"
    np.testing.assert_array_equal(again.risks["Combined"], risks.risks["Combined"])


@pytest.mark.slow
def test_a_model_named_by_hand_that_does_not_beat_the_controls_is_challenger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_work(tmp_path / "home", centers={"north": 40, "east": 20}, features=6)
    settings = few_models(small.settings)
    register_group = replace(settings.register, served="Combined", noise=0.0005)
    work = replace(small, settings=replace(settings, register=register_group, evaluate=replace(settings.evaluate, bootstraps=20, refits=1)))
    weights = work.home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    monkeypatch.setattr("penumbra.pipeline.register.learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    monkeypatch.setattr("penumbra.pipeline.register.released_network", lambda weights, folder: weights)
    fuse(work)
    choice = evaluate(work).choice
    assert choice is not None
    assert (choice.named, choice.challenger) == ("Combined", "Combined")
    left = register(work)
    entries = {entry.version: entry.aliases for entry in registry.versions(work.home)}
    assert entries == {left.version: ("champion",), left.challenger: ("challenger",)}
    champion, challenger = (registry.load(work.home, name) for name in ("champion", "challenger"))
    assert (champion.served, challenger.served) == (choice.served, "Combined")
    assert choice.served in ("Volume", "Clinical")
    assert register(work) == left, "the same again registers nothing new"
    assert len(registry.versions(work.home)) == 2


@pytest.mark.slow
def test_a_champion_of_before_does_not_become_its_own_challenger(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    small = small_work(tmp_path / "home", centers={"north": 40, "east": 20}, features=6)
    settings = few_models(small.settings)
    before = replace(small, settings=replace(settings, evaluate=replace(settings.evaluate, bootstraps=20, refits=1)))
    weights = before.home / "networks" / "deep1" / "network.safetensors"
    weights.parent.mkdir(parents=True)
    weights.write_bytes(b"weights")
    monkeypatch.setattr("penumbra.pipeline.register.learning_curves", lambda weights: {})  # the weights are carried along, not opened here
    monkeypatch.setattr("penumbra.pipeline.register.released_network", lambda weights, folder: weights)
    lenient, strict = (replace(before, settings=replace(before.settings, register=replace(settings.register, noise=noise))) for noise in (0.5, 0.0005))
    fuse(lenient)
    evaluate(lenient)
    assert register(lenient).challenger is None
    assert registry.load(lenient.home, "champion").served == "Combined"
    evaluate(strict)
    register(strict)
    assert [(entry.version, entry.aliases) for entry in registry.versions(strict.home)] == [(1, ("champion",)), (2, ())]
