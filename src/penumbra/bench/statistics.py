"""Run time of the statistics, compared with scikit-survival and lifelines where they have the same: `python -m penumbra.bench.statistics`.

303 simulated patients, 1316 columns driven by eight hidden causes (as correlated as radiomics), three centers, 11 models. Each figure is the
best of `--repeats` runs: other work on the machine only ever adds; the whole evaluation and the other programs run once. The last line is one
JSON object.
"""

import argparse
import json
import time as clock
import warnings
from collections.abc import Callable

import numpy as np

from penumbra.base.blocks import DEEP, GTV
from penumbra.base.workers import available_cores
from penumbra.evaluate import Evaluating, ModelRisk, Resampling, evaluate, internal_external, resampled_fits
from penumbra.fusion import Block, Declaration, Fitting, fit, select
from penumbra.survival import bootstrap_ci, breslow_baseline, concordance_index, lasso_cox_cv, univariate_cox
from penumbra.survival.outcome import Outcomes

PATIENTS, COLUMNS, MANY = 303, 1316, 100_000
FITTING = Fitting(alpha=0.05, ties="efron", folds=10, lasso_lambda="min", lasso_patience=15, pca_variance=0.95, ridge=1.0, seed=1)
EVALUATING = Evaluating(
    horizons_days=(365, 730, 1095),
    bootstraps=1000,
    refits=200,
    calibration_groups=5,
    thresholds=(),
    age_split=65,
    confidence=0.95,
    seed=1,
    shrinkage=0.9,
    sample_size_c=(),
    external_events=100,
    subgroup_events=10,
)


