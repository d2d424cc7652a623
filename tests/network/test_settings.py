import subprocess
import sys
from dataclasses import replace
from typing import Any

import pytest

from penumbra.base.params import PROFILES
from penumbra.pipeline.settings import load_settings

from .conftest import PAPER_AUGMENT, SHORT, SMALL
from .test_se_resnet import PAPER


def test_profile_paper_is_the_protocol() -> None:
    settings = load_settings("paper")
    network, augment, train = settings.network, settings.augment, settings.train
    assert network == PAPER
    assert augment == PAPER_AUGMENT
    assert (train.learning_rate, train.decay_rate, train.decay_steps) == (1e-4, 0.96, 1000)
    assert (train.batch_size, train.epochs, train.patience) == (32, 100, 15)
    assert (train.weight_decay, train.average_from, settings.pretrain.epochs) == (0, 0, 0)
    assert (settings.ensemble.folds, settings.ensemble.seeds) == (0, 1)


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_builds(profile: str) -> None:
    settings = load_settings(profile)
    assert settings.network.input_size <= (64 if profile == "paper" else 48)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"input_size": 30}, "multiple of 4"),
        ({"norm": "layer"}, "norm is one of batch, group; found 'layer'"),
        ({"dropout": 1.0}, "dropout"),
        ({"filters": ()}, "filters"),
        ({"strides": (1,)}, "strides has one positive entry a block; found \\(1,\\)"),
        ({"kernel": 4}, "kernel is odd and positive; found 4"),
    ],
)
def test_an_impossible_network_is_refused(change: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(SMALL, **change)


def test_impossible_augmentation_and_training_are_refused() -> None:
    with pytest.raises(ValueError, match="gamma_range is a pair, low to high"):
        replace(PAPER_AUGMENT, gamma_range=(2.0, 0.5))
    with pytest.raises(ValueError, match="blur_probability"):
        replace(PAPER_AUGMENT, blur_probability=1.5)
    with pytest.raises(ValueError, match="patience"):
        replace(SHORT, patience=0)


ALONE = """
import sys
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"scipy", "SimpleITK", "pandas", "safetensors", "jaxtyping", "numba", "sklearn", "pydicom", "duckdb"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Absent())
import penumbra.network
assert "jax" not in sys.modules and "numpy" not in sys.modules
for name in penumbra.network.__all__:
    getattr(penumbra.network, name)
"""


@pytest.mark.slow
def test_the_room_imports_alone_and_loads_nothing_by_itself() -> None:
    done = subprocess.run([sys.executable, "-W", "error::DeprecationWarning:penumbra", "-c", ALONE], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
