"""A training that can be killed: what has happened so far, kept in one file."""

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import jax
import numpy as np

from penumbra.network import tensors
from penumbra.network.trained import Epoch


@dataclass(frozen=True)
class Progress:
    """A training after some epochs.

    Parameters
    ----------
    state
        Parameters, running statistics and optimizer (which holds the place in the schedule) after the last epoch.
    best
        The state after `best_epoch`, the one with the lowest validation loss; None before the first epoch.
    history
        One entry per epoch; the random keys follow from their number.
    """

    state: Any
    best: Any
    best_epoch: int
    history: tuple[Epoch, ...]

    def advanced(self, state: Any, epoch: Epoch) -> "Progress":
        """Return the training one epoch later."""
        best_so_far = self.history[self.best_epoch - 1].validation_loss if self.best_epoch else np.inf
        better = epoch.validation_loss < best_so_far or self.best is None
        return Progress(
            state=state,
            best=state if better else self.best,
            best_epoch=epoch.epoch if better else self.best_epoch,
            history=(*self.history, epoch),
        )


def store(path: Path, progress: Progress, *, identity: str) -> None:
    """Write the training to `path`, whole or not at all; it replaces the one before."""
    leaves = {f"state/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(progress.state))}
    leaves |= {f"best/{i:04d}": np.asarray(leaf) for i, leaf in enumerate(jax.tree.leaves(progress.best))}
    history = [asdict(epoch) for epoch in progress.history]
    path.parent.mkdir(parents=True, exist_ok=True)
    tensors.write(path, leaves, {"identity": identity, "best_epoch": str(progress.best_epoch), "history": json.dumps(history)})


def resume(path: Path, start: Progress, *, identity: str) -> Progress:
    """Return the training that `path` holds, or `start` when there is none, or one of other patients or settings.

    Parameters
    ----------
    start
        The training before its first epoch: it gives the structure of the state.
    identity
        What `store` was given; a file with another one is left alone until it is overwritten.
    """
    if not path.is_file():
        return start
    try:
        arrays, metadata = tensors.read(path)
    except ValueError:  # damaged: what it held is computed again
        return start
    if metadata.get("identity") != identity:
        return start
    leaves, structure = jax.tree.flatten(start.state)

    def tree(name: str) -> Any:
        return jax.tree.unflatten(structure, [jax.numpy.asarray(arrays[f"{name}/{i:04d}"]) for i in range(len(leaves))])

    history = tuple(Epoch(**entry) for entry in json.loads(metadata["history"]))
    return Progress(state=tree("state"), best=tree("best"), best_epoch=int(metadata["best_epoch"]), history=history)
