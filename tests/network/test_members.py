"""An ensemble has the same weights however many cores train it, and however often it was killed."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np
import pytest

from penumbra.base.refusal import Refusal
from penumbra.network import EnsembleSettings, Learning, Pretrain, digest, embed, fit_ensemble, untrained
from penumbra.network.ensemble import load, save
from penumbra.network.se_resnet import initial_variables
from penumbra.network.tensors import read

from .conftest import NO_AUGMENT, SHORT, SMALL

pytestmark = [pytest.mark.slow, pytest.mark.numeric]

Cohort = tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]

EPOCHS = 12
# wide enough that XLA shares its sums among threads, where it has several
TRAINING = """
import os, sys
from dataclasses import replace
from pathlib import Path
tests, cores, folder, compiled = sys.argv[1:]
os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[: int(cores)])
sys.path.insert(0, tests)
from network.conftest import NO_AUGMENT, SHORT, SMALL, patients
from penumbra import network
wide = replace(SMALL, input_size=24, stem_filters=8, filters=(16,), strides=(1,))
train = replace(SHORT, batch_size=16, epochs=EPOCHS, patience=EPOCHS)
volumes, event, time, _ = patients(30, size=24, seed=5)
network.keep_compiled(Path(compiled), min_seconds=0.0)
trained = network.fit_ensemble(
    volumes, event, time, network.Learning(wide, NO_AUGMENT, train),
    pretrain=network.Pretrain(epochs=0, learning_rate=1e-3, batch_size=8, redundancy=0.005),
    ensemble=network.EnsembleSettings(folds=2, seeds=1), folder=Path(folder), progress=lambda member, epoch: print(member, epoch.epoch, flush=True),
)
log_risk, features = network.embed(trained, volumes)
print(network.digest(trained), log_risk.tobytes().hex(), features.tobytes().hex())
""".replace("EPOCHS", str(EPOCHS))


@contextmanager
def training(folder: Path, *, cores: int) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", TRAINING, str(Path(__file__).parents[1]), str(cores), str(folder / "unfinished"), str(folder.parent / "compiled")]
    process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env={**os.environ, "JAX_DISABLE_MOST_OPTIMIZATIONS": "1"}, start_new_session=True)
    try:
        yield process
    finally:
        process.kill()
        process.wait()
        if process.stdout:
            process.stdout.close()


def epochs_kept(folder: Path) -> dict[int, int]:
    """Member -> epochs in its checkpoint."""
    return {int(file.name.removeprefix("member-")): len(json.loads(read(file)[1]["history"])) for file in (folder / "unfinished").glob("member-*")}


def test_one_core_two_cores_and_a_kill_give_the_same_bits(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    with training(whole, cores=2) as process:
        *epochs, answer = process.communicate()[0].splitlines()
        assert process.returncode == 0
    everything = [f"{member} {epoch}" for member in (0, 1) for epoch in range(1, EPOCHS + 1)]
    assert epochs == everything, "in order, of members that train at the same time too"
    with training(cut, cores=2) as process:
        while not epochs_kept(cut):
            assert process.poll() is None
            time.sleep(0.01)
        os.kill(process.pid, signal.SIGKILL)
    while subprocess.run(["pgrep", "-g", str(process.pid)], stdout=subprocess.DEVNULL, check=False).returncode == 0:
        time.sleep(0.01)  # its workers end with it
    kept = epochs_kept(cut)
    with training(cut, cores=1) as process:
        *epochs, again = process.communicate()[0].splitlines()
    assert epochs == [line for line in everything if int(line.split()[1]) > kept.get(int(line.split()[0]), 0)], "nothing is trained twice"
    assert again == answer


def test_a_training_that_is_refused_in_a_worker_is_refused(cohort: Cohort, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("penumbra.base.workers.available_cores", lambda: 2)
    nothing = Pretrain(epochs=0, learning_rate=1e-3, batch_size=8, redundancy=0.005)
    with pytest.raises(Refusal, match="0 of 15 patients died"):
        fit_ensemble(
            cohort[0], np.zeros(30, bool), cohort[2], Learning(SMALL, NO_AUGMENT, SHORT), pretrain=nothing, ensemble=EnsembleSettings(folds=2, seeds=1)
        )


def test_an_untrained_network_has_the_weights_of_a_start(cohort: Cohort, tmp_path: Path) -> None:
    first, again, other = (untrained(SMALL, seed=seed) for seed in (3, 3, 4))
    assert digest(first) == digest(again) != digest(other)
    start = initial_variables(SMALL, seed=3)
    np.testing.assert_array_equal(first.members[0].variables["params"]["stem"]["kernel"], start["params"]["stem"]["kernel"])
    features = embed(first, cohort[0])[1]
    assert features.shape == (30, 8)
    assert (features.std(axis=0) > 0).all()
    save(first, tmp_path / "network.safetensors")
    np.testing.assert_array_equal(embed(load(tmp_path / "network.safetensors"), cohort[0])[1], features)
