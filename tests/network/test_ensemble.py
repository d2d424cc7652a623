"""Networks that answer together, and what they learn before any outcome is seen."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from penumbra.network import EnsembleSettings, Learning, Pretrain, digest, embed, fit, fit_ensemble, load, pretrain, save
from penumbra.network.ensemble import Ensemble
from penumbra.network.self_supervised import barlow_twins
from penumbra.network.trained import flatten

from .conftest import NO_AUGMENT, SHORT, SMALL

pytestmark = [pytest.mark.slow, pytest.mark.numeric]

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

NOTHING = Pretrain(epochs=0, learning_rate=1e-3, batch_size=8, redundancy=0.005)
BRIEF = replace(SHORT, epochs=2)
LEARNING = Learning(SMALL, NO_AUGMENT, BRIEF)


@pytest.fixture(autouse=True, scope="module")
def _in_this_process() -> Iterator[None]:
    """Where programs are compiled once for all tests; test_members.py has processes."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("penumbra.base.workers.available_cores", lambda: 1)
        yield


@pytest.fixture(scope="module")
def crossed(cohort: Cohort) -> Ensemble:
    volumes, event, time, _ = cohort
    return fit_ensemble(volumes, event, time, LEARNING, pretrain=NOTHING, ensemble=EnsembleSettings(folds=3, seeds=1))


def test_one_network_without_pretraining_is_the_network_of_fit(cohort: Cohort) -> None:
    volumes, event, time, _ = cohort
    one = fit_ensemble(volumes, event, time, LEARNING, pretrain=NOTHING, ensemble=EnsembleSettings(folds=0, seeds=1))
    assert digest(one) == digest(fit(volumes, event, time, LEARNING))


def test_a_training_patient_is_answered_by_networks_that_never_saw_the_patient(cohort: Cohort, crossed: Ensemble) -> None:
    """The outcome of a patient, turned round, changes no answer about that patient, for every patient."""
    volumes, event, time, _ = cohort
    turned = event.copy()
    turned[4] = not turned[4]
    other = time.copy()
    other[4] += 900
    answers = embed(crossed, volumes)
    assert sorted(member for who in crossed.unseen.values() for member in who) == sorted([0, 1, 2] * 10)
    members = crossed.unseen[next(name for name, row in _digests(volumes).items() if row == 4)]
    alone = embed(crossed.members[members[0]], volumes[4:5])
    np.testing.assert_array_equal(answers[0][4], alone[0][0])
    without = np.array([row for row in range(30) if members[0] not in crossed.unseen[_name(volumes[row])]])
    again = fit(volumes[without], turned[without], other[without], LEARNING)
    assert digest(again) == digest(crossed.members[members[0]])


def _name(volume: np.ndarray) -> str:
    from penumbra.network.ensemble import volume_digest

    return volume_digest(volume)


def _digests(volumes: np.ndarray) -> dict[str, int]:
    return {_name(volume): row for row, volume in enumerate(volumes)}


def test_a_new_patient_is_answered_by_the_mean_of_all(cohort: Cohort, crossed: Ensemble) -> None:
    new = np.roll(cohort[0][:4], 3, axis=2)
    log_risk, features = embed(crossed, new)
    each = [embed(member, new) for member in crossed.members]
    np.testing.assert_allclose(log_risk, np.mean([risk for risk, _ in each], axis=0), rtol=1e-5)
    standard = [(found - crossed.mean[i]) / crossed.deviation[i] for i, (_, found) in enumerate(each)]
    np.testing.assert_allclose(features, np.mean(standard, axis=0), rtol=1e-4, atol=1e-5)


def test_members_start_from_the_same_weights_and_differ_by_seed(cohort: Cohort) -> None:
    volumes, event, time, _ = cohort
    two = fit_ensemble(volumes, event, time, LEARNING, pretrain=NOTHING, ensemble=EnsembleSettings(folds=0, seeds=2))
    assert [member.seed for member in two.members] == [BRIEF.seed, BRIEF.seed + 1]
    assert digest(two.members[0]) == digest(fit(volumes, event, time, LEARNING))
    assert not two.unseen
    assert embed(two, volumes[:3])[1].shape == (3, 8)


def test_an_ensemble_is_kept_bit_for_bit(cohort: Cohort, crossed: Ensemble, tmp_path: Path) -> None:
    save(crossed, tmp_path / "network.safetensors")
    again = load(tmp_path / "network.safetensors")
    assert digest(again) == digest(crossed)
    for mine, theirs in zip(embed(crossed, cohort[0]), embed(again, cohort[0]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_pretraining_learns_without_an_outcome_and_leaves_the_head(cohort: Cohort) -> None:
    volumes = cohort[0]
    losses: list[float] = []
    views = replace(NO_AUGMENT, mirror_probability=0.5, noise_probability=0.5, noise_variance_range=(0.0, 0.3))
    settings = {"network": SMALL, "augment": views, "train": SHORT}
    often = replace(NOTHING, epochs=20, learning_rate=1e-2, batch_size=15)
    learned = pretrain(volumes, **settings, pretrain=often, progress=losses.append)  # type: ignore[arg-type]
    again = pretrain(volumes, **settings, pretrain=often)  # type: ignore[arg-type]
    assert losses[-1] < 0.2 * losses[0]
    before = flatten(pretrain(volumes, **settings, pretrain=NOTHING))  # type: ignore[arg-type]
    after = flatten(learned)
    for name, value in after.items():
        np.testing.assert_array_equal(value, flatten(again)[name])
        if "head" in name or "output" in name:
            np.testing.assert_array_equal(value, before[name])
    assert np.abs(after["params/stem/kernel"] - before["params/stem/kernel"]).max() > 1e-3


def test_barlow_twins_by_hand() -> None:
    # two channels, the second view with the channels exchanged: each is uncorrelated with itself and one with the other
    first = jnp.array([[1.0, 1.0], [1.0, -1.0], [-1.0, 1.0], [-1.0, -1.0]])
    np.testing.assert_allclose(barlow_twins(first, first, redundancy=0.5), 0.0, atol=1e-5)
    np.testing.assert_allclose(barlow_twins(first, first[:, ::-1], redundancy=0.5), ((1 + 1) + 0.5 * (1 + 1)) / 2, rtol=1e-5)
    constant = jnp.zeros((4, 2))
    assert np.isfinite(jax.grad(lambda view: barlow_twins(view, first, redundancy=0.5))(constant)).all()
