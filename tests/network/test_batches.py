import numpy as np
import pytest

from penumbra.network.batches import draw_epoch, plan, split
from penumbra.refusal import Refusal


def test_the_validation_part_is_stratified_and_drawn_by_the_seed() -> None:
    event = np.arange(100) % 3 > 0
    training, validation = split(event, fraction=0.2, seed=0)
    assert sorted([*training, *validation]) == list(range(100))
    assert event[validation].sum() == round(0.2 * event.sum())
    assert (~event[validation]).sum() == round(0.2 * (~event).sum())
    assert event[training[: event[training].sum()]].all()  # deaths first
    np.testing.assert_array_equal(split(event, fraction=0.2, seed=0)[1], validation)
    assert not np.array_equal(split(event, fraction=0.2, seed=1)[1], validation)


@pytest.mark.parametrize("event", [[True, True, False], [True] * 5, [True, True] + [False] * 50])
def test_both_parts_have_an_event(event: list[bool]) -> None:
    died = np.array(event)
    training, validation = split(died, fraction=0.1, seed=0)
    assert died[training].any()
    assert died[validation].any()


@pytest.mark.parametrize("events", [0, 1])
def test_too_few_events_are_refused(events: int) -> None:
    with pytest.raises(Refusal, match=f"enough_events_to_train: {events} of 10"):
        split(np.arange(10) < events, fraction=0.2, seed=0)


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
