import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.network import Epoch, Learning, Trained, digest, embed, fit, load, save
from penumbra.network.batches import needs_redraw
from penumbra.network.step import concordance, cox_loss
from penumbra.network.trained import flatten

from .conftest import NO_AUGMENT, PAPER_AUGMENT, SHORT, SMALL, patients

pytestmark = pytest.mark.numeric

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]


class Killed(Exception):
    """Stands for the end of the process between two epochs."""


@pytest.fixture(scope="module")
def trained(cohort: Cohort) -> Trained:
    volumes, event, time, _ = cohort
    return fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT))


@pytest.mark.slow
def test_the_same_seed_gives_the_same_weights_and_another_seed_others(cohort: Cohort, trained: Trained) -> None:
    volumes, event, time, _ = cohort
    again = fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT))
    assert digest(again) == digest(trained)
    other = fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, replace(SHORT, seed=4)))
    assert digest(other) != digest(trained)


@pytest.mark.slow
def test_the_history_says_what_happened_and_the_best_epoch_was_kept(trained: Trained) -> None:
    losses = [epoch.validation_loss for epoch in trained.history]
    assert [epoch.epoch for epoch in trained.history] == list(range(1, len(losses) + 1))
    assert trained.best_epoch == 1 + int(np.argmin(losses))
    assert np.isfinite([[e.train_loss, e.train_c, e.validation_loss, e.validation_c] for e in trained.history]).all()


@pytest.mark.slow
def test_it_stops_when_patience_is_used_up(cohort: Cohort) -> None:
    volumes, event, time, _ = cohort
    # with a learning rate that does nothing, batch statistics apart, the first epochs cannot be beaten for long
    train = replace(SHORT, learning_rate=1e-12, epochs=60, patience=3)
    stopped = fit(volumes, event, time, Learning(replace(SMALL, norm="group"), NO_AUGMENT, train))
    assert len(stopped.history) == stopped.best_epoch + 3 < 60


def test_a_killed_training_goes_on_to_the_same_weights(cohort: Cohort, trained: Trained, tmp_path: Path) -> None:
    volumes, event, time, _ = cohort
    file = tmp_path / "training.safetensors"
    for last in (1, 3):

        def die(epoch: Epoch, last: int = last) -> None:
            if epoch.epoch == last:
                raise Killed

        with pytest.raises(Killed):
            fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT), checkpoint=file, progress=die)
    seen: list[int] = []
    resumed = fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT), checkpoint=file, progress=lambda epoch: seen.append(epoch.epoch))
    assert seen == [4]
    assert digest(resumed) == digest(trained)
    finished = fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT), checkpoint=file, progress=die)
    assert digest(finished) == digest(trained)


@pytest.mark.slow
def test_weights_are_averaged_over_epochs(cohort: Cohort) -> None:
    volumes, event, time, _ = cohort
    averaged = fit(volumes, event, time, Learning(SMALL, NO_AUGMENT, replace(SHORT, average_from=2)))
    plain = fit(volumes, event, time, Learning(SMALL, NO_AUGMENT, SHORT))
    # the mean changes what validates and is kept, never the way the weights go
    assert [epoch.train_loss for epoch in averaged.history] == [epoch.train_loss for epoch in plain.history]
    assert [epoch.validation_loss for epoch in averaged.history[:2]] == [epoch.validation_loss for epoch in plain.history[:2]]
    assert averaged.history[2].validation_loss != plain.history[2].validation_loss


@pytest.mark.slow
def test_a_checkpoint_of_other_patients_or_settings_or_half_a_file_is_not_used(cohort: Cohort, trained: Trained, tmp_path: Path) -> None:
    volumes, event, time, _ = cohort
    file = tmp_path / "training.safetensors"
    fit(volumes[::-1], event, time, Learning(SMALL, PAPER_AUGMENT, SHORT), checkpoint=file)
    other_patients = fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT), checkpoint=file)
    assert digest(other_patients) == digest(trained)
    file.write_bytes(file.read_bytes()[:1000])
    damaged = fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, SHORT), checkpoint=file)
    assert digest(damaged) == digest(trained)