def main() -> None:
    """Print a table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.statistics", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--repeats", type=int, default=3, help="runs of each figure, of which the best counts (default 3)")
    repeats = parser.parse_args().repeats
    random = np.random.default_rng(0)
    causes = random.normal(size=(PATIENTS, 8))
    X = causes @ random.normal(size=(8, COLUMNS)) + 2 * random.normal(size=(PATIENTS, COLUMNS))
    log_risk = causes[:, 0]
    death, censoring = random.exponential(700 * np.exp(-0.6 * log_risk)), random.exponential(1500, PATIENTS)
    event, time = death <= censoring, np.ceil(np.minimum(death, censoring))
    block = Block(GTV, tuple(f"f{i:04d}" for i in range(COLUMNS)), X)
    centers = np.array(["a"] * 203 + ["b"] * 68 + ["c"] * 32)
    models = {
        name: ModelRisk(log_risk + random.normal(size=PATIENTS), 0.0, breslow_baseline(event, time, log_risk))
        for name in ("Combined", "Volume", *(f"model_{i}" for i in range(9)))
    }
    many_risk = random.normal(size=MANY)
    many_time, many_event = np.ceil(random.exponential(1000 * np.exp(-many_risk))), random.random(MANY) < 0.6
    ours: dict[str, Callable[[], object]] = {
        "univariate_1316_s": lambda: univariate_cox(event, time, X),
        "bootstrap_1000_s": lambda: bootstrap_ci(event, time, log_risk, resamples=1000),
        "signature_s": lambda: select(block, Outcomes(event, time, centers), FITTING),
        "lasso_60_full_path_s": lambda: lasso_cox_cv(event, time, X[:, :60] / X[:, :60].std(axis=0), folds=10),
        "evaluation_s": lambda: _everything(models, Outcomes(event, time, centers), block),
        "harrell_100k_s": lambda: concordance_index(many_event, many_time, many_risk),
    }
    theirs = (_scikit_survival(event, time, X, log_risk), _lifelines(event, time, X, log_risk))
    figures = {}
    print(f"{'':24}{'ours, s':>10}{'scikit-survival, s':>20}{'lifelines, s':>14}")
    for name, run in ours.items():
        figures[name] = _best(run, 1 if name == "evaluation_s" else 1 + repeats)
        cells = (f"{_best(program[name], 1):{width}.3f}" if name in program else f"{'–':>{width}}" for program, width in zip(theirs, (20, 14), strict=True))
        print(f"{name:24}{figures[name]:10.3f}{''.join(cells)}", flush=True)
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


def _everything(models: dict[str, ModelRisk], outcomes: Outcomes, block: Block) -> None:
    """The stage: every metric with 1000 resamples, each center left out, and 200 refits of a model of three blocks of 1316 columns."""
    training = outcomes.centers == "a"
    evaluate(models, outcomes, training, EVALUATING, combined="Combined", controls={"volume": "Volume"})
    blocks = {name: Block(name, block.features, np.roll(block.values, shift, axis=1)) for shift, name in enumerate((GTV, "ring", DEEP))}
    declared = Declaration("Combined", "Combined", "combined", "components", blocks=tuple(blocks))
    internal_external([declared], blocks, outcomes, FITTING, confidence=EVALUATING.confidence)
    inside = {name: Block(name, part.features, part.values[training]) for name, part in blocks.items()}
    model = fit(declared, inside, outcomes.rows(training), FITTING)
    resampled_fits(
        declared,
        model,
        inside,
        outcomes.rows(training),
        FITTING,
        Resampling(EVALUATING.refits, EVALUATING.seed, EVALUATING.horizons_days[1], EVALUATING.confidence, available_cores()),
    )


def _best(run: Callable[[], object], repeats: int) -> float:
    durations = []
    for _ in range(max(1, repeats)):
        start = clock.perf_counter()
        run()
        durations.append(clock.perf_counter() - start)
    return min(durations)


def _lifelines(event: np.ndarray, time: np.ndarray, X: np.ndarray, log_risk: np.ndarray) -> dict[str, Callable[[], object]]:
    """The same work, as a user of lifelines writes it."""
    import pandas as pd

    from penumbra.base.extras import require

    require("lifelines")
    from lifelines import CoxPHFitter
    from lifelines.utils import concordance_index as lifelines_concordance

    def univariate() -> None:
        for j in range(X.shape[1]):
            CoxPHFitter().fit(pd.DataFrame({"time": time, "event": event, "x": X[:, j]}), "time", "event")

    def bootstrap() -> None:
        random = np.random.default_rng(0)
        for _ in range(1000):
            rows = random.integers(event.size, size=event.size)
            lifelines_concordance(time[rows], -log_risk[rows], event[rows])

    return {"univariate_1316_s": univariate, "bootstrap_1000_s": bootstrap}


def _scikit_survival(event: np.ndarray, time: np.ndarray, X: np.ndarray, log_risk: np.ndarray) -> dict[str, Callable[[], object]]:
    """The same work, as a user of scikit-survival writes it."""
    from sksurv.linear_model import CoxnetSurvivalAnalysis, CoxPHSurvivalAnalysis
    from sksurv.metrics import concordance_index_censored
    from sksurv.util import Surv

    outcome = Surv.from_arrays(event, time)
    few = X[:, :60] / X[:, :60].std(axis=0)
    fold = np.arange(event.size) % 10

    def univariate() -> None:
        for j in range(X.shape[1]):
            CoxPHSurvivalAnalysis(ties="efron").fit(X[:, [j]] / X[:, j].std(), outcome)

    def bootstrap() -> None:
        random = np.random.default_rng(0)
        for _ in range(1000):
            rows = random.integers(event.size, size=event.size)
            concordance_index_censored(event[rows], time[rows], log_risk[rows])

    def lasso() -> None:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            lambdas = CoxnetSurvivalAnalysis(l1_ratio=1.0).fit(few, outcome).alphas_
            for k in range(10):
                CoxnetSurvivalAnalysis(l1_ratio=1.0, alphas=lambdas).fit(few[fold != k], outcome[fold != k])

    return {"univariate_1316_s": univariate, "bootstrap_1000_s": bootstrap, "lasso_60_full_path_s": lasso}


if __name__ == "__main__":
    main()
