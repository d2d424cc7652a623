"""The other executor: a Dask cluster through Prefect's runner gives the same results, refusals and retries as processes."""

import os
import signal

import pytest

from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal
from penumbra.base.workers import over
from penumbra.flows.pool import open_pool

pytestmark = pytest.mark.slow


def square(value: int) -> int:
    if value == 5:
        raise Refusal("not_five", "5", "send another number")
    if value == 7:
        os.kill(os.getpid(), signal.SIGKILL)
    return value * value


@pytest.mark.filterwarnings("ignore")  # Dask's and tornado's own, when a worker dies
def test_a_local_cluster_works_as_processes_do(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_DASK", "local")
    with open_pool() as cluster:
        outcome = dict(over(square, range(9), cluster.workers, needs=lambda value: value + 1, room=20, pool=cluster))
    refused = {item: result.rule for item, result in outcome.items() if isinstance(result, Refusal)}
    assert refused == {5: "not_five", 7: "worker_killed"}
    assert {item: result for item, result in outcome.items() if item not in refused} == {item: item**2 for item in (0, 1, 2, 3, 4, 6, 8)}


def test_an_address_that_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_DASK", "slurm")
    with pytest.raises(ParamsError, match=r"PENUMBRA_DASK is 'slurm'\. Set it to local or tcp://host:port"), open_pool():
        pass
