"""No test writes to the database or the object storage of the person who runs it, or depends on the width of a terminal; a hang-up reaches what the tests
start, also under nohup."""

import fcntl
import os
import signal
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

for name in ("PENUMBRA_CATALOG", "PENUMBRA_FILES"):
    os.environ.pop(name, None)

signal.signal(signal.SIGHUP, signal.SIG_DFL)


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


@pytest.fixture(scope="session")
def empty_registry(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with MLflow's empty database, to be copied: its migrations take seconds. The first worker that needs it makes it for all."""
    from penumbra.registry.database import client, quiet_mlflow

    folder = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        folder = folder.parent
    home = folder / "empty_registry"
    with (folder / "empty_registry.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not home.exists():
            (home / "mlflow").mkdir(parents=True)
            with quiet_mlflow():
                client(home)
    return home
