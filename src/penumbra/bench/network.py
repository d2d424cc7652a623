"""Speed of the network beside the same network in PyTorch: `python -m penumbra.bench.network`.

Both are timed in turns in one process with two threads each, on the same machine in the same minute; the smallest time of each counts,
since other work on the machine only ever adds. PyTorch is a dependency of this benchmark alone (`--torch` names a site-packages folder
that holds it); without it the ratios are null, and the table says so. The last line is one JSON object.
"""

import argparse
import json
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from penumbra.network.se_resnet import initial_variables
from penumbra.network.settings import Augment, Network
from penumbra.network.step import Cohort, Recipe, forward, initial_state, train_step

PAPER = Network(
    input_size=64,
    kernel=3,
    stem_filters=64,
    stem_stride=2,
    filters=(64, 128, 256, 512),
    strides=(1, 2, 2, 2),
    units=2,
    se=True,
    se_reduction=64,
    head=(512, 512, 256, 128),
    dropout=0.4,
    l2=1e-4,
    masked_input=False,
    norm="batch",
    norm_momentum=0.9,
)
NEVER = Augment(0, (1, 1), 0, (1, 1), 0, (1, 1), 0, (0, 0), 0, (0, 0), 0, 0, (0, 0))
THREADS = 2


def ours(batch: int, *, narrow: bool) -> dict[str, Callable[[], Any]]:
    """Return what is timed of ours: a compiled training step without augmentation, as PyTorch's has none, and a forward pass."""
    recipe = Recipe(PAPER, NEVER, "efron", 1e-4, 0.96, 1000, 0.0, 0, narrow, None, augmented=False)
    state = initial_state(jax.tree.map(jnp.asarray, initial_variables(PAPER, seed=0)), recipe)
    generator = np.random.default_rng(0)
    volumes = jnp.asarray(generator.normal(size=(batch, 64, 64, 64)), jnp.float32)
    cohort = Cohort(volumes, jnp.arange(batch) % 3 > 0, jnp.asarray(generator.exponential(size=batch), jnp.float32))
    key = jax.random.key(0, impl="rbg")
    step = jax.jit(train_step, static_argnames="recipe")
    infer = jax.jit(forward, static_argnames="recipe")
    return {
        "train_step": lambda: jax.block_until_ready(step(state, cohort, jnp.ones(batch, bool), key=key, recipe=recipe)),
        "forward": lambda: jax.block_until_ready(infer(state, volumes, recipe=recipe)),
    }


def paired(runs: dict[str, Callable[[], Any]], *, seconds: float) -> dict[str, float]:
    """Return the smallest time of each in seconds, all run in turns until each had about `seconds`."""
    best = {}
    for name, run in runs.items():
        run()  # compiles
        run()
        best[name] = np.inf
    until = time.perf_counter() + seconds * len(runs)
    while time.perf_counter() < until:
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            best[name] = min(best[name], time.perf_counter() - start)
    return best


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.network", description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[8], help="batch sizes at 64^3, e.g. --batch 8 32")
    parser.add_argument("--seconds", type=float, default=10.0, help="time for each measurement")
    parser.add_argument("--torch", type=Path, help="site-packages folder that holds torch, when this environment does not")
    chosen = parser.parse_args()
    if chosen.torch:
        sys.path.append(str(chosen.torch))  # behind our own packages
    theirs: Callable[[int, Network, int], dict[str, Callable[[], Any]]] | None = None
    try:
        from penumbra.bench import network_torch

        theirs = network_torch.theirs
    except ModuleNotFoundError as error:
        print(f"PyTorch is absent ({error}); ratios are null. `make bench-network` installs it", file=sys.stderr)

    backend = jax.default_backend()
    print(f"3D-SE-ResNet, 64^3, float32, {backend}{'' if backend == 'gpu' else f', {THREADS} threads (no GPU was measured)'}")
    print(f"{'':12s}{'batch':>6s}{'penumbra':>12s}{'PyTorch':>12s}{'ratio':>8s}{'patients/s':>12s}")
    figures: dict[str, float | str | None] = {"backend": backend}
    for batch in chosen.batch:
        mine = ours(batch, narrow=False)
        other = theirs(batch, PAPER, THREADS) if theirs is not None else {}
        for what in ("train_step", "forward"):
            runs = {"penumbra": mine[what]} | ({"torch": other[what]} if other else {})
            best = paired(runs, seconds=chosen.seconds)
            ratio = best["penumbra"] / best["torch"] if other else None
            cells = [f"{best['torch']:10.3f} s", f"{ratio:8.2f}"] if ratio is not None else [f"{'absent':>12s}", f"{'':8s}"]
            print(f"{what:12s}{batch:6d}{best['penumbra']:10.3f} s{cells[0]}{cells[1]}{batch / best['penumbra']:12.1f}")
            suffix = "" if batch == chosen.batch[0] else f"_batch{batch}"
            figures[f"{what}_ratio{suffix}"] = None if ratio is None else round(ratio, 3)
            figures[f"{what}_seconds{suffix}"] = round(best["penumbra"], 4)
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
