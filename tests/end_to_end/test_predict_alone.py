"""What `penumbra predict` of one patient loads and compiles: only what its version needs, and nothing that was compiled before in this state folder."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from penumbra.pipeline.networks import FOLDER
from tests.end_to_end.conftest import Run, environment

pytestmark = [pytest.mark.slow, pytest.mark.numeric]  # it embeds with a network

PREDICT = """
import sys
from pathlib import Path
from penumbra.commands.predict import predict
print(predict(Path(sys.argv[1]), Path(sys.argv[2])).log_risk)
print(*sorted({name for name in sys.modules if name.count(".") < 2}))
"""
NETWORK = """
import json, sys
from pathlib import Path
import jax
import numpy as np
from penumbra import network
from penumbra.pipeline import networks
events = []
jax.monitoring.register_event_listener(lambda event, **_: events.append(event.rpartition("/")[2]))
home = Path(sys.argv[1])
trained = networks.load(home, next((home / "networks").glob("*/network.safetensors")))
size = trained.network.input_size
network.embed(trained, np.zeros((1, size, size, size), np.float32))
print(json.dumps([events.count("cache_hits"), sorted(path.name for path in (home / "networks" / "compiled").glob("*infer*-cache"))]))
"""


def python(home: Path, program: str, *arguments: str) -> str:
    done = subprocess.run([sys.executable, "-c", program, str(home), *arguments], env={**environment(home), FOLDER: ""}, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


def test_a_version_without_deep_features_loads_no_network_and_no_statistics(run: Run) -> None:
    """Imports were a third of the 2.5 s of processor time of a patient: scipy.stats alone 0.7 s, for a function that predict never calls."""
    log_risk, names = python(run.home, PREDICT, str(run.cohort / "east" / "E001")).splitlines()
    assert json.loads(log_risk) < 0
    loaded = set(names.split())
    assert "numba" in loaded
    assert loaded.isdisjoint({"jax", "flax", "optax", "mlflow", "prefect", "sklearn", "pandas", "scipy.stats", "scipy.optimize", "matplotlib"})


def test_the_network_is_compiled_once_in_a_state_folder(run: Run, tmp_path: Path) -> None:
    """Each `predict` of a version with deep features compiled the network again, 3 s of processor time; and every command did in a home that was moved."""
    _, programs = json.loads(python(run.home, NETWORK))
    moved = tmp_path / "moved"
    shutil.copytree(run.home / "networks", moved / "networks")
    hits, again = json.loads(python(moved, NETWORK))
    assert hits >= 1
    assert programs
    assert again == programs
