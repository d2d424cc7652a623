"""A trained network: what it is, and what it says about volumes."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from penumbra.network.compilation import compiled
from penumbra.network.se_resnet import SEResNet3D
from penumbra.network.settings import Augment, Network, Train


@dataclass(frozen=True)
class Epoch:
    """What one epoch measured.

    Parameters
    ----------
    epoch
        Its number, from 1.
    train_loss, train_c
        Mean loss per event, L2 included, and Harrell's C of the training patients (augmented, with dropout).
    validation_loss, validation_c
        The same of the validation patients (not augmented, without dropout), without L2.
    """

    epoch: int
    train_loss: float
    train_c: float
    validation_loss: float
    validation_c: float


@dataclass(frozen=True)
class Trained:
    """Weights with all that made them.

    Parameters
    ----------
    variables
        Flax variables, {"params": ..., "batch_stats": ...}, float32 numpy arrays of the best epoch.
    network
        The architecture.
    augment
        Transforms of the training volumes.
    train
        How the weights are found.
    history
        One entry per epoch, the first is number 1.
    best_epoch
        The epoch whose weights these are.
    """

    variables: Mapping[str, Any]
    network: Network
    augment: Augment
    train: Train
    history: tuple[Epoch, ...]
    best_epoch: int

    @property
    def seed(self) -> int:
        """Of the training."""
        return self.train.seed


def embed(trained: Trained, volumes: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Return log_risk (n,) and the deep features (n, filters[-1]), float32, without dropout or augmentation.

    Parameters
    ----------
    volumes : shape (n, s, s, s)
        As `prepare` makes them.

    Raises
    ------
    ValueError
        "volumes must have shape (n, s, s, s) with s = ..., found ...".
    """
    size = trained.network.input_size
    check_volumes(volumes, size)
    batch = trained.train.batch_size  # one shape: compiled once, and a patient's numbers do not depend on who else is asked for
    log_risk, embedding = [], []
    for start in range(0, len(volumes), batch):
        rows = np.asarray(volumes[start : start + batch], np.float32)
        padded = np.concatenate([rows, np.zeros((batch - len(rows), size, size, size), np.float32)])
        risk, features = _infer(trained.variables, padded, network=trained.network)
        log_risk.append(np.asarray(risk)[: len(rows)])
        embedding.append(np.asarray(features)[: len(rows)])
    if not log_risk:
        return np.zeros(0, np.float32), np.zeros((0, trained.network.filters[-1]), np.float32)
    return np.concatenate(log_risk), np.concatenate(embedding)


@partial(compiled, static=("network",))
def _infer(variables: Mapping[str, Any], volumes: jax.Array | np.ndarray, *, network: Network) -> tuple[jax.Array, jax.Array]:
    log_risk, more = SEResNet3D(network).apply(variables, volumes, train=False)
    return log_risk, more["embedding"]


def check_volumes(volumes: np.ndarray, size: int) -> None:
    """Refuse an array that the network cannot take (see embed)."""
    if volumes.shape[1:] != (size, size, size):
        raise ValueError(f"volumes must have shape (n, s, s, s) with s = {size} (network.input_size); found {volumes.shape}")


def describe(trained: Trained) -> dict[str, Any]:
    """Return everything but the weights, as plain values."""
    return {
        "network": asdict(trained.network),
        "augment": asdict(trained.augment),
        "train": asdict(trained.train),
        "history": [asdict(entry) for entry in trained.history],
        "best_epoch": trained.best_epoch,
    }


def rebuild(variables: Mapping[str, Any], description: Mapping[str, Any]) -> Trained:
    """Return the network that `describe` described, with its weights."""
    return Trained(
        variables=variables,
        network=Network(**description["network"]),
        augment=Augment(**description["augment"]),
        train=Train(**description["train"]),
        history=tuple(Epoch(**entry) for entry in description["history"]),
        best_epoch=description["best_epoch"],
    )


def flatten(tree: Mapping[str, Any], prefix: str = "") -> dict[str, np.ndarray]:
    """Return nested mappings of arrays as one mapping, names joined by "/"."""
    flat: dict[str, np.ndarray] = {}
    for name, value in tree.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{name}/"))
        else:
            flat[f"{prefix}{name}"] = np.asarray(value)
    return flat


def unflatten(flat: Mapping[str, np.ndarray]) -> dict[str, Any]:
    """Return the nested mappings that `flatten` took apart."""
    tree: dict[str, Any] = {}
    for name, value in flat.items():
        *path, leaf = name.split("/")
        branch = tree
        for part in path:
            branch = branch.setdefault(part, {})
        branch[leaf] = value
    return tree
