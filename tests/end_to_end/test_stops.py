"""Every command that can take long, told to stop: by signal, by target, in the middle of its work. tests/base/test_child_process.py has the rest."""

import contextlib
import fcntl
import os
import shutil
import signal
import sys
import time
from pathlib import Path

import pytest

from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate
from penumbra.pipeline.networks import FOLDER

from ..stops import STATUS, Command, Ended, penumbra
from .conftest import Run
from .conftest import penumbra as finished

pytestmark = pytest.mark.timeout(1800)

ENDLESS = "SELECT count(*) FROM range(100000000000) a, range(1000) b"
AT_ONCE = "import sys; from penumbra.flows import late; late.LASTS_S = 0.0; from penumbra.cli.start import main; sys.exit(main())"
TOKEN = {"PENUMBRA_SQL_TOKEN": "a-token-of-the-tests"}


@pytest.fixture(scope="module")
def arrived(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A state folder into which seven patients of one center were ingested: populate and train have everything to do."""
    folder = tmp_path_factory.mktemp("stops")
    simulate(folder / "cohort", seed=5, centers=[plan for plan in small_cohort(7, refused=False) if plan.name == "north"])
    finished(folder / "home", "ingest", str(folder / "cohort" / "north"), "--center", "north")
    return folder / "home"


@pytest.fixture
def home(arrived: Path, tmp_path: Path) -> Path:
    shutil.copytree(arrived, tmp_path / "home", symlinks=True)
    return tmp_path / "home"


def busy(home: Path) -> bool:
    """Whether a run holds the state folder."""
    with (home / ".run-lock").open("w") as lock, contextlib.suppress(BlockingIOError):
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return False
    return True


def judged(ended: Ended, signum: signal.Signals) -> None:
    """As promised: the exit status, one sentence that is the last line, no trace, nothing left; within seconds, also on a machine that is busy."""
    assert ended.status == STATUS[signum], ended.said
    *_, last = ended.said.splitlines()
    assert last.startswith(f"Stopped by {signum.name}: "), ended.said
    assert "Traceback" not in ended.said
    assert ended.said.count("Stopped by") == 1
    assert ended.left == []
    assert ended.seconds < 20


def run_with_api(home: Path, **variables: str) -> Command:
    """`penumbra run` whose temporary API starts at once, not only for a run that lasts."""
    return Command([sys.executable, "-c", AT_ONCE, "run"], home.parent, {"PENUMBRA_HOME": str(home), **variables})


def test_a_run_whose_temporary_api_starts(home: Path) -> None:
    """Ctrl-C there took 74 s: the API got the signal too, was gone first, and its client waited for it."""
    command = run_with_api(home).until((home / "prefect" / "server.log").exists)
    judged(command.stop(signal.SIGINT, "group"), signal.SIGINT)
    assert not busy(home)


def test_a_worker_of_the_pool_that_is_told_to_end_ends_the_command(home: Path) -> None:
    command = penumbra(home, "populate")
    command.until(lambda: sum("spawn_main" in line for line in command.running().values()) >= 2)
    judged(command.stop(signal.SIGTERM, "spawn_main"), signal.SIGTERM)


def test_the_compilation_of_a_network(home: Path) -> None:
    """XLA compiles for 20 to 40 s in one call."""
    penumbra(home, "populate").process.wait()
    command = penumbra(home, "train", variables={FOLDER: ""}).until((home / "networks" / "compiled").is_dir)
    time.sleep(2)
    judged(command.stop(signal.SIGTERM, "parent"), signal.SIGTERM)


def test_the_server_of_statements_while_it_answers_one(run: Run) -> None:
    command = penumbra(run.home, "serve-sql", "--port", "0", variables=TOKEN)
    command.until(lambda: "read-only SQL on" in command.said())
    judged(command.stop(signal.SIGHUP, "parent"), signal.SIGHUP)


def test_a_statement_that_would_never_end(run: Run) -> None:
    command = penumbra(run.home, "sql", ENDLESS)
    time.sleep(3)
    judged(command.stop(signal.SIGINT, "group"), signal.SIGINT)


def test_an_api_that_does_not_come_up_costs_one_sentence_and_the_run_continues(run: Run, tmp_path: Path) -> None:
    """Under load it came too late: forty lines of trace, and nothing done."""
    shutil.copytree(run.home, tmp_path / "home", symlinks=True)
    command = run_with_api(tmp_path / "home", PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS="0.1")
    assert command.process.wait(600) == 0, command.said()
    assert command.said().count("the temporary Prefect API did not come up in time") == 1
    assert "Traceback" not in command.said()
    assert command.running() == {}


# What is stopped, after how many seconds of work: a command of the finished run's state folder, or of the one into which patients have just arrived.
FINISHED: dict[str, tuple[str, ...]] = {
    "run": ("run",),
    "ingest": ("ingest",),
    "fuse": ("fuse",),
    "evaluate": ("evaluate",),
    "register": ("register",),
    "report": ("report",),
    "compare": ("compare",),
    "retrain": ("retrain", "--center", "east"),
    "serve": ("serve",),
    "gallery": ("gallery",),
    "verify": ("verify", "nsclc-os/1"),
    "export": ("export", "exported"),
    "drift": ("drift", "east"),
    "predict": ("predict", "PATIENT"),
    "baseline": ("baseline",),
    "monitor": ("monitor",),
    "doctor": ("doctor",),
    "sql": ("sql", ENDLESS),
    "serve-sql": ("serve-sql", "--port", "0"),
    "simulate": ("simulate", "simulated"),
}
ARRIVED = {"populate": ("populate",), "train": ("train",), "run": ("run",)}
CASES = [(signal.SIGINT, "group"), (signal.SIGTERM, "parent"), (signal.SIGHUP, "child"), (signal.SIGTERM, "twice")]


@pytest.mark.matrix
@pytest.mark.parametrize("after_s", [0.5, 3, 12])
@pytest.mark.parametrize(("signum", "target"), CASES, ids=lambda part: getattr(part, "name", part))
@pytest.mark.parametrize("name", FINISHED)
def test_every_command_on_a_finished_run(name: str, signum: signal.Signals, target: str, after_s: float, run: Run, tmp_path: Path) -> None:
    shutil.copytree(run.home, tmp_path / "home", symlinks=True)
    words = [str(run.cohort / "east" / "E001") if word == "PATIENT" else word for word in FINISHED[name]]
    stopped_after(after_s, penumbra(tmp_path / "home", *words, variables=TOKEN), signum, target, name)


@pytest.mark.matrix
@pytest.mark.parametrize("after_s", [3, 12, 30])
@pytest.mark.parametrize(("signum", "target"), CASES, ids=lambda part: getattr(part, "name", part))
@pytest.mark.parametrize("name", ARRIVED)
def test_every_stage_that_has_work(name: str, signum: signal.Signals, target: str, after_s: float, home: Path) -> None:
    if name == "train":
        penumbra(home, "populate").process.wait()
    stopped_after(after_s, penumbra(home, *ARRIVED[name]), signum, target, name)


def stopped_after(after_s: float, command: Command, signum: signal.Signals, target: str, name: str) -> None:
    end = time.monotonic() + after_s
    while time.monotonic() < end or (target == "child" and not command.children()):
        if command.process.poll() is not None:
            pytest.skip(f"{name} is done within {after_s:g} s")
        time.sleep(0.02)
    ended = command.stop(signum, target)
    if table := os.environ.get("PENUMBRA_STOPS_TABLE"):
        with Path(table).open("a") as stream:
            stream.write(f"{name} | {after_s:g} s | {signum.name} | {target} | {ended.seconds:.1f} | {ended.status} | {len(ended.left)}\n")
    if ended.status != 0:  # it was done just then
        judged(ended, signum)
