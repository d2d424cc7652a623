"""Ours compared with R's for every value of tests/reference/survival/reference.json: `python -m penumbra.bench.reference` prints a Markdown table.

A vector takes one line: the value where the two differ most.
"""

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import survival
from penumbra.base.params import project_root
from penumbra.survival.cox import negative_log_partial_likelihood
from penumbra.survival.lasso_path import LassoPath
from penumbra.survival.selection import deviance, largest_lambda, lowest_and_one_se, weighted_mean

HORIZONS = (365, 730, 1095)
Pair = tuple[str, Any, Any]  # name, ours, R's


@dataclass(frozen=True)
class Cohort:
    """The simulated patients of the reference, event and time (n,), X (n, 60), two risks (n,), folds (n,)."""

    event: np.ndarray
    time: np.ndarray
    X: np.ndarray
    risk: np.ndarray
    second_risk: np.ndarray
    fold: np.ndarray


def read_cohort(folder: Path) -> Cohort:
    """The tables of tests/reference/survival."""

    def column(name: str, column: str) -> np.ndarray:
        with (folder / name).open(newline="") as lines:
            return np.array([float(row[column]) for row in csv.DictReader(lines)])

    X = np.column_stack([column("cohort.csv", f"x{i:02d}") for i in range(1, 61)])
    risk, second_risk = (column(name, "log_risk") for name in ("log_risk.csv", "log_risk_other.csv"))
    return Cohort(column("cohort.csv", "event") == 1, column("cohort.csv", "time"), X, risk, second_risk, column("folds.csv", "fold").astype(int))


def main() -> None:
    """Print the table."""
    folder = project_root() / "tests" / "reference" / "survival"
    theirs = json.loads((folder / "reference.json").read_text(encoding="utf-8"))
    print("| value | values | ours | R | absolute difference | relative |\n|---|---:|---:|---:|---:|---:|")
    for name, ours, r in pairs(read_cohort(folder), theirs):
        a, b = np.atleast_1d(np.asarray(ours, dtype=float)).ravel(), np.atleast_1d(np.asarray(r, dtype=float)).ravel()
        difference = np.abs(a - b)
        worst = int(difference.argmax())
        relative = difference[worst] / abs(b[worst]) if b[worst] else 0.0
        print(f"| `{name}` | {b.size} | {a[worst]:.10g} | {b[worst]:.10g} | {difference[worst]:.1e} | {relative:.1e} |")


def pairs(cohort: Cohort, r: dict[str, Any]) -> Iterator[Pair]:
    """Every value of the reference by name, ours and R's."""
    yield from _cox(cohort, r)
    yield from _lasso(cohort, r["lasso"])
    yield from _discrimination(cohort, r)
    yield from _groups(cohort, r["groups"])
    pca = survival.principal_components(cohort.X[:, :20], variance=0.95)
    yield "pca.explained", pca.explained, r["pca"]["explained"]
    yield "pca.components_for_95", len(pca.components), r["pca"]["components_for_95"]


