"""Speed of the network compared with the same network in PyTorch: `python -m penumbra.bench.network`.

Both are timed in turns in one process, on the same machine in the same minute, with two threads each on a CPU; the smallest time of each
counts, since other work on the machine only ever adds. Steps are taken one after the other, as in a training; PyTorch runs as it comes, with channels
last, and compiled where there is a C++ compiler. A GPU is measured when there is one: bfloat16 is checked against float32 first, then both are
timed; then the share of the card's peak, and whole trainings of profile paper, without and with kept programs. PyTorch is a dependency of this
benchmark alone (`--torch` names a site-packages folder that holds it); without it the ratios are null, and the table says so. The last line is one
JSON object.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from penumbra.base.params import build, project_root, read_yaml, resolve
from penumbra.network import Augment, Learning, Network, Train, fit, keep_compiled
from penumbra.network.compilation import compiled
from penumbra.network.se_resnet import initial_variables
from penumbra.network.settings import NO_AUGMENT
from penumbra.network.step import Cohort, Recipe, State, cox_loss, forward, initial_state, model, train_step

THREADS = 2
PATIENTS = 203  # of the paper's training center
REPEAT = {"gpu": 10, "cpu": 3}  # steps one after the other, as in a training, before the device is waited for
PEAK_FLOPS = {"H100": (494e12, 989e12), "H200": (494e12, 989e12), "A100": (156e12, 312e12)}  # dense, TF32 and bfloat16, by the makers' data sheets

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


def recipe_without_augmentation(network: Network, *, narrow: bool) -> Recipe:
    """Return a training step as PyTorch's, which has no augmentation."""
    return Recipe(network, NO_AUGMENT, "efron", 1e-4, 0.96, 1000, 0.0, 0, narrow, None, augmented=False)


def invented(batch: int, network: Network) -> Cohort:
    """Return a batch of noise with outcomes."""
    generator = np.random.default_rng(0)
    volumes = jnp.asarray(generator.normal(size=(batch, *(network.input_size,) * 3)), jnp.float32)
    return Cohort(volumes, jnp.arange(batch) % 3 > 0, jnp.asarray(generator.exponential(size=batch), jnp.float32))


def ours(batch: int, network: Network, *, narrow: bool, repeat: int = 1) -> Runs:
    """Return what is timed of ours: training steps one after the other, compiled as one call as in a training, and as many forward passes."""
    recipe = recipe_without_augmentation(network, narrow=narrow)
    state = initial_state(jax.tree.map(jnp.asarray, initial_variables(network, seed=0)), recipe)
    cohort = invented(batch, network)
    key = jax.random.key(0, impl="rbg")

    def steps(state: State, cohort: Cohort, where: jax.Array, key: jax.Array) -> State:
        def one(state: State, key: jax.Array) -> tuple[State, None]:
            return train_step(state, cohort, where, key=key, recipe=recipe)[0], None

        return jax.lax.scan(one, state, jax.random.split(key, repeat))[0] if repeat > 1 else one(state, key)[0]

    train = compiled(steps, static=())
    infer = compiled(forward, static=("recipe",))
    return {
        "train_step": lambda: jax.block_until_ready(train(state, cohort, jnp.ones(batch, bool), key)),
        "forward": lambda: jax.block_until_ready([infer(state, cohort.volumes, recipe=recipe) for _ in range(repeat)]),
    }


def agreement(batch: int, network: Network) -> dict[str, float]:
    """Return how far log risks and gradients of a training step are from those of float32 without TF32: norm of the difference over norm.

    "float32" is what a training in float32 computes: on a GPU its products are TF32. Dropout is off, since its draws would decide.
    """
    cohort, variables = invented(batch, network), jax.tree.map(jnp.asarray, initial_variables(network, seed=0))

    def computed(*, narrow: bool, precision: str) -> tuple[jax.Array, Any]:
        recipe = recipe_without_augmentation(replace(network, dropout=0.0), narrow=narrow)

        def loss_of(params: Any) -> tuple[jax.Array, jax.Array]:
            weights = {**variables, "params": params}
            (log_risk, _), _ = model(recipe).apply(weights, cohort.volumes, train=True, mutable=["batch_stats"])
            return cox_loss(log_risk, cohort.time, cohort.event, ties="efron", where=None), log_risk

        with jax.default_matmul_precision(precision):
            (_, log_risk), gradient = compiled(jax.value_and_grad(loss_of, has_aux=True), static=())(variables["params"])
        return log_risk, gradient

    exact = computed(narrow=False, precision="highest")
    figures = {}
    for name, narrow in (("float32", False), ("bfloat16", True)):
        for what, value, reference in zip(("risk", "gradient"), computed(narrow=narrow, precision="default"), exact, strict=True):
            figures[f"{what}_error_{name}"] = _distance(value, reference)
    return figures


