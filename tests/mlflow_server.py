"""MLflow's own server on a home's database, in this process: what PENUMBRA_MLFLOW names."""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from penumbra.registry import tracking_uri
from penumbra.registry.database import quiet_mlflow


@contextmanager
def serving(home: Path) -> Iterator[str]:
    """Its address, which penumbra uses meanwhile."""
    uri = tracking_uri(home)
    with pytest.MonkeyPatch.context() as patched, quiet_mlflow():
        for name in ("_MLFLOW_SERVER_FILE_STORE", "_MLFLOW_SERVER_REGISTRY_STORE"):
            patched.setenv(name, uri)
        patched.setenv("_MLFLOW_SERVER_ARTIFACT_ROOT", str(home / "mlflow" / "artifacts"))
        from mlflow.server import app, handlers
        from werkzeug.serving import make_server

        for name in ("_tracking_store", "_model_registry_store"):
            patched.setattr(handlers, name, None)
        logging.getLogger("werkzeug").setLevel(logging.ERROR)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        address = f"http://127.0.0.1:{server.server_port}"
        patched.setitem(os.environ, "PENUMBRA_MLFLOW", address)
        try:
            yield address
        finally:
            server.shutdown()
            thread.join()
            server.server_close()
