"""`penumbra` alone: where a state folder is, read quickly, without writing, and whatever is wrong with it."""

import fcntl
import json
import os
import subprocess
import sys
import threading
import time
from datetime import UTC, datetime
from pathlib import Path

import pytest
from click.testing import CliRunner

from penumbra import store
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.cli import main
from penumbra.cli.status import shown
from penumbra.commands import status, status_data
from penumbra.pipeline import history, manifests
from penumbra.pipeline.manifests import DecisionManifest

from ..small_run import small_work

pytestmark = pytest.mark.slow

HEAVY = ("numpy", "pyarrow", "pandas", "mlflow", "prefect", "jax", "scipy", "rich", "SimpleITK", "pydicom")


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with three centers and a champion, whose C and tumor volume's are in the store."""
    home = tmp_path_factory.mktemp("status") / "home"
    work = small_work(home, features=2)
    at = datetime(2030, 1, 1, 12, 0, tzinfo=UTC).replace(tzinfo=None)
    version = {"model": "nsclc-os", "version": "1", "alias": "champion", "train_centers": ["north"], "created_at": at, "digest": "d", "store_commit": 1}
    numbers = {"nsclc-os": (0.89, 0.744, 0.711, 0.733), "Volume": (0.64, 0.628, 0.629, 0.622)}
    metrics = [
        {"model": model, "version": "1", "center": center, "split": split, "metric": "harrell_c", "value": value, "n": 36, "events": 23}
        for model, values in numbers.items()
        for (center, split), value in zip((("north", "train"), ("east", "test"), ("south", "test"), ("external", "test")), values, strict=True)
    ]
    with store.connect(work.home) as lake:
        lake.write({"model_versions": [version], "model_metrics": metrics}, run="test", what="register")
    for center in ("north", "east", "south"):
        (home / "incoming" / center).mkdir(parents=True)
    return home


