"""The networks of an ensemble trained at the same time: a process for each core, with one thread each, so that the weights are those of any number of cores."""

import contextlib
import fcntl
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from penumbra.base import workers
from penumbra.base.refusal import Refusal
from penumbra.network.compilation import compiler_settings, one_thread, take_over
from penumbra.network.settings import Learning
from penumbra.network.train import fit
from penumbra.network.trained import Epoch, Trained

PROCESS_BYTES = 1_000_000_000  # of a process that has JAX and a compiled training
BYTES_PER_VALUE = 2  # and a patient of a batch, of every value behind the stem at the input's size: 64 channels at 64^3 are 30 MB


@dataclass(frozen=True, eq=False)
class Member:
    """One training.

    Parameters
    ----------
    volumes, event, time, learning, start, checkpoint
        As `fit`.
    number
        Its place in the ensemble.
    """

    number: int
    volumes: np.ndarray
    event: np.ndarray
    time: np.ndarray
    learning: Learning
    start: Mapping[str, Any]
    checkpoint: Path | None

    def train(self, progress: Callable[[Epoch], None] | None) -> Trained:
        """Return the network of `fit`."""
        return fit(self.volumes, self.event, self.time, self.learning, start=self.start, checkpoint=self.checkpoint, progress=progress)


def train_all(members: Sequence[Member], *, progress: Callable[[int, Epoch], None] | None) -> list[Trained]:
    """Return the trained networks in their order.

    Parameters
    ----------
    members
        At least one.
    progress
        Called with the number of a member after each of its epochs; where members are trained at the same time, in their order and as soon as one is done.

    Raises
    ------
    Refusal
        As `fit`, or "worker_killed".
    """
    import jax

    processes = min(len(members), workers.available_cores())
    if processes == 1 or jax.default_backend() != "cpu":
        return [_train(member, None if progress is None else partial(progress, member.number)) for member in members]
    work = partial(_in_a_worker, settings=compiler_settings())
    done: dict[int, Trained] = {}
    shown = 0
    for member, trained in workers.over(work, members, processes, needs=_needs, room=workers.available_bytes()):
        if isinstance(trained, Refusal):
            raise trained if trained.rule != "worker_killed" else _killed(member, len(members), trained.advice)
        done[member.number] = trained
        while shown in done:
            for epoch in done[shown].history:
                if progress is not None:
                    progress(shown, epoch)
            shown += 1
    return [done[member.number] for member in members]


def _killed(member: Member, count: int, advice: str) -> Refusal:
    return Refusal("worker_killed", f"the process that trained network {member.number + 1} of {count} was killed twice, the second time alone", advice)


def _in_a_worker(member: Member, *, settings: Mapping[str, Any]) -> Trained:
    take_over(settings)
    one_thread()
    return _train(member, None)


def _train(member: Member, progress: Callable[[Epoch], None] | None) -> Trained:
    """Train, the first epoch alone in the folder of compiled programs, where there is one."""
    with contextlib.ExitStack() as first_epoch:
        if folder := compiler_settings()["jax_compilation_cache_dir"]:
            first_epoch.enter_context(alone_in(Path(folder)))

        def done(epoch: Epoch) -> None:
            first_epoch.close()
            if progress is not None:
                progress(epoch)

        return member.train(done)


@contextlib.contextmanager
def alone_in(folder: Path) -> Iterator[None]:
    """Hold the folder of compiled programs: one process compiles, and the next one reads what it left. Where nobody may write nothing is left, nor held."""
    with contextlib.ExitStack() as held:
        with contextlib.suppress(OSError):
            fcntl.flock(held.enter_context((folder / "compiling").open("wb")), fcntl.LOCK_EX)
        yield


def _needs(member: Member) -> int:
    net, batch = member.learning.network, member.learning.train.batch_size
    return PROCESS_BYTES + 2 * member.volumes.nbytes + BYTES_PER_VALUE * batch * net.stem_filters * net.input_size**3
