"""What extracts features: processes of this machine, or the workers of a Dask cluster through Prefect's Dask runner; PENUMBRA_DASK decides."""

import logging
import os
from collections.abc import Iterator
from concurrent.futures import Executor
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from penumbra.base.documents import Document
from penumbra.base.extras import require
from penumbra.base.params import ParamsError
from penumbra.base.program import identity
from penumbra.base.refusal import Refusal
from penumbra.base.workers import Pool, available_bytes, available_cores, this_machine
from penumbra.pipeline.stages import Stage
from penumbra.pipeline.workspace import Work

VARIABLE, LOCAL = "PENUMBRA_DASK", "local"
ADDRESS = ("tcp://", "tls://")
CONNECT_TIMEOUT_S = 30


@contextmanager
def open_pool() -> Iterator[Pool]:
    """The pool that PENUMBRA_DASK names, for as long as the context lasts.

    Unset: processes. "local": a Dask cluster on loopback that ends with the context. Else the address of an existing scheduler, whose workers need this
    package and the state folder under the same path; they read images, and only this process writes to the store.

    A patient is not a task run of Prefect: workers need no way to its API, and its database is spared thousands of small writes.

    Raises
    ------
    ParamsError
        `PENUMBRA_DASK is 'slurm'. Set it to local or tcp://host:port`.
    Refusal
        `cluster_reachable`, `cluster_has_workers`, `cluster_alike`.
    """
    executor = os.environ.get(VARIABLE, "")
    if not executor:
        yield this_machine()
        return
    if executor != LOCAL and not executor.startswith(ADDRESS):
        raise ParamsError("cluster_address", f"{VARIABLE} is {executor!r}", f"Set it to {LOCAL} or tcp://host:port, or unset it")
    import dask
    from distributed.scheduler import KilledWorker

    logging.getLogger("distributed").setLevel(logging.ERROR)  # each connection and each slow moment is otherwise a line in a worker's log
    # A task whose worker died is ours to try again, alone. An existing scheduler has this setting of its own (by default it tries three times before).
    with dask.config.set({"distributed.scheduler.allowed-failures": 0}), _runner(executor) as runner:
        try:
            client = runner.client
        except OSError as error:
            raise Refusal("cluster_reachable", f"no Dask scheduler answers at {executor}", f"start it, or unset {VARIABLE}") from error
        facts = client.scheduler_info(n_workers=-1)["workers"].values()
        if not facts:
            raise Refusal("cluster_has_workers", f"the scheduler at {executor} has no worker", "start workers: dask worker ADDRESS")
        if executor != LOCAL:
            _refuse_other_programs(client)
        # the local cluster shares this machine; a worker elsewhere without a limit is taken for a machine like this one
        memory = available_bytes() if executor == LOCAL else sum(worker["memory_limit"] or available_bytes() for worker in facts)

        def start(_: int) -> AbstractContextManager[Executor]:
            executor: AbstractContextManager[Executor] = client.get_executor(pure=False)
            return executor

        yield Pool(sum(worker["nthreads"] for worker in facts), memory, start, (KilledWorker,))


def _refuse_other_programs(client: Any) -> None:
    """What a worker with another program computes would be stored as values of this version."""
    expected = identity()
    for worker, program in sorted(client.run(identity, on_error="return").items()):
        if isinstance(program, BaseException):
            what = f"worker {worker} does not have this program ({type(program).__name__})"
        else:
            what = f"worker {worker} has " + ", ".join(
                f"{name} {program.get(name)} (here {value})" for name, value in expected.items() if program.get(name) != value
            )
        if program != expected:
            raise Refusal("cluster_alike", what, "Install the same version and libraries on every worker, and start it again")


def _runner(executor: str) -> Any:
    require("prefect_dask")
    from prefect_dask.task_runners import DaskTaskRunner

    if executor != LOCAL:
        return DaskTaskRunner(address=executor, client_kwargs={"timeout": CONNECT_TIMEOUT_S})
    # On loopback with certificates of its own, since anyone who reaches a scheduler can run code; no limit for a worker: what is handed out together fits.
    local = {
        "n_workers": available_cores(),
        "threads_per_worker": 1,
        "host": "127.0.0.1",
        "dashboard_address": None,
        "silence_logs": logging.CRITICAL,
        "memory_limit": 0,
        "security": True,
    }
    return DaskTaskRunner(cluster_kwargs=local)


def run_stage(stage: Stage, work: Work) -> Document:
    """One stage, in a flow or without one; features are extracted by who PENUMBRA_DASK names."""
    if not stage.pooled:
        return stage(work)
    with open_pool() as pool:
        return stage(work, pool=pool)
