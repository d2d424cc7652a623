"""What an engineer does with DVC in the first week, on the finished run and with the real commands: a fresh clone, an experiment, its curves, and back."""

import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penumbra.flows import drive
from tests.end_to_end.conftest import Run, environment

pytestmark = pytest.mark.slow

ROOT = Path(__file__).resolve().parents[2]
FEWER = ("-S", "evaluate.bootstraps=50", "-S", "evaluate.refits=5")
DVC = (sys.executable, "-m", "dvc")


@pytest.fixture(scope="module")
def project(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project that `penumbra init` made with the finished run as its state, recorded with DVC and committed."""
    folder = tmp_path_factory.mktemp("first") / "clinic"
    call(folder.parent, "penumbra", "init", str(folder))
    shutil.copytree(run.home, folder / "data", symlinks=True)
    for stage in ("train", "evaluate"):  # from the state; what is new is metrics.json and plots/, which no other home has
        call(folder, "penumbra", stage)
    call(folder, *DVC, "commit", "--force", "--quiet")
    call(folder, "git", "add", "-A")
    call(folder, "git", "-c", "user.name=test", "-c", "user.email=test@localhost", "commit", "--quiet", "-m", "a run")
    return folder


def call(folder: Path, *command: str, code: int = 0) -> str:
    """Run one command in a folder; what it printed and said."""
    here = environment(folder / "data")
    del here["PENUMBRA_HOME"]  # data/ of the project
    path = f"{Path(sys.executable).parent}{os.pathsep}{here['PATH']}"
    done = subprocess.run(command, cwd=folder, env={**here, "DVC_NO_ANALYTICS": "1", "PATH": path}, capture_output=True, text=True)
    assert done.returncode == code, f"{command}: {done.stderr[-3000:]}"
    return done.stdout + done.stderr


@contextmanager
def read_all_the_time(file: Path) -> Iterator[set[str]]:
    """Whatever a reader sees that looks a thousand times a second; "absent" where there is no file."""
    texts, stop = set[str](), threading.Event()

    def look() -> None:
        while not stop.is_set():
            try:
                texts.add(file.read_text(encoding="utf-8"))
            except FileNotFoundError:
                texts.add("absent")
            time.sleep(0.001)

    reader = threading.Thread(target=look)
    reader.start()
    try:
        yield texts
    finally:
        stop.set()
        reader.join()


def test_an_experiment_its_curves_and_back_to_what_was_computed_before(project: Path) -> None:
    metrics = project / "metrics.json"
    before = metrics.read_text(encoding="utf-8")
    with read_all_the_time(metrics) as texts:
        printed = call(project, *DVC, "exp", "run", "register", "-n", "fewer", *FEWER)
    assert "bootstraps" in printed
    assert before in texts
    assert all(text.startswith("{") and text.endswith("}\n") for text in texts), "metrics.json is replaced whole"

    drawn = call(project, *DVC, "plots", "diff", "HEAD", "fewer")
    page = Path(drawn.split("file://")[1].split()[0]).read_text(encoding="utf-8")
    for name in ("C per center", "Kaplan-Meier", "Calibration", "ROC", "Training of the network"):
        assert name in page
    assert "fewer" in page
    shown = call(project, *DVC, "exp", "show", "--only-changed", "--drop", ".*/.*|Created|slope|OE_.*")
    assert "fewer" in shown
    assert "evaluate.refits" in shown

    versions = call(project, "penumbra", "models")
    commit = call(project, "git", "rev-parse", "HEAD")[:7]
    assert f"{commit}, fewer" in versions, "revision and experiment"
    assert "2: evaluate.bootstraps 50 (1000), evaluate.refits 5 (200)" in versions

    call(project, "git", "checkout", "--quiet", "params.yaml")
    with read_all_the_time(metrics) as texts:
        printed = call(project, *DVC, "repro", "register")
    assert "absent" not in texts
    assert "bootstraps" not in printed
    assert "resamples" not in printed
    assert "version  1" in printed
    assert metrics.read_text(encoding="utf-8") == before
    assert call(project, "git", "status", "--short") == "", "the revision as it was, dvc.lock included"


def test_in_a_fresh_clone_dvc_says_what_to_run_first_and_moves_no_state(project: Path, tmp_path: Path) -> None:
    """`dvc repro` ended with [Errno 2]; `dvc push` and `dvc pull` say that all is up to date, and the sentence that the run ends with is about them."""
    clone, remote = tmp_path / "clone", tmp_path / "remote"
    call(tmp_path, "git", "clone", "--quiet", str(project), str(clone))
    for command in (("repro",), ("exp", "run", "-n", "first")):
        printed = call(clone, *DVC, *command, code=255)
        assert "no center folder in incoming/. Run penumbra run --cohort DIR first (make run for the simulated cohort)" in printed, command
        assert "penumbra import" in printed
        assert "(rule a_center_has_arrived)" in printed
        assert "Traceback" not in printed
    call(project, *DVC, "remote", "add", "--local", "-d", "share", str(remote))
    assert "up to date" in call(project, *DVC, "push")
    assert not remote.exists(), "nothing was moved"
    call(clone, *DVC, "remote", "add", "--local", "-d", "share", str(remote))
    assert "up to date" in call(clone, *DVC, "pull")
    assert {path.name for path in (clone / "data").rglob("*") if path.is_file()} == {".run-lock"}
    assert "dvc push moves none of it; penumbra export packs the store" in drive.RECORDED
    page = (ROOT / "docs" / "dvc.md").read_text(encoding="utf-8")
    assert "`dvc push` and `dvc pull` move nothing" in page
    assert "`penumbra export FOLDER`" in page
