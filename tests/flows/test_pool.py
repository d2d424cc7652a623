"""The other executor: a Dask cluster through Prefect's runner gives the same results, refusals and retries as processes."""

import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import distributed
import pytest

import penumbra
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


@pytest.fixture(scope="module")
def scheduler(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of a Dask scheduler on loopback."""
    file = tmp_path_factory.mktemp("dask") / "scheduler.json"
    command = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_scheduler", "--host", "127.0.0.1", "--port", "0", "--no-dashboard"]
    with subprocess.Popen([*command, "--scheduler-file", file], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        wait_for(file.is_file)
        yield json.loads(file.read_text(encoding="utf-8"))["address"]
        process.terminate()


@contextmanager
def worker(scheduler: str, folder: Path, **variables: str) -> Iterator[None]:
    """A worker with its own files and variables."""
    folder.mkdir(exist_ok=True)
    command = [sys.executable, "-W", "ignore", "-m", "distributed.cli.dask_worker", scheduler, "--nthreads", "1", "--no-nanny", "--no-dashboard"]
    environment = {**os.environ, **variables}
    with subprocess.Popen([*command, "--local-directory", folder], env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        with distributed.Client(scheduler) as client:
            client.wait_for_workers(1, timeout=60)
        try:
            yield
        finally:
            process.terminate()


@pytest.mark.filterwarnings("ignore")
def test_a_worker_with_another_program_is_refused_by_what_differs(monkeypatch: pytest.MonkeyPatch, scheduler: str, tmp_path: Path) -> None:
    monkeypatch.setenv("PENUMBRA_DASK", scheduler)
    with pytest.raises(Refusal, match=r"has no worker") as refused, open_pool():
        pass
    assert refused.value.rule == "cluster_has_workers"
    with worker(scheduler, tmp_path / "same"), open_pool() as cluster:
        assert dict(over(square, [3], cluster.workers, needs=lambda value: 1, room=20, pool=cluster)) == {3: 9}
    other = tmp_path / "other"  # the same package with one changed line, before the installed one
    shutil.copytree(Path(penumbra.__file__).parent, other / "penumbra", ignore=shutil.ignore_patterns("__pycache__"))
    with (other / "penumbra" / "radiomics" / "shape.py").open("a", encoding="utf-8") as file:
        file.write("# another program\n")
    with worker(scheduler, tmp_path / "worker", PYTHONPATH=str(other)):
        with (
            pytest.raises(Refusal, match=r"worker tcp://127\.0\.0\.1:\d+ has code [0-9a-f]{12} \(here [0-9a-f]{12}\)\. Install the same") as refused,
            open_pool(),
        ):
            pass
        assert refused.value.rule == "cluster_alike"
    empty = tmp_path / "empty" / "penumbra"
    empty.mkdir(parents=True)
    (empty / "__init__.py").touch()
    with worker(scheduler, tmp_path / "worker2", PYTHONPATH=str(empty.parent)), pytest.raises(Refusal, match="does not have this program"), open_pool():
        pass


def wait_for(what: Callable[[], bool], seconds: float = 60.0) -> None:
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end
        time.sleep(0.05)
