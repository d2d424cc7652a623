"""`penumbra serve`: a center dropped into incoming/ is processed without another command."""

import csv
import json
import shutil
import signal
from pathlib import Path

import pytest

from penumbra.base.params import project_root
from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate

from ..stops import penumbra
from .conftest import Run

pytestmark = pytest.mark.timeout(1800)
WAIT_S = 900


def test_a_center_with_three_deaths_is_validated_and_stops_before_a_refit(run: Run, tmp_path: Path) -> None:
    home, project = tmp_path / "home", tmp_path / "project"
    shutil.copytree(run.home, home, symlinks=True)
    project.mkdir()
    for name in ("features", "models", "requirements.lock"):
        (project / name).symlink_to(project_root() / name)
    numbers = (project_root() / "params.yaml").read_text(encoding="utf-8").replace("look_s: 10.0", "look_s: 0.5").replace("bootstraps: 1000", "bootstraps: 20")
    (project / "params.yaml").write_text(numbers, encoding="utf-8")
    simulate(tmp_path / "cohort", seed=8, centers=[plan for plan in small_cohort(5, refused=False) if plan.name == "south"])
    arrived = tmp_path / "west"
    three_deaths(tmp_path / "cohort" / "south", arrived)

    shared = tmp_path / "shared"
    shared.mkdir()
    (shared / "runner_storage").touch()  # Prefect's folder for temporary files, where another user has it: it ended in a trace
    command = penumbra(home, "serve", variables={"PENUMBRA_PROJECT": str(project), "TMPDIR": str(shared)})
    try:
        command.until(lambda: "watching incoming/" in command.said())
        shutil.copytree(arrived, home / "incoming" / "west")
        (home / "incoming" / "west" / "complete").touch()
        decided = home / "manifests" / "retrain-west.json"
        command.until(decided.is_file, WAIT_S)
    finally:
        ended = command.stop(signal.SIGTERM, "parent")
    assert (ended.status, ended.left) == (143, [])
    assert "Traceback" not in ended.said
    assert [path.name for path in shared.iterdir()] == ["runner_storage"]
    content = json.loads(decided.read_text())
    assert content["decision"] == "stop"
    assert "3 deaths at west, 10 are needed" in content["reason"]
    rows = json.loads(
        Run(home, run.cohort, "").penumbra("sql", "SELECT step FROM retrainings WHERE center = 'west' ORDER BY commit_id", "--format", "json").stdout
    )
    assert [row["step"] for row in rows] == ["arrival", "validation", "checks", "decision"]
    (told,) = (home / "notifications").glob("west-*.txt")
    assert content["reason"] in told.read_text()
    assert content["reason"] in (home / "reports" / "retrain-west" / "index.html").read_text()


def three_deaths(source: Path, target: Path) -> None:
    """The simulated center under other patients' names, three of whom died."""
    with (source / "clinical.csv").open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    for place, row in enumerate(rows):
        name = row["patient_id"].replace("S", "W")
        shutil.copytree(source / row["patient_id"], target / name)
        row["patient_id"], row["event"] = name, str(int(place < 3))
    with (target / "clinical.csv").open("w", newline="") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
