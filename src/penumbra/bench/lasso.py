"""The Lasso-Cox path beside scikit-survival's, on 20 shapes from 60 x 60 to 2000 x 5000: `python -m penumbra.bench.lasso [--shapes 60x60,300x1316]`.

The same simulated patients, columns as correlated as radiomics, and the same 100 penalties, fewer where scikit-survival ends its path early. Both
solvers run in turn in one process, each with its defaults; the figure is processor time, the lowest of the runs. How exact an answer is shows in
its optimality: the largest violation over all penalties and columns, as a share of the penalty. The last line is one JSON object.
"""

import argparse
import json
import time as clock
import warnings
from collections.abc import Callable

import numpy as np

from penumbra.survival.lasso_path import LassoPath, gradient_at
from penumbra.survival.selection import TOLERANCE, default_lambdas

PATIENTS, COLUMNS = (60, 150, 300, 800, 2000), (60, 300, 1316, 5000)


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.lasso", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--shapes", default=",".join(f"{n}x{p}" for n in PATIENTS for p in COLUMNS), help="patients x columns, with commas; default: all 20")
    parser.add_argument("--seconds", type=float, default=4.0, help="each shape is repeated for about this long, at least twice (default 4)")
    options = parser.parse_args()
    small = simulated(60, 20)
    ours(*small, default_lambdas(*small))  # compiles
    print("| patients x columns | penalties | kept at the last | ours, s | scikit-survival, s | ratio | violation, ours | scikit-survival |")
    print("|---|---:|---:|---:|---:|---:|---:|---:|")
    figures: dict[str, float] = {}
    for shape in options.shapes.split(","):
        n, p = map(int, shape.split("x"))
        figures |= _row(shape, *simulated(n, p), options.seconds)
    print(json.dumps(figures))


def simulated(n: int, p: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Event (n,), time (n,) and z-scored columns (n, p) that eight hidden causes drive, of which the first also drives death."""
    random = np.random.default_rng(0)
    causes = random.normal(size=(n, 8))
    X = causes @ random.normal(size=(8, p)) + 2 * random.normal(size=(n, p))
    death, censoring = random.exponential(700 * np.exp(-0.6 * causes[:, 0])), random.exponential(1500, n)
    return death <= censoring, np.ceil(np.minimum(death, censoring)), (X - X.mean(axis=0)) / X.std(axis=0)


def ours(event: np.ndarray, time: np.ndarray, X: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
    """The coefficients (p, k) along the path."""
    path = LassoPath(event, time, X, TOLERANCE)
    return np.stack([path.step(float(penalty)) for penalty in lambdas], axis=1)


def theirs(event: np.ndarray, time: np.ndarray, X: np.ndarray, lambdas: np.ndarray) -> np.ndarray:
    """The same by scikit-survival; fewer penalties where it ends early."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis
    from sksurv.util import Surv

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        coefficients: np.ndarray = CoxnetSurvivalAnalysis(l1_ratio=1.0, alphas=lambdas).fit(X, Surv.from_arrays(event, time)).coef_
    return coefficients


def violation(event: np.ndarray, time: np.ndarray, X: np.ndarray, lambdas: np.ndarray, path: np.ndarray) -> float:
    """The largest distance of a slope from where the minimum has it, as a share of the penalty."""
    likelihood = LassoPath(event, time, X, TOLERANCE).likelihood
    largest = 0.0
    for penalty, beta in zip(lambdas, path.T, strict=True):
        eta = likelihood.X @ beta
        slope = gradient_at(likelihood.X.T, likelihood.died, likelihood.died_sum, likelihood.deaths, likelihood.last, eta)
        off = np.where(beta != 0, np.abs(slope - penalty * np.sign(beta)), np.maximum(np.abs(slope) - penalty, 0))
        largest = max(largest, float(off.max() / penalty))
    return largest


def _row(shape: str, event: np.ndarray, time: np.ndarray, X: np.ndarray, seconds: float) -> dict[str, float]:
    lambdas = default_lambdas(event, time, X)
    other = theirs(event, time, X, lambdas)
    lambdas = lambdas[: other.shape[1]]
    path = ours(event, time, X, lambdas)
    durations: tuple[list[float], list[float]] = ([], [])
    began = clock.perf_counter()
    while len(durations[0]) < 2 or clock.perf_counter() - began < seconds:
        for run, spent in zip((ours, theirs), durations, strict=True):
            spent.append(_spent(lambda: run(event, time, X, lambdas)))  # noqa: B023 called here
    mine, other_s = map(min, durations)
    exact = [violation(event, time, X, lambdas, coefficients) for coefficients in (path, other)]
    count = int((path[:, -1] != 0).sum())
    print(f"| {shape} | {lambdas.size} | {count} | {mine:.3g} | {other_s:.3g} | {mine / other_s:.2f} | {exact[0]:.0e} | {exact[1]:.0e} |", flush=True)
    return {f"{shape}_s": round(mine, 5), f"{shape}_scikit_survival": round(other_s, 5), f"{shape}_ratio": round(mine / other_s, 3)}


def _spent(run: Callable[[], object]) -> float:
    started = clock.process_time()
    run()
    return clock.process_time() - started


if __name__ == "__main__":
    main()
