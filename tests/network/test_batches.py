import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.network.batches import assign_folds, draw_epoch, needs_redraw, plan, split

DAYS = np.arange(1.0, 101.0)


def outlived(event: np.ndarray, time: np.ndarray) -> int:
    """Pairs of a death and somebody who outlived it, by a double loop."""
    n = range(len(event))
    return sum(bool(event[i]) and (time[j] > time[i] or (time[j] == time[i] and not event[j])) for i in n for j in n)


def test_the_validation_part_is_stratified_and_drawn_by_the_seed() -> None:
    event = np.arange(100) % 3 > 0
    training, validation = split(event, DAYS, fraction=0.2, seed=0)
    assert sorted([*training, *validation]) == list(range(100))
    assert event[validation].sum() == round(0.2 * event.sum())
    assert (~event[validation]).sum() == round(0.2 * (~event).sum())
    assert event[training[: event[training].sum()]].all()  # deaths first
    np.testing.assert_array_equal(split(event, DAYS, fraction=0.2, seed=0)[1], validation)
    assert not np.array_equal(split(event, DAYS, fraction=0.2, seed=1)[1], validation)


@pytest.mark.parametrize("event", [[True, False, True, False], [True] * 5, [True, True] + [False] * 50])
def test_both_parts_have_an_event(event: list[bool]) -> None:
    died = np.array(event)
    training, validation = split(died, DAYS[: len(died)], fraction=0.1, seed=0)
    assert died[training].any()
    assert died[validation].any()


def test_both_parts_can_tell_one_risk_from_another() -> None:
    """600 cohorts of 2 to 7 deaths: without a comparable pair the validation loss is 0 in every epoch, and the first epoch would be kept."""
    again = 0
    for seed in range(600):
        draw = np.random.default_rng(seed)
        n, deaths = int(draw.integers(6, 25)), int(draw.integers(2, 8))
        event = draw.permutation(np.arange(n) < deaths)
        time = np.ceil(draw.exponential(30, n) / (1, 15)[seed % 2])
        fraction = float(draw.choice([0.1, 0.2, 0.3]))
        if not two_pairs(event, time):
            with pytest.raises(Refusal, match="enough_events_to_train"):
                split(event, time, fraction=fraction, seed=seed)
            continue
        training, validation = split(event, time, fraction=fraction, seed=seed)
        assert sorted([*training, *validation]) == list(range(n))
        assert event[training[: event[training].sum()]].all()
        assert outlived(event[training], time[training]) > 0 < outlived(event[validation], time[validation]), seed
        assert len(validation) <= max(1, round(fraction * deaths)) + round(fraction * (n - deaths)) + 2
        again += needs_redraw(event, time, fraction=fraction, seed=seed)
    assert 60 < again < 400, "the draw by shares alone leaves many of these without a pair"


def two_pairs(event: np.ndarray, time: np.ndarray) -> bool:
    """Whether two pairs of four different patients exist, each a death and one who outlived it; by trying all."""
    n = range(len(event))
    pairs = [(i, j) for i in n for j in n if event[i] and (time[j] > time[i] or (time[j] == time[i] and not event[j]))]
    return any(not {*first} & {*second} for first in pairs for second in pairs)


def test_a_cohort_without_two_pairs_is_refused() -> None:
    event, time = np.array([True, True, False, False]), np.array([5.0, 9.0, 2.0, 3.0])  # one pair only: 5 and 9
    with pytest.raises(Refusal, match=r"2 of 4 patients died, but no two of them were each outlived.*\(rule enough_events_to_train\)"):
        split(event, time, fraction=0.25, seed=0)
    with pytest.raises(Refusal, match="each outlived"):
        split(np.ones(6, bool), np.full(6, 7.0), fraction=0.25, seed=0)  # all died on one day


def test_times_that_differ_by_rounding_make_no_pair() -> None:
    event, time = np.ones(4, bool), np.array([0.1 + 0.2, 0.3, 0.3, 0.1 + 0.2])
    with pytest.raises(Refusal, match="each outlived"):
        split(event, time, fraction=0.5, seed=0)


def test_every_fold_of_an_ensemble_can_validate() -> None:
    event, time = np.arange(20) < 5, np.r_[10.0, 20, 30, 40, 50, np.linspace(5, 60, 15)]
    fold = assign_folds(event, folds=5, seed=0)
    for number in range(5):
        inside = fold != number
        training, validation = split(event[inside], time[inside], fraction=0.2, seed=3)
        assert outlived(event[inside][validation], time[inside][validation]) > 0 < outlived(event[inside][training], time[inside][training])


@pytest.mark.parametrize("events", [0, 1])
def test_too_few_events_are_refused(events: int) -> None:
    with pytest.raises(Refusal, match=rf"{events} of 10.*\(rule enough_events_to_train\)"):
        split(np.arange(10) < events, DAYS[:10], fraction=0.2, seed=0)


@pytest.mark.parametrize(("deaths", "others"), [(40, 18), (20, 1), (3, 60), (1, 63), (30, 0), (8, 8), (5, 2)])
def test_every_patient_counts_once_and_every_batch_has_an_event(deaths: int, others: int) -> None:
    batches = plan(deaths=deaths, others=others, batch_size=16)
    rows, counts = draw_epoch(batches, seed=(0, 1))
    assert rows.shape == counts.shape == (batches.steps, batches.size)
    assert batches.size <= 17
    assert ((rows < deaths) & counts).any(axis=1).all()
    seen = np.bincount(rows[counts], minlength=deaths + others)
    assert (seen[deaths:] == 1).all()
    if deaths >= batches.steps:
        assert (seen == 1).all()
    assert counts.sum(axis=1).min() >= counts.shape[1] - 1
    again, _ = draw_epoch(batches, seed=(0, 2))
    assert not np.array_equal(rows, again)


def test_the_size_fits_the_devices_that_share_a_batch() -> None:
    batches = plan(deaths=30, others=20, batch_size=32, multiple_of=4)
    assert (batches.steps, batches.size) == (2, 28)