def _distance(value: Any, reference: Any) -> float:
    one, other = (np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(jax.device_get(tree))]) for tree in (value, reference))
    return float(np.linalg.norm(one - other) / np.linalg.norm(other))


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


def whole_training() -> None:
    """Train profile paper: all epochs, augmentation on, on invented volumes."""
    network, augment, train = paper()
    generator = np.random.default_rng(0)
    volumes = generator.normal(size=(PATIENTS, *(network.input_size,) * 3)).astype(np.float32)
    event, days = generator.random(PATIENTS) < 0.7, generator.exponential(700, PATIENTS)
    trained = fit(volumes, event, days, Learning(network, augment, replace(train, patience=train.epochs)))
    assert len(trained.history) == train.epochs


def whole_process(folder: str) -> float:
    """Return the seconds of a process that trains once, from its start to its end, with compiled programs kept in a folder."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-m", "penumbra.bench.network", "--whole-training", folder], check=True)
    return time.perf_counter() - start


def timed(batch: int, network: Network, *, narrow: bool, seconds: float) -> tuple[dict[str, float | None], list[str]]:
    """Return the figures of one batch size and precision, and the lines of the table."""
    gpu = jax.default_backend() == "gpu"
    repeat = REPEAT["gpu" if gpu else "cpu"]
    runs = {"penumbra": ours(batch, network, narrow=narrow, repeat=repeat)}
    try:
        from penumbra.bench import network_torch

        runs |= {
            name: network_torch.theirs(batch, network, THREADS, repeat=repeat, **how) for name, how in network_torch.variants(gpu=gpu, narrow=narrow).items()
        }
    except ModuleNotFoundError as error:
        print(f"PyTorch is absent ({error}); ratios are null. `make bench-network` installs it", file=sys.stderr)
    figures: dict[str, float | None] = {}
    lines = []
    for what in ("train_step", "forward"):
        best = {name: seconds_each / repeat for name, seconds_each in paired({name: each[what] for name, each in runs.items()}, seconds=seconds).items()}
        rivals = {name: value for name, value in best.items() if name != "penumbra"}
        fastest = min(rivals, key=rivals.__getitem__) if rivals else None
        ratio = best["penumbra"] / rivals[fastest] if fastest else None
        words = f"{rivals[fastest]:10.5f} s{ratio:8.2f}  {fastest}" if fastest else f"{'absent':>12s}"
        lines.append(f"{what:12s}{'bfloat16' if narrow else 'float32':>10s}{batch:6d}{best['penumbra']:10.5f} s{words}{batch / best['penumbra']:12.1f}")
        figures |= {f"{what}_ratio": None if ratio is None else round(ratio, 3), f"{what}_seconds": round(best["penumbra"], 6)}
    peaks = next((peaks for name, peaks in PEAK_FLOPS.items() if name in jax.devices()[0].device_kind), None)
    if gpu and peaks and figures["train_step_seconds"]:
        figures["share_of_peak"] = round(step_flops(batch, network) / figures["train_step_seconds"] / peaks[narrow], 3)
    return figures, lines


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.network", description=__doc__.splitlines()[0])
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32], help="batch sizes at 64^3, e.g. --batch 8 32")
    parser.add_argument("--seconds", type=float, default=20.0, help="time for each measurement")
    parser.add_argument("--torch", type=Path, help="site-packages folder that holds torch, when this environment does not")
    parser.add_argument("--memory-of", choices=("penumbra", "torch"), help=argparse.SUPPRESS)
    parser.add_argument("--whole-training", help=argparse.SUPPRESS)
    options = parser.parse_args()
    os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")  # the card's memory is shared with PyTorch and with the processes below
    if options.torch:
        sys.path.append(str(options.torch))  # behind our own packages
    if options.whole_training:
        keep_compiled(Path(options.whole_training), min_seconds=0.5)
        whole_training()
        return
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
    if gpu:
        figures |= agreement(min(options.batch), network)
        print(", ".join(f"{name.replace('_', ' ')} {value:.1e}" for name, value in figures.items() if "error" in name))
    for narrow in (False, True) if gpu else (False,):
        for batch in options.batch:
            measured, lines = timed(batch, network, narrow=narrow, seconds=options.seconds)
            print("\n".join(lines), flush=True)
            suffix = ("" if batch == options.batch[0] else f"_batch{batch}") + ("_bfloat16" if narrow else "")
            figures |= {f"{name}{suffix}": value for name, value in measured.items()}
    if gpu:
        with tempfile.TemporaryDirectory() as folder:
            figures |= {f"whole_training_seconds_{name}": round(whole_process(folder), 1) for name in ("cold", "warm")}
        took = f"{figures['whole_training_seconds_cold']} s, with kept programs {figures['whole_training_seconds_warm']} s"
        print(f"a process that trains profile paper, {PATIENTS} patients, all epochs, augmentation on: {took}")
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