@pytest.fixture
def home(finished: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it that a test may change."""
    import shutil

    copied = shutil.copytree(finished, tmp_path / "home")
    monkeypatch.setenv("PENUMBRA_HOME", str(copied))
    return copied


def files(home: Path) -> dict[str, tuple[int, int]]:
    return {str(path): (path.stat().st_size, path.stat().st_mtime_ns) for path in sorted(home.rglob("*"))}


def test_what_is_served_and_what_to_type_next(home: Path) -> None:
    """There was no such command: `penumbra` alone printed the list of commands."""
    before = files(home)
    found = status.look()
    assert files(home) == before, "nothing is written"
    champion = found.champion
    assert champion is not None
    assert (champion.model, champion.version, champion.train_centers, champion.inside) == ("nsclc-os", "1", ("north",), ())
    assert [(place.center, place.model_c, place.volume_c) for place in champion.outside] == [("east", 0.744, 0.628), ("south", 0.711, 0.629)]
    assert {each.center: each.patients for each in found.centers} == {"north": 60, "east": 36, "south": 24}
    assert dict(found.rejected) == {"gtv_not_empty": 3}
    assert (found.waiting, found.failures, found.running, found.remarks) == ((), (), None, ())
    said = CliRunner().invoke(main, [])
    assert said.exit_code == 0
    assert "C 0.74 (tumor volume alone 0.63) at east, 0.71 (0.63) at south" in " ".join(said.output.split())
    assert "not measured yet" in said.output
    assert said.output == CliRunner().invoke(main, ["status"]).output
    told = json.loads(CliRunner().invoke(main, ["status", "--format", "json"]).stdout)
    without_limits = dict.fromkeys(("lower", "upper", "volume_lower", "volume_upper"))
    assert told["champion"]["outside"][0] == {"center": "east", "model_c": 0.744, "volume_c": 0.628, "n": 36, "events": 23, **without_limits}


def test_cross_fitted_values_are_shown_once_they_are_there(home: Path) -> None:
    rows = [
        {"model": model, "version": "1", "center": center, "split": "cross_fitted", "metric": "harrell_c", "value": value, "n": 60, "events": 40}
        for model, value in (("nsclc-os", 0.71), ("Volume", 0.65))
        for center in ("north", "training")
    ]
    with store.connect(home) as lake:
        lake.write({"model_metrics": rows}, run="test", what="cross-fitted")
    assert "inside      C 0.71 (tumor volume alone 0.65), cross-fitted\n" in shown(status.look(), 100)


@pytest.mark.parametrize("width", [60, 80, 100, 160])
def test_no_line_is_wider_than_the_terminal(home: Path, width: int) -> None:
    history.checked(home, ["store: " + "a long finding " * 20])
    assert max(map(len, shown(status.look(), width).splitlines()[1:])) <= max(width, 70), "the command to type is not broken"
    assert max(map(len, shown(status.look(), width).split("Next:")[0].splitlines()[1:])) <= width


def test_an_empty_home_says_at_once_what_to_do(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "nothing"))
    said = CliRunner().invoke(main, [])
    assert said.exit_code == 0
    assert "Nothing has arrived yet" in said.output
    assert "penumbra simulate simulated && penumbra run --cohort simulated" in said.output
    assert not (tmp_path / "nothing").exists()


def test_no_checkout_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PENUMBRA_PROJECT", str(tmp_path))
    monkeypatch.delenv("PENUMBRA_HOME", raising=False)
    said = CliRunner().invoke(main, [])
    assert said.exit_code == 0
    assert "PENUMBRA_PROJECT" in said.output
    assert "make run" in said.output


def test_a_home_that_cannot_be_one_is_a_failure(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was printed like a state, with exit status 0."""
    (tmp_path / "file").touch()
    monkeypatch.setenv("PENUMBRA_HOME", str(tmp_path / "file"))
    for words in ([], ["status", "--format", "json"]):
        said = CliRunner().invoke(main, words)
        assert said.exit_code == 1
        assert said.stdout == ""
        assert "which is a file. Set PENUMBRA_HOME to a folder" in said.stderr


def test_a_run_in_an_empty_home_starts_no_server(tmp_path: Path) -> None:
    """It waited 47 s for Prefect before it said that no center had arrived."""
    environment = {**os.environ, "PENUMBRA_HOME": str(tmp_path / "home"), "PYTHONWARNINGS": "ignore"}
    done = subprocess.run([sys.executable, "-m", "penumbra.cli", "run"], env=environment, capture_output=True, text=True)
    assert done.returncode == 1
    assert "no center folder in incoming/" in done.stderr
    assert "Prefect" not in done.stderr
    assert not (tmp_path / "home" / "prefect").exists()


def test_a_center_that_waits_is_named_with_its_command(home: Path) -> None:
    (home / "incoming" / "west").mkdir()
    assert [(each.center, each.why) for each in status.look().waiting] == [("west", "not complete: no clinical.csv yet")]
    (home / "incoming" / "west" / "clinical.csv").touch()
    found = status.look()
    assert [each.center for each in found.waiting] == ["west"]
    assert found.next == "penumbra retrain --center west"


def test_how_the_last_command_ended(home: Path) -> None:
    with pytest.raises(Refusal), history.noted(home, "penumbra fuse"):
        raise Refusal("stage_is_current", "train is older than its images", "run penumbra train")
    found = status.look()
    assert [each.what for each in found.failures] == ["penumbra fuse"]
    assert "train is older than its images" in found.failures[0].why
    assert found.next == "penumbra fuse"
    with history.noted(home, "penumbra fuse"):
        pass
    assert status.look().failures == ()


def test_an_unforeseen_error_keeps_its_words_to_itself(home: Path) -> None:
    with pytest.raises(KeyError), history.noted(home, "penumbra run"):
        raise KeyError("/data/John Doe/ct.dcm")
    assert status.look().failures[0].why.startswith("KeyError in test_status.py, line ")


def test_what_runs_and_what_was_killed(home: Path) -> None:
    """Started, and gone without a trace: while somebody holds the folder it runs, afterwards it was killed."""
    (home / history.LAST_RUN).write_text(json.dumps({"command": "penumbra run", "began": "2026-11-26T10:00:00+00:00", "pid": os.getpid()}))
    with (home / ".run-lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        found = status.look()
        assert found.running == status_data.Running("penumbra run", "2026-11-26T10:00:00+00:00", os.getpid())
        assert found.failures == ()
        assert "commits" in found.next
    found = status.look()
    assert found.running is None
    assert [each.why for each in found.failures] == ["It was killed; the same command resumes."]
    assert found.next == "penumbra run"


def decided(center: str, decision: str, reason: str) -> DecisionManifest:
    return DecisionManifest(center=center, key="k", decision=decision, reason=reason, champion=1, challenger=None, comparison=())


def test_a_set_aside_and_a_refused_center(home: Path) -> None:
    path = home / "manifests" / "ingest.json"
    ingested = json.loads(path.read_text())
    ingested["centers"]["south"]["refused"] = "no time column"
    path.write_text(json.dumps(ingested))
    manifests.write(home, decided("east", "set aside", "Killed 3 times."), "retrain-east")
    assert {each.what for each in status.look().failures} == {"center south", "penumbra retrain --center east"}


def test_a_check_is_remembered(home: Path) -> None:
    history.checked(home, ["store: a key is there twice"])
    found = status.look()
    assert found.checked is not None
    assert found.checked.bad == ("store: a key is there twice",)
    assert found.next == "penumbra doctor"


@pytest.mark.parametrize("damage", ["catalog", "rows", "manifest"])
def test_a_damaged_store_is_one_sentence_and_the_rest_is_shown(home: Path, damage: str) -> None:
    if damage == "catalog":
        (home / "store" / "catalog.sqlite").write_bytes(b"this is no database" * 100)
    elif damage == "rows":
        for file in (home / "store" / "files").rglob("*.parquet"):
            if "patients" in str(file) and "model" not in str(file):
                file.unlink()
    else:
        (home / "manifests" / "ingest.json").write_text("{")
    said = CliRunner().invoke(main, [])
    assert said.exit_code == 0
    assert said.output.count("Note: ") == 1
    assert "Traceback" not in said.output
    assert {each.center for each in status.look().centers} == {"north", "east", "south"}


@pytest.mark.parametrize("content", ["[]", '{"centers": []}', '{"centers": {"east": 3}}', '{"centers": {"east": {"rejected": 3, "accepted": []}}}', "\\x00"])
def test_a_manifest_of_another_shape_ends_nothing(home: Path, content: str) -> None:
    (home / "manifests" / "ingest.json").write_text(content)
    (home / history.LAST_RUN).write_text(content)
    (home / "mlflow").mkdir()
    (home / "mlflow" / "noted.json").write_text(content)
    assert status.look().champion is not None


def test_a_center_that_arrived_after_the_champion_has_to_be_decided(home: Path) -> None:
    with store.connect(home) as lake:
        lake.write({"centers": [{"center": "west", "arrived_at": datetime(2031, 1, 1)}]}, run="test", what="west arrived")
    path = home / "manifests" / "ingest.json"
    ingested = json.loads(path.read_text())
    ingested["centers"]["west"] = {"found": 0, "accepted": {}, "flagged": {}, "rejected": {}}
    path.write_text(json.dumps(ingested))
    assert [each.center for each in status.look().waiting] == ["west"]
    assert status.look().next == "penumbra retrain --center west"
    manifests.write(home, decided("west", "keep", "Kept."), "retrain-west")
    assert status.look().waiting == ()


def test_an_older_store_is_not_migrated(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.store import overview

    known = overview.migrations
    count = len(known(project_root() / "features" / "schema"))
    monkeypatch.setattr(overview, "migrations", lambda schema: [*known(schema), (count + 1, "next", "")])
    before = files(home)
    found = status.look()
    assert files(home) == before
    assert found.remarks == (f"The store has schema {count} of {count + 1}; the next command that opens it brings it up to date.",)
    assert found.champion is not None


def test_a_store_that_does_not_answer_is_not_waited_for(home: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from penumbra.store import overview

    answers = threading.Event()
    monkeypatch.setattr(overview, "overview", lambda _: answers.wait(20))
    monkeypatch.setattr(status, "FILE_S", 0.2)
    found = status.look()
    assert found.remarks == ("The store did not answer within 0.2 s.",)
    assert [each.patients for each in found.centers] == [36, 60, 24]
    answers.set()
    while status.is_waiting():
        time.sleep(0.01)


def test_a_store_that_does_not_answer_is_no_crash(home: Path) -> None:
    """The interpreter's end aborted the thread that still asked (SIGABRT)."""
    code = (
        "import time; from penumbra.commands import status; from penumbra.store import overview; status.FILE_S = 0.2;"
        "overview.overview = lambda _: time.sleep(60); from penumbra.cli import main; main(['status'])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=50)
    assert done.returncode == 0
    assert "The store did not answer within 0.2 s." in done.stdout


def test_a_look_imports_nothing_heavy(home: Path) -> None:
    code = f"import sys; from penumbra.commands.status import look; look(); print([name for name in {HEAVY} if name in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


def test_a_home_that_can_only_be_read(home: Path) -> None:
    """Nothing is left in it, and a check there is not an error."""
    for path in (home / "manifests", home / "store", home):
        path.chmod(0o555)
    try:
        history.checked(home, [])
        assert status.look().champion is not None
    finally:
        for path in (home, home / "store", home / "manifests"):
            path.chmod(0o755)
