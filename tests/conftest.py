"""No test writes to the database or the object storage of the person who runs it, or depends on the width of a terminal; a hang-up reaches what the tests
start, also under nohup."""

import atexit
import fcntl
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penumbra.pipeline.networks import FOLDER

for name in ("PENUMBRA_CATALOG", "PENUMBRA_FILES"):
    os.environ.pop(name, None)

signal.signal(signal.SIGHUP, signal.SIG_DFL)

# Groups in the order in which they begin: "run" makes the finished run that tests/end_to_end examines, and these others last about as long as that.
FIRST = ("run", "kill", "tests/console/test_actions.py", "everybody")


def pytest_configure() -> None:
    """Networks of all tests are compiled once, for all workers and what they start: the same programs cost half a minute of processor in each home.

    In test-numeric every run has processors of its own, and compiles for them.
    """
    if not {"PYTEST_XDIST_WORKER", "PENUMBRA_TEST_NUMERIC", FOLDER} & os.environ.keys():
        folder = tempfile.mkdtemp(prefix="penumbra-compiled-")
        os.environ[FOLDER] = folder
        atexit.register(shutil.rmtree, folder, ignore_errors=True)


@pytest.fixture(autouse=True)
def _as_wide_as_a_file(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tables have the width of a file, whatever terminal `make test` runs in and whatever a test before left in the environment."""
    monkeypatch.setenv("COLUMNS", "120")


@pytest.fixture(autouse=True)
def _no_registry_of_another_test() -> Iterator[None]:
    """MLflow puts the registry that a test names into the environment, and there it stays: later tests, and their processes, asked another home."""
    yield
    if (mlflow := sys.modules.get("mlflow")) is not None and os.environ.pop("MLFLOW_REGISTRY_URI", None) is not None:
        mlflow.set_registry_uri("")


def pytest_itemcollected(item: pytest.Item) -> None:
    """The tests of one file go to one worker: what they share is made once, not once in each worker."""
    if item.get_closest_marker("xdist_group") is None:
        item.add_marker(pytest.mark.xdist_group(item.nodeid.partition("::")[0]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Groups that take long begin first, so that the workers end together."""
    slow = {group(item) for item in items if item.get_closest_marker("slow") is not None}

    def place(item: pytest.Item) -> tuple[int, bool]:
        name = group(item)
        if name in FIRST:
            return FIRST.index(name), True
        return len(FIRST) + (not name.startswith("tests/end_to_end/")), name not in slow

    items.sort(key=place)


def group(item: pytest.Item) -> str:
    """Of tests that run one after another in the same worker."""
    mark = item.get_closest_marker("xdist_group")
    assert mark is not None
    return str(mark.args[0])


@contextmanager
def once(tmp_path_factory: pytest.TempPathFactory, name: str) -> Iterator[tuple[Path, bool]]:
    """A folder of that name, the same in every worker, and whether it is there already: the first that enters makes it, and the others wait."""
    base = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        base = base.parent
    with (base / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        done = base / f"{name}.done"
        yield base / name, done.exists()
        done.touch()


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with MLflow's empty database, to be copied: its migrations take seconds."""
    from penumbra.registry.database import client, quiet_mlflow

    with once(tmp_path_factory, "empty_registry") as (home, made):
        if not made:
            (home / "mlflow").mkdir(parents=True)
            with quiet_mlflow():
                client(home)
    return home


@pytest.fixture(scope="session")
def example(tmp_path_factory: pytest.TempPathFactory, empty_registry: Path) -> Path:
    """The home of `tests/example_home.py`, to be copied by its `copied`."""
    from tests import example_home

    with once(tmp_path_factory, "example") as (folder, made):
        if not made:
            shutil.copytree(empty_registry, folder / "home")
            example_home.make(folder / "home")
    return folder / "home"
