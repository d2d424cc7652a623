"""`penumbra mlflow`: MLflow's own pages over the registry of a state folder."""

import os
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from penumbra.base.params import state_home
from penumbra.base.refusal import Refusal
from penumbra.registry import remote, tracking_uri
from penumbra.store.serving import free_port

PORT = 5000  # MLflow's own
HOST = "127.0.0.1"  # MLflow asks nobody who they are


@dataclass(frozen=True)
class Service:
    """Where MLflow's pages are; `command` starts them, and is empty where a server shows them already."""

    address: str
    command: tuple[str, ...] = ()


def prepare(home: Path | None = None, port: int | None = None) -> Service:
    """The server of a state folder, on a port that is free.

    Raises
    ------
    Refusal
        "serving_address" where nothing can listen; "model_registered" where there is no registry yet.
    """
    home = state_home() if home is None else home
    server = remote.server()
    if server:
        return Service(server)
    uri = tracking_uri(home)
    if not Path(uri.removeprefix("sqlite:///")).is_file():
        raise Refusal("model_registered", "this state folder has no registry yet", "run `penumbra run` or `penumbra register` first")
    chosen = free_port(HOST, PORT if port is None else port)
    artifacts = (home / "mlflow" / "artifacts").resolve().as_uri()
    options = (
        "--backend-store-uri",
        uri,
        "--default-artifact-root",
        artifacts,
        "--no-serve-artifacts",
        "--host",
        HOST,
        "--port",
        str(chosen),
        "--workers",
        "1",
    )
    return Service(f"http://{HOST}:{chosen}", (sys.executable, "-m", "mlflow", "server", *options))


def serve(service: Service) -> int:
    """Show the pages until it is stopped; the exit status of MLflow."""
    environment = {**os.environ, "MLFLOW_DISABLE_TELEMETRY": "true", "MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"}
    environment.setdefault("MLFLOW_LOGGING_LEVEL", "WARNING")
    return subprocess.run(service.command, env=environment, stdin=subprocess.DEVNULL).returncode