def test_saved_and_loaded_is_the_same_bit_for_bit(cohort: Cohort, trained: Trained, tmp_path: Path) -> None:
    save(trained, tmp_path / "network.safetensors")
    loaded = load(tmp_path / "network.safetensors")
    assert digest(loaded) == digest(trained)
    assert (loaded.network, loaded.augment, loaded.train) == (trained.network, trained.augment, trained.train)
    assert [(one.history, one.best_epoch, one.seed) for one in loaded.members] == [(trained.history, trained.best_epoch, SHORT.seed)]
    for mine, theirs in zip(embed(trained, cohort[0]), embed(loaded, cohort[0]), strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_the_digest_sees_every_weight_and_setting(trained: Trained) -> None:
    assert digest(replace(trained, train=replace(trained.train, seed=9))) != digest(trained)
    variables = jax.tree.map(np.copy, trained.variables)
    variables["params"]["output"]["bias"][0] += 1e-6
    assert digest(replace(trained, variables=variables)) != digest(trained)


def test_another_file_is_not_taken_for_a_network(cohort: Cohort, tmp_path: Path) -> None:
    volumes, event, time, _ = cohort
    file = tmp_path / "training.safetensors"
    fit(volumes, event, time, Learning(SMALL, PAPER_AUGMENT, replace(SHORT, epochs=1)), checkpoint=file)
    with pytest.raises(ValueError, match="holds no trained network"):
        load(file)


def test_a_patient_is_embedded_the_same_in_any_company(cohort: Cohort, trained: Trained) -> None:
    volumes = cohort[0]
    log_risk, embedding = embed(trained, volumes)
    assert log_risk.shape == (30,)
    assert embedding.shape == (30, 8)
    for row in (0, 11, 29):
        alone = embed(trained, volumes[row : row + 1])
        np.testing.assert_array_equal(alone[0][0], log_risk[row])
        np.testing.assert_array_equal(alone[1][0], embedding[row])
    assert embed(trained, volumes[:0])[1].shape == (0, 8)


def test_wrong_shapes_are_refused_at_the_door(cohort: Cohort, trained: Trained) -> None:
    volumes, event, time, _ = cohort
    with pytest.raises(ValueError, match=r"s = 16 .*found \(30, 8, 8, 8\)"):
        embed(trained, volumes[:, :8, :8, :8])
    with pytest.raises(ValueError, match="n = 30; found"):
        fit(volumes, event[1:], time, Learning(SMALL, NO_AUGMENT, SHORT))
    with pytest.raises(Refusal, match="enough_events_to_train"):
        fit(volumes, np.zeros(30, bool), time, Learning(SMALL, NO_AUGMENT, SHORT))


@pytest.mark.slow
def test_a_center_smaller_than_a_batch_trains(cohort: Cohort) -> None:
    volumes, _, time, _ = cohort
    tiny = fit(volumes[:6], np.arange(6) < 4, time[:6], Learning(SMALL, PAPER_AUGMENT, replace(SHORT, epochs=2)))
    assert np.isfinite(np.concatenate([leaf.ravel() for leaf in flatten(tiny.variables).values()])).all()


@pytest.mark.slow
def test_a_few_deaths_can_still_stop_a_training_and_any_unit_of_time_gives_the_same_weights(cohort: Cohort) -> None:
    volumes, event, days = cohort[0][:12], np.arange(12) < 4, np.r_[50.0, 40, 20, 30, 10, np.linspace(15, 45, 7)]
    train = replace(SHORT, epochs=3)
    drawn = [seed for seed in range(20) if needs_redraw(event, days, fraction=train.validation_fraction, seed=seed)]
    assert drawn, "the draw by shares alone leaves a validation part without a comparable pair"
    trained, *others = (
        fit(volumes, event, time, Learning(SMALL, NO_AUGMENT, replace(train, seed=drawn[0])))
        for time in (days, 94_608_000 + days.astype(np.int64), 20_000 + 1e-3 * days)
    )
    assert len({epoch.validation_loss for epoch in trained.history}) == 3
    assert min(epoch.validation_loss for epoch in trained.history) > 0
    assert [digest(other) for other in others] == [digest(trained)] * 2, "in 32 bits their times were tied"


@pytest.mark.slow
def test_the_loss_per_event_ignores_what_does_not_count() -> None:
    generator = np.random.default_rng(0)
    risk, time, event = (jnp.asarray(a) for a in (generator.normal(size=9), generator.exponential(size=9), np.arange(9) % 2 == 0))
    where = np.arange(9) < 6
    masked = cox_loss(risk, time, event, ties="efron", where=jnp.asarray(where))
    np.testing.assert_allclose(masked, cox_loss(risk[:6], time[:6], event[:6], ties="efron", where=None), rtol=1e-6)
    gradient = jax.grad(lambda r: cox_loss(r, time, event & False, ties="efron", where=None))(risk)
    np.testing.assert_array_equal(gradient, 0)


def test_concordance_counts_who_was_censored_at_a_death_as_outliving_it() -> None:
    time, event = jnp.array([5, 5, 5, 2]), jnp.array([True, True, False, False])
    # pairs: (a, c) in order and (b, c) turned; two deaths of one day are not a pair, the censored of day 2 outlived nobody
    assert float(concordance(event, time, jnp.array([3.0, 1.0, 2.0, 9.0]), where=None)) == 0.5
    assert float(concordance(event, time, jnp.array([3.0, 2.5, 2.0, 9.0]), where=None)) == 1.0


def test_concordance_by_hand() -> None:
    # comparable pairs: (a, b), (a, c), (b, c); the risks order the first right, tie the second, turn the third
    time, event = jnp.array([1.0, 2.0, 3.0]), jnp.array([True, True, False])
    value = concordance(event, time, jnp.array([0.5, 0.1, 0.5]), where=None)
    np.testing.assert_allclose(value, (1 + 0.5 + 0) / 3, rtol=1e-6)
    assert concordance(event & False, time, time, where=None) == 0.5


@pytest.mark.slow
@pytest.mark.usefixtures("optimized")
def test_coarseness_that_decides_survival_is_found() -> None:
    """In the mean of five seeds: one network's C on unseen patients is a draw that differs by 0.02 from seed to seed, and from processor to processor."""
    volumes, event, time, _ = patients(320, size=16, seed=1)
    unseen, died, until, coarseness = patients(200, size=16, seed=2)

    def harrell(log_risk: np.ndarray) -> float:
        return float(concordance(jnp.asarray(died), jnp.asarray(until), jnp.asarray(log_risk), where=None))

    reached = []
    for seed in range(5):
        train = replace(SHORT, batch_size=16, epochs=30, patience=30, seed=seed)
        log_risk, _ = embed(fit(volumes, event, time, Learning(SMALL, NO_AUGMENT, train)), unseen)
        reached.append(harrell(log_risk))
    assert np.mean(reached) > 0.65, reached
    assert np.mean(reached) > harrell(coarseness) - 0.1, reached


FOUR_DEVICES = """
import sys
from dataclasses import replace
import jax, numpy as np
sys.path.insert(0, sys.argv[1])
from network.conftest import NO_AUGMENT, SHORT, SMALL, patients
from penumbra.network import Learning, fit
assert len(jax.devices()) == 4
volumes, event, time, _ = patients(30, size=16, seed=5)
for shared in (False, True):
    train = replace(SHORT, data_parallel=shared, epochs=2)
    trained = fit(volumes, event, time, Learning(replace(SMALL, dropout=0.0), NO_AUGMENT, train))
    print(" ".join(str(value) for epoch in trained.history for value in (epoch.train_loss, epoch.validation_loss)))
"""


@pytest.mark.slow
def test_four_devices_have_the_loss_of_one() -> None:
    tests = str(Path(__file__).resolve().parents[1])
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count=4"  # an instruction set that is held to stays held to
    four = {"JAX_PLATFORMS": "cpu", "XLA_FLAGS": flags, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1", "PATH": ""}
    done = subprocess.run([sys.executable, "-c", FOUR_DEVICES, tests], capture_output=True, text=True, check=False, env=four)
    assert done.returncode == 0, done.stderr
    alone, shared = ([float(value) for value in line.split()] for line in done.stdout.splitlines())
    np.testing.assert_allclose(shared, alone, rtol=1e-3)
