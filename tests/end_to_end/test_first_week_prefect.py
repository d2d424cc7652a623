"""`penumbra serve` with its Prefect server: a center that is dropped into incoming/, and one that is announced there, are decided without another command;
and what a person sees of a run on the server's pages, by Prefect's own client."""

import csv
import json
import re
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from penumbra.base.params import project_root
from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate

from .. import prefect_pages
from ..stops import Command, Ended, penumbra
from .conftest import Run

pytestmark = pytest.mark.timeout(1800)
WAIT_S = 900


@dataclass
class Served:
    """The command, its state folder, and two centers that have not arrived; what the folder for temporary files has at the end."""

    command: Command
    home: Path
    west: Path
    outer: Path
    shared: Path

    @property
    def api(self) -> str:
        """The address of its server."""
        port = next(match[1] for line in self.command.running().values() if (match := re.search(r"server start .*--port (\d+)", line)))
        return f"http://127.0.0.1:{port}/api"


@pytest.fixture(scope="module")
def served(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """`penumbra serve` on the finished run, with a server on a port and in a folder of its own."""
    folder = tmp_path_factory.mktemp("served")
    home, project = folder / "home", folder / "project"
    shutil.copytree(run.home, home, symlinks=True)
    project.mkdir()
    for name in ("features", "models", "requirements.lock"):
        (project / name).symlink_to(project_root() / name)
    numbers = (project_root() / "params.yaml").read_text(encoding="utf-8").replace("look_s: 10.0", "look_s: 0.5").replace("bootstraps: 1000", "bootstraps: 20")
    (project / "params.yaml").write_text(numbers, encoding="utf-8")
    for seed, name in ((8, "west"), (9, "outer")):
        simulate(folder / name / "cohort", seed=seed, centers=[plan for plan in small_cohort(5, refused=False) if plan.name == "south"])
        three_deaths(folder / name / "cohort" / "south", folder / name / "center", name[0].upper())
    shared = folder / "shared"
    shared.mkdir()
    (shared / "runner_storage").touch()  # Prefect's folder for temporary files, where another user has it: it ended in a trace
    command = penumbra(home, "serve", variables={"PENUMBRA_PROJECT": str(project), "TMPDIR": str(shared)})
    try:
        command.until(lambda: "watching incoming/" in command.said())
        yield Served(command, home, folder / "west" / "center", folder / "outer" / "center", shared)
    finally:
        command.kill()


@pytest.fixture(scope="module")
def dropped(served: Served) -> dict[str, Any]:
    """The decision on a center that is copied into incoming/."""
    shutil.copytree(served.west, served.home / "incoming" / "west")
    (served.home / "incoming" / "west" / "complete").touch()
    return decision(served, "west")


@pytest.fixture(scope="module")
def announced(served: Served, dropped: dict[str, Any]) -> prefect_pages.Page:
    """The run of a center whose folder is named to the server."""
    parameters = {"center": "outer", "folder": str(served.outer)}
    page = prefect_pages.announced(served.api, "retrain/center-arrived", parameters, WAIT_S)
    assert page.state == "Completed", served.command.said()
    return page


def decision(served: Served, center: str) -> dict[str, Any]:
    path = served.home / "manifests" / f"retrain-{center}.json"
    served.command.until(path.is_file, WAIT_S)
    content: dict[str, Any] = json.loads(path.read_text())
    return content


def steps(run: Run, home: Path, center: str) -> list[str]:
    rows = json.loads(Run(home, run.cohort, "").penumbra("sql", "SELECT center, step FROM retrainings ORDER BY commit_id", "--format", "json").stdout)
    return [row["step"] for row in rows if row["center"] == center]


def test_a_center_with_three_deaths_is_validated_and_stops_before_a_refit(run: Run, served: Served, dropped: dict[str, Any]) -> None:
    assert dropped["decision"] == "stop"
    assert "3 deaths at west, 10 are needed" in dropped["reason"]
    assert steps(run, served.home, "west") == ["arrival", "validation", "checks", "decision"]
    (told,) = (served.home / "notifications").glob("west-*.txt")
    assert dropped["reason"] in told.read_text()
    assert dropped["reason"] in (served.home / "reports" / "retrain-west" / "index.html").read_text()


def test_a_center_announced_to_the_server_is_decided_as_one_that_arrives(run: Run, served: Served, announced: prefect_pages.Page) -> None:
    """By a custom run of the deployment with the folder: it is linked into incoming/, and goes through the same steps to the same decision."""
    assert (served.home / "incoming" / "outer").resolve() == served.outer.resolve()
    content = decision(served, "outer")
    assert content["decision"] == "stop"
    assert "3 deaths at outer, 10 are needed" in content["reason"]
    assert steps(run, served.home, "outer") == ["arrival", "validation", "checks", "decision"]


def test_its_run_has_a_name_and_tags(announced: prefect_pages.Page) -> None:
    assert announced.name == f"retrain outer {datetime.now(UTC).date().isoformat()}"
    assert {"center:outer", "profile:quick", "version:nsclc-os/1"} < announced.tags
    assert any(re.fullmatch(r"run:\d{8}T\d{6}-[0-9a-f]{6}", tag) for tag in announced.tags)


def test_its_steps_and_batches_are_tasks(announced: prefect_pages.Page) -> None:
    assert announced.tasks["retrain"] == "Completed"
    assert {"arrival", "ingest", "populate", "validation", "checks", "page", "decision"} < set(announced.tasks)
    batches = [name for name in announced.tasks if re.fullmatch(r"(populate|ingest outer) \d+( to \d+)? of \d+", name)]
    assert {name.split()[0] for name in batches} == {"populate", "ingest"}
    assert set(announced.tasks.values()) == {"Completed"}
    assert set(announced.graph) == set(announced.tasks)


def test_its_sentences_are_log_lines_and_name_no_file(served: Served, announced: prefect_pages.Page) -> None:
    lines = "\n".join(announced.lines)
    for sentence in ("outer: arrival: ", "outer: checks: 3 deaths among", "ingest outer ", "outer: decision: Stopped"):
        assert sentence in lines
    assert str(served.outer) not in lines


def test_its_artifacts_are_the_cohort_c_the_decision_and_how_far_it_came(served: Served, announced: prefect_pages.Page) -> None:
    kinds = {key: kind for key, (kind, _) in announced.artifacts.items()}
    wanted = {
        "cohort-flow": "table",
        "c-per-center": "table",
        "decision-outer": "markdown",
        "progress-ingest-outer": "progress",
        "progress-populate": "progress",
    }
    assert wanted.items() <= kinds.items()
    assert announced.artifacts["progress-populate"][1] == 100
    flow = {row["center"]: row["found"] for row in json.loads(announced.artifacts["cohort-flow"][1])}
    assert flow["outer"] == len([path for path in served.outer.iterdir() if path.is_dir()])
    measured = {(row["model"], row["center"]): row for row in json.loads(announced.artifacts["c-per-center"][1])}
    assert re.fullmatch(r"0\.\d{3} to [01]\.\d{3}", measured["nsclc-os/1", "outer"]["95 % interval"])
    text = announced.artifacts["decision-outer"][1]
    assert text.startswith("# outer: stop\n\nStopped: 3 deaths at outer")
    assert "/#/models/nsclc-os/versions/1)" in text
    assert "/reports/retrain-outer/index.html)" in text


def test_the_run_that_the_watch_starts_is_shown_too(served: Served, announced: prefect_pages.Page) -> None:
    page = prefect_pages.newest(served.api, "retrain west")
    assert {"center:west", "version:nsclc-os/1"} < page.tags
    assert "decision-west" in page.artifacts
    assert any("west: decision: " in line for line in page.lines)


def test_it_ends_with_nothing_of_its_own(served: Served, announced: prefect_pages.Page) -> None:
    ended: Ended = served.command.stop(signal.SIGTERM, "parent")
    assert (ended.status, ended.left) == (143, [])
    assert "Traceback" not in ended.said
    assert [path.name for path in served.shared.iterdir()] == ["runner_storage"]


def three_deaths(source: Path, target: Path, letter: str) -> None:
    """The simulated center under other patients' names, three of whom died."""
    with (source / "clinical.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for place, row in enumerate(rows):
        name = row["patient_id"].replace("S", letter)
        shutil.copytree(source / row["patient_id"], target / name)
        row["patient_id"], row["event"] = name, str(int(place < 3))
    with (target / "clinical.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