def _cox(cohort: Cohort, r: dict[str, Any]) -> Iterator[Pair]:
    import jax.numpy as jnp

    event, time = cohort.event, cohort.time
    arrays = [jnp.asarray(values) for values in (cohort.risk, time, event)]
    for ties in ("efron", "breslow"):
        one = survival.univariate_cox(event, time, cohort.X, ties=ties)
        for name, ours in (("coef", one.coef), ("se", one.se), ("wald_p", one.p), ("loglik0", one.log_likelihood_null), ("loglik", one.log_likelihood)):
            yield f"univariate.{ties}.{name}", ours, r["univariate"][ties][name]
        yield f"partial_loglik.{ties}", -float(negative_log_partial_likelihood(*arrays, ties=ties)), r["partial_loglik"][ties]
    many = survival.cox_fit(event, time, cohort.X[:, :5], ties="efron")
    yield "cox5.coef", many.coef, r["cox5"]["coef"]
    yield "cox5.se", many.se, r["cox5"]["se"]
    yield "cox5.loglik", (many.log_likelihood_null, many.log_likelihood), r["cox5"]["loglik"]
    breslow = survival.cox_fit(event, time, cohort.X[:, :5], ties="breslow")
    yield "cox5_breslow.coef", breslow.coef, r["cox5_breslow"]["coef"]
    risk = cohort.X[:, :5] @ breslow.coef
    alive = survival.breslow_baseline(event, time, risk).survival(risk[:10], HORIZONS)
    yield "cox5_breslow.survival_first10_1y_2y_3y", alive, r["cox5_breslow"]["survival_first10_1y_2y_3y"]
    null = survival.kaplan_meier(event, time).at(HORIZONS)[0]
    everybody = survival.breslow_baseline(event, time, risk).survival(risk, HORIZONS)
    scores = [survival.brier(event, time, np.full(event.size, null[k]), day) for k, day in enumerate(HORIZONS)]
    yield "ipcw_brier.Brier", [*scores, *(survival.brier(event, time, everybody[:, k], day) for k, day in enumerate(HORIZONS))], r["ipcw_brier"]["Brier"]


def _lasso(cohort: Cohort, theirs: dict[str, Any]) -> Iterator[Pair]:
    ours = survival.lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=cohort.fold)
    yield "lasso.lambda", ours.lambdas, theirs["lambda"]
    yield "lasso.lambda_min", ours.lambda_min, theirs["lambda_min"]
    yield "lasso.lambda_1se", ours.lambda_1se, theirs["lambda_1se"]
    at = survival.lasso_cox_cv(cohort.event, cohort.time, cohort.X, folds=cohort.fold, lambdas=theirs["lambda"])
    yield "lasso.cvm", at.deviance, theirs["cvm"]
    yield "lasso.cvsd", at.deviance_se, theirs["cvsd"]
    yield "lasso.nzero", at.nonzero, theirs["nzero"]
    for name in ("min", "1se"):
        place = int(np.argmin(np.abs(at.lambdas - theirs[f"lambda_{name}"])))
        yield f"lasso.coef_{name}", at.path[:, place], theirs[f"coef_{name}"]
    yield from with_glmnets_risk_sets(cohort, theirs)


def with_glmnets_risk_sets(cohort: Cohort, theirs: dict[str, Any]) -> Iterator[Pair]:
    """The same Lasso with the patients moved out of a risk set whom glmnet's sort loses from it (tests/reference/survival/README.md)."""
    rows_lost = json.loads((project_root() / "tests" / "reference" / "survival" / "glmnet_ties.json").read_text(encoding="utf-8"))
    event, X, lambdas = cohort.event, cohort.X, theirs["lambda"]

    def moved(rows: list[int]) -> np.ndarray:
        time = cohort.time.copy()
        time[np.array(rows) - 1] -= 1e-3
        return time

    everybody = moved(rows_lost["everybody"])
    path = LassoPath(event, everybody, X, 1e-9)
    steps = np.stack([path.step(lam) for lam in lambdas], axis=1)
    scores, weights = [], []
    for name in np.unique(cohort.fold):
        rows, time = cohort.fold != name, moved(rows_lost["outside_fold"][str(name)])
        path = LassoPath(event[rows], time[rows], X[rows], 1e-9)
        betas = [path.step(lam) for lam in lambdas]
        weights.append(float(event[~rows].sum()))
        scores.append([deviance(event, everybody, X @ beta) - deviance(event[rows], time[rows], X[rows] @ beta) for beta in betas])
    mean, se = weighted_mean(np.array(scores) / np.array(weights)[:, None], np.array(weights))
    best, within = lowest_and_one_se(mean, se)
    for name, ours in (("lambda", largest_lambda(event, everybody, X)), ("cvm", mean), ("cvsd", se), ("nzero", (steps != 0).sum(axis=0))):
        yield f"lasso.{name}, glmnet's risk sets", ours, theirs[name][0] if name == "lambda" else theirs[name]
    for name, place in (("min", best), ("1se", within)):
        yield f"lasso.lambda_{name}, glmnet's risk sets", lambdas[place], theirs[f"lambda_{name}"]
        yield f"lasso.coef_{name}, glmnet's risk sets", steps[:, place], theirs[f"coef_{name}"]


