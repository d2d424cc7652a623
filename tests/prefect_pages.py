"""What a Prefect server shows of this project's runs: by its own client for the tests, and as pictures of its pages for the manual.

`python -m tests.prefect_pages ADDRESS FOLDER south` remakes docs/prefect/ from the newest retraining of south on the server at ADDRESS. Each page is waited
for until what it is shown for is on it.
"""

import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from .console.browser import Browser, browser

WIDTH, HEIGHT, WITH_CARDS = 1200, 850, 1450
SETTLE_S = 3.0  # what Prefect's server records of its own tasks arrives behind their end


@dataclass(frozen=True)
class Page:
    """One flow run.

    Parameters
    ----------
    tasks
        Name -> state, of Prefect's own without the number at its end.
    graph
        Names of the tasks in its graph.
    artifacts
        Key -> kind and data; ids: key -> id.
    """

    id: UUID
    name: str
    state: str
    tags: frozenset[str]
    tasks: dict[str, str]
    graph: tuple[str, ...]
    lines: tuple[str, ...]
    artifacts: dict[str, tuple[str, Any]]
    ids: dict[str, UUID]


@contextmanager
def client(api: str) -> Iterator[Any]:
    """Prefect's client of the server at an address."""
    from prefect.client.orchestration import SyncPrefectClient

    with SyncPrefectClient(api) as opened:
        yield opened


def announced(api: str, deployment: str, parameters: dict[str, Any], patience_s: float) -> Page:
    """Start a run of a deployment as a person does on its page, and wait for its end."""
    with client(api) as prefect:
        run = prefect.create_flow_run_from_deployment(prefect.read_deployment_by_name(deployment).id, parameters=parameters)
        end = time.monotonic() + patience_s
        while not (state := prefect.read_flow_run(run.id).state).is_final():
            assert time.monotonic() < end, state
            time.sleep(0.5)
    time.sleep(SETTLE_S)
    return shown(api, run.id)


def newest(api: str, begins: str) -> Page:
    """The newest run whose name begins so."""
    from prefect.client.schemas.sorting import FlowRunSort

    with client(api) as prefect:
        runs = prefect.read_flow_runs(sort=FlowRunSort.EXPECTED_START_TIME_DESC, limit=50)
    return shown(api, next(run.id for run in runs if run.name.startswith(begins)))


def shown(api: str, run: UUID) -> Page:
    """A run as its page shows it."""
    from prefect.client.schemas.filters import ArtifactFilter, ArtifactFilterFlowRunId, FlowRunFilter, FlowRunFilterId, LogFilter, LogFilterFlowRunId
    from prefect.client.schemas.sorting import LogSort

    with client(api) as prefect:
        found = prefect.read_flow_run(run)
        tasks = prefect.read_task_runs(flow_run_filter=FlowRunFilter(id=FlowRunFilterId(any_=[run])))
        lines = prefect.read_logs(LogFilter(flow_run_id=LogFilterFlowRunId(any_=[run])), sort=LogSort.TIMESTAMP_ASC)
        artifacts = prefect.read_artifacts(artifact_filter=ArtifactFilter(flow_run_id=ArtifactFilterFlowRunId(any_=[run])))
        graph = prefect.request("GET", "/flow_runs/{id}/graph-v2", path_params={"id": run}).json()
    names = {str(task.id): task.name.rpartition("-")[0] if task.name[-4:-3] == "-" else task.name for task in tasks}
    return Page(
        run,
        found.name,
        found.state.name,
        frozenset(found.tags),
        {names[str(task.id)]: task.state.name for task in tasks},
        tuple(names[node["id"]] for _, node in graph["nodes"]),
        tuple(line.message for line in lines),
        {artifact.key: (artifact.type, artifact.data) for artifact in artifacts if artifact.key},
        {artifact.key: artifact.id for artifact in artifacts if artifact.key},
    )


def taken(chromium: Browser, address: str, folder: Path, center: str) -> None:
    """The newest retraining of a center: its graph and log, its artifacts, and the decision."""
    page = newest(f"{address}/api", f"retrain {center} ")
    with chromium.tab() as tab:
        tab.size(WIDTH, HEIGHT)
        tab.go(f"{address}/runs/flow-run/{page.id}")
        tab.until("document.body.innerText.includes('decision: ')")
        time.sleep(SETTLE_S)  # the graph is laid out once more
        tab.picture(folder / "run.png", whole=False)
        tab.size(WIDTH, WITH_CARDS)
        tab.run("[...document.querySelectorAll('*')].filter(each => !each.children.length && each.textContent.trim() === 'Artifacts').pop().click()")
        tab.until("document.body.innerText.toLowerCase().includes('cohort-flow')")
        time.sleep(1)
        tab.picture(folder / "artifacts.png", whole=False)
        tab.size(WIDTH, HEIGHT)
        for key, words in ((f"decision-{center}", "in MLflow"), ("c-per-center", "95 % interval")):
            tab.go(f"{address}/artifacts/artifact/{page.ids[key]}")
            tab.until(f"document.body.innerText.includes('{words}')")
            time.sleep(1)
            tab.picture(folder / f"{key.partition('-')[0]}.png", whole=False)


def main() -> None:
    address, folder = sys.argv[1], Path(sys.argv[2])
    folder.mkdir(parents=True, exist_ok=True)
    with browser() as chromium:
        taken(chromium, address, folder, sys.argv[3])


if __name__ == "__main__":
    main()
