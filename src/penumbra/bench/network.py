"""Speed of the network compared with the same network in PyTorch: `python -m penumbra.bench.network`.

Both are timed in turns in one process, on the same machine in the same minute, with two threads each on a CPU; the smallest time of each
counts, since other work on the machine only ever adds. A GPU is measured when there is one: float32 and bfloat16, PyTorch with channels last
and compiled, the share of the card's peak, and a whole training of profile paper. PyTorch is a dependency of this benchmark alone (`--torch`
names a site-packages folder that holds it); without it the ratios are null, and the table says so. The last line is one JSON object.
"""

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from penumbra.base.params import build, project_root, read_yaml, resolve
from penumbra.network import Augment, Learning, Network, Train, fit
from penumbra.network.se_resnet import initial_variables
from penumbra.network.step import Cohort, Recipe, forward, initial_state, train_step

NEVER = Augment(0, (1, 1), 0, (1, 1), 0, (1, 1), 0, (0, 0), 0, (0, 0), 0, 0, (0, 0))
THREADS = 2
PATIENTS = 203  # of the paper's training center
PEAK_FLOPS = {"H100": 989e12, "H200": 989e12, "A100": 312e12}  # dense bfloat16, by the makers' data sheets

Runs = dict[str, Callable[[], Any]]


def paper() -> tuple[Network, Augment, Train]:
    """Return profile paper; not by penumbra.pipeline.settings, whose imports need packages that a GPU host may lack."""
    declared = resolve(read_yaml(project_root() / "params.yaml"), "paper")
    architecture = resolve(read_yaml(project_root() / "models" / "se_resnet.yaml"), "paper")["network"]
    return (
        build(Network, {**architecture, **declared["network"]}, "network"),
        build(Augment, declared["augment"], "augment"),
        build(Train, declared["train"], "train"),
    )


def ours(batch: int, network: Network, *, narrow: bool) -> Runs:
    """Return what is timed of ours: a compiled training step without augmentation, as PyTorch's has none, and a forward pass."""
    recipe = Recipe(network, NEVER, "efron", 1e-4, 0.96, 1000, 0.0, 0, narrow, None, augmented=False)
    state = initial_state(jax.tree.map(jnp.asarray, initial_variables(network, seed=0)), recipe)
    generator = np.random.default_rng(0)
    volumes = jnp.asarray(generator.normal(size=(batch, *(network.input_size,) * 3)), jnp.float32)
    cohort = Cohort(volumes, jnp.arange(batch) % 3 > 0, jnp.asarray(generator.exponential(size=batch), jnp.float32))
    key = jax.random.key(0, impl="rbg")
    step = jax.jit(train_step, static_argnames="recipe")
    infer = jax.jit(forward, static_argnames="recipe")
    return {
        "train_step": lambda: jax.block_until_ready(step(state, cohort, jnp.ones(batch, bool), key=key, recipe=recipe)),
        "forward": lambda: jax.block_until_ready(infer(state, volumes, recipe=recipe)),
    }