def _discrimination(cohort: Cohort, r: dict[str, Any]) -> Iterator[Pair]:
    patients = (cohort.event, cohort.time, cohort.risk)
    for name, estimate in (("harrell", survival.harrell(*patients)), ("uno", survival.uno(*patients))):
        yield f"{name}.c", estimate.c, r[name]["c"]
        yield f"{name}.se", estimate.se, r[name]["se"]
    harrell = survival.harrell(*patients)
    counts = (harrell.concordant, harrell.discordant, harrell.tied_risk, harrell.tied_time, harrell.tied_both)
    yield "harrell.count", counts, [r["harrell"]["count"][name] for name in ("concordant", "discordant", "tied.x", "tied.y", "tied.xy")]
    compared = survival.compare_c(*patients, cohort.second_risk)
    yield "compare_c.c", (compared.a, compared.b), r["compare_c"]["c"]
    yield "compare_c.se_difference", compared.se, r["compare_c"]["se_difference"]
    for day in HORIZONS:
        theirs, auc, test = r[f"delong_{day}"], survival.auc_binary(*patients, day), survival.delong_test(*patients, cohort.second_risk, day)
        yield f"delong_{day}.auc", (test.auc_a, test.auc_b), (theirs["auc"], theirs["auc_other"])
        yield f"delong_{day}.ci95", (auc.lower, auc.upper), theirs["ci95"]
        yield f"delong_{day}.z", test.z, theirs["z"]
        yield f"delong_{day}.p", test.p, theirs["p"]
    for name, risk in (("a", cohort.risk), ("b", cohort.second_risk)):
        weighted = [survival.auc_ipcw(cohort.event, cohort.time, risk, day) for day in HORIZONS]
        for field in ("auc", "se", "lower", "upper"):
            yield f"ipcw_auc.{name}.{field}", [getattr(one, field) for one in weighted], r["ipcw_auc"][name][field]
    tests = [survival.auc_ipcw_test(cohort.event, cohort.time, cohort.second_risk, cohort.risk, day) for day in HORIZONS]
    for name, values in (("delta.AUC", [test.difference for test in tests]), ("se", [test.se for test in tests]), ("p", [test.p for test in tests])):
        yield f"ipcw_auc_contrast.{name}", values, r["ipcw_auc_contrast"][name]


def _groups(cohort: Cohort, theirs: dict[str, Any]) -> Iterator[Pair]:
    high = cohort.risk > theirs["cutoff"]
    test, ratio = survival.log_rank(cohort.event, cohort.time, high), survival.hazard_ratio(cohort.event, cohort.time, high)
    yield "groups.logrank_chisq", test.chi2, theirs["logrank_chisq"]
    yield "groups.logrank_p", test.p, theirs["logrank_p"]
    yield "groups.hr", (ratio.value, ratio.lower, ratio.upper), (theirs["hr"], theirs["hr_lower"], theirs["hr_upper"])
    curves = [survival.kaplan_meier(cohort.event[group], cohort.time[group]) for group in (~high, high)]
    for place, name in enumerate(("km_surv_low_then_high", "km_lower", "km_upper")):
        yield f"groups.{name}", [value for curve in curves for value in curve.at(HORIZONS)[place]], theirs[name]
    yield "groups.at_risk", [value for curve in curves for value in curve.number_at_risk(HORIZONS)], theirs["at_risk"]
    for name in ("median", "median_lower", "median_upper"):
        yield f"groups.{name}", [getattr(curve, name) for curve in curves], theirs[name]


if __name__ == "__main__":
    main()