def step_flops(batch: int, network: Network) -> float:
    """Return the floating-point operations of a training step: two for each multiplication of a convolution, and twice that for its gradients."""
    edge, channels = network.input_size // network.stem_stride, 1
    operations = edge**3 * network.kernel**3 * network.stem_filters
    edge, channels = edge // network.stem_stride, network.stem_filters
    for filters, stride in zip(network.filters, network.strides, strict=True):
        edge = -(-edge // stride)
        units = channels + (network.units - 1) * filters
        operations += edge**3 * (network.kernel**3 * units * filters + (channels * filters if stride != 1 or channels != filters else 0))
        channels = filters
    return 3.0 * 2.0 * batch * operations


def paired(runs: Runs, *, seconds: float) -> dict[str, float]:
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


def peak_gb(engine: str, batch: int, torch: Path | None) -> float | None:
    """Return the peak memory of a process that takes two training steps; None when the engine is absent."""
    command = [sys.executable, "-m", "penumbra.bench.network", "--memory-of", engine, "--batch", str(batch)]
    process = subprocess.run([*command, *(["--torch", str(torch)] if torch else [])], capture_output=True, text=True, check=False)
    return float(process.stdout) if process.returncode == 0 else None


def whole_training() -> float:
    """Return the seconds of a training of profile paper, compilation included: all epochs, augmentation on, on invented volumes."""
    network, augment, train = paper()
    generator = np.random.default_rng(0)
    volumes = generator.normal(size=(PATIENTS, *(network.input_size,) * 3)).astype(np.float32)
    event, days = generator.random(PATIENTS) < 0.7, generator.exponential(700, PATIENTS)
    start = time.perf_counter()
    trained = fit(volumes, event, days, Learning(network, augment, replace(train, patience=train.epochs)))
    assert len(trained.history) == train.epochs
    return time.perf_counter() - start


def timed(batch: int, network: Network, *, narrow: bool, seconds: float) -> tuple[dict[str, float | None], list[str]]:
    """Return the figures of one batch size and precision, and the lines of the table."""
    gpu = jax.default_backend() == "gpu"
    runs = {"penumbra": ours(batch, network, narrow=narrow)}
    try:
        from penumbra.bench import network_torch

        runs |= {name: network_torch.theirs(batch, network, THREADS, **how) for name, how in network_torch.variants(gpu=gpu, narrow=narrow).items()}
    except ModuleNotFoundError as error:
        print(f"PyTorch is absent ({error}); ratios are null. `make bench-network` installs it", file=sys.stderr)
    figures: dict[str, float | None] = {}
    lines = []
    for what in ("train_step", "forward"):
        best = paired({name: each[what] for name, each in runs.items()}, seconds=seconds)
        rivals = {name: value for name, value in best.items() if name != "penumbra"}
        fastest = min(rivals, key=rivals.__getitem__) if rivals else None
        ratio = best["penumbra"] / rivals[fastest] if fastest else None
        words = f"{rivals[fastest]:10.4f} s{ratio:8.2f}  {fastest}" if fastest else f"{'absent':>12s}"
        lines.append(f"{what:12s}{'bfloat16' if narrow else 'float32':>10s}{batch:6d}{best['penumbra']:10.4f} s{words}{batch / best['penumbra']:12.1f}")
        figures |= {f"{what}_ratio": None if ratio is None else round(ratio, 3), f"{what}_seconds": round(best["penumbra"], 4)}
    card = next((peak for name, peak in PEAK_FLOPS.items() if name in jax.devices()[0].device_kind), None)
    if gpu and narrow and card and figures["train_step_seconds"]:
        figures["share_of_peak"] = round(step_flops(batch, network) / figures["train_step_seconds"] / card, 3)
    return figures, lines


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.network", description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32], help="batch sizes at 64^3, e.g. --batch 8 32")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each measurement")
    parser.add_argument("--torch", type=Path, help="site-packages folder that holds torch, when this environment does not")
    parser.add_argument("--memory-of", choices=("penumbra", "torch"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.torch:
        sys.path.append(str(options.torch))  # behind our own packages
    network, _, _ = paper()
    if options.memory_of:
        _two_steps(options.memory_of, options.batch[0], network)
        # not ru_maxrss: a child inherits its parent's
        print(next(int(line.split()[1]) for line in Path("/proc/self/status").read_text().splitlines() if line.startswith("VmHWM")) / 2**20)
        return

    backend = jax.default_backend()
    gpu = backend == "gpu"
    print(f"3D-SE-ResNet, 64^3, {jax.devices()[0].device_kind if gpu else f'{backend}, {THREADS} threads (no GPU was measured)'}")
    print(f"{'':12s}{'':>10s}{'batch':>6s}{'penumbra':>12s}{'PyTorch':>12s}{'ratio':>8s}{'patients/s':>12s}")
    figures: dict[str, Any] = {"backend": backend}
    for narrow in (False, True) if gpu else (False,):
        for batch in options.batch:
            measured, lines = timed(batch, network, narrow=narrow, seconds=options.seconds)
            print("\n".join(lines), flush=True)
            suffix = ("" if batch == options.batch[0] else f"_batch{batch}") + ("_bfloat16" if narrow else "")
            figures |= {f"{name}{suffix}": value for name, value in measured.items()}
    if gpu:
        figures["whole_training_seconds"] = round(whole_training(), 1)
        print(f"a training of profile paper, {PATIENTS} patients, all epochs, augmentation on: {figures['whole_training_seconds']} s")
    else:
        for batch in options.batch:
            peaks = {engine: peak_gb(engine, batch, options.torch) for engine in ("penumbra", "torch")}
            print(f"peak memory, batch {batch}: " + ", ".join(f"{engine} {'absent' if peak is None else f'{peak:.2f} GB'}" for engine, peak in peaks.items()))
            figures |= {f"{engine}_peak_gb_batch{batch}": peak and round(peak, 2) for engine, peak in peaks.items()}
    print(json.dumps(figures))


def _two_steps(engine: str, batch: int, network: Network) -> None:
    if engine == "penumbra":
        run = ours(batch, network, narrow=False)["train_step"]
    else:
        from penumbra.bench import network_torch

        run = network_torch.theirs(batch, network, THREADS)["train_step"]
    run()
    run()


if __name__ == "__main__":
    main()
