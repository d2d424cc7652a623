"""What one rounding does to a person's risk: `python -m penumbra.bench.last_bit`, on a finished state folder (PENUMBRA_HOME).

The network is trained again on the training centers by processes that differ in what should not matter: one processor or two, and one weight of
the start that is the next number up or down. Spearman's correlation of everybody's risk with that of the baseline, within each center: of the mean
log risk, and of the model DL fitted on the deep features. Once as networks were trained before (one network, whose last weights were kept as they were, with as
many threads as processors), and once by the profile. The last line is JSON.
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
from scipy.stats import spearmanr

from penumbra import fusion, network
from penumbra.base.blocks import DEEP, deep_names
from penumbra.base.json_values import without_nan
from penumbra.base.params import state_home
from penumbra.base.progress import track
from penumbra.base.tables import render
from penumbra.bench.learning import Patients, changed, patients_of
from penumbra.fusion import Block
from penumbra.network.ensemble import fit_from
from penumbra.network.se_resnet import initial_variables
from penumbra.network.trained import embed as embed_one
from penumbra.pipeline.dataset import columns_of
from penumbra.pipeline.networks import keep_compiled
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.train import network_inputs
from penumbra.pipeline.workspace import Work
from penumbra.survival.outcome import Outcomes

BASELINE = "baseline"
RUNS = {BASELINE: (0, 0), "one core": (1, 0), "two cores": (2, 0), "one ulp up": (0, 1), "one ulp down": (0, -1)}  # processors (0: all), and the shift
BEFORE, AFTER = "before", "after"
FORMERLY = {"ensemble.folds": 0, "ensemble.seeds": 1, "train.learning_rate": 1e-3, "train.average_from": 0, "train.patience": 15}


def shifted(variables: dict[str, Any], direction: int) -> dict[str, Any]:
    """Return the variables with the first weight of the stem moved to the next number, up or down; 0 leaves them as they are."""
    kernel = variables["params"]["stem"]["kernel"].copy()
    if direction:
        kernel.flat[0] = np.nextafter(kernel.flat[0], np.float32(np.inf * direction))
    return {**variables, "params": {**variables["params"], "stem": {"kernel": kernel}}}


def trained_answers(work: Work, state: str, direction: int) -> tuple[np.ndarray, np.ndarray]:
    """Return log_risk (n,) and deep features (n, channels) of everybody from networks that this process trains."""
    settings = changed(work.settings, FORMERLY) if state == BEFORE else work.settings
    keep_compiled(work.home)
    patients = patients_of(work)
    volumes = network_inputs(work, patients.names, accepted_images(work), settings.network)
    rows = np.isin(patients.centers, settings.cohort.train_centers)
    event, time = patients.event[rows], patients.time[rows]
    learning = network.Learning(settings.network, settings.augment, settings.train)
    start = shifted(initial_variables(settings.network, seed=settings.train.seed), direction)
    if state == BEFORE:
        return embed_one(network.fit(volumes[rows], event, time, learning, start=start), volumes)
    return network.embed(fit_from(start, volumes[rows], event, time, learning, ensemble=settings.ensemble), volumes)


def deep_model(work: Work, patients: Patients, features: np.ndarray) -> np.ndarray:
    """Return the log risk (n,) of the model DL fitted on the training centers; NaN where it retained nothing."""
    declared = {"DL": fusion.declarations(work.settings.models)["DL"]}
    block = Block(DEEP, deep_names(features.shape[1]), features.astype(float))
    rows = np.isin(patients.centers, work.settings.cohort.train_centers)
    outcomes = Outcomes(patients.event, patients.time, patients.centers).rows(rows)
    model = fusion.fit_all(declared.values(), {DEEP: replace(block, values=block.values[rows])}, outcomes, work.settings.fuse)["DL"]
    return model.log_risk(columns_of({DEEP: block}), centers=patients.centers) if model.retained else np.full(len(features), np.nan)


def agreement(centers: np.ndarray, risk: np.ndarray, baseline: np.ndarray) -> dict[str, float]:
    """Return Spearman's correlation of two risks, (n,) each, within each center."""
    return {name: float(spearmanr(risk[centers == name], baseline[centers == name]).statistic) for name in sorted(set(centers.tolist()))}


def table(figures: dict[str, Any], centers: list[str]) -> str:
    """Return the figures for people."""
    rows = [(what, run) for what in ("log_risk", "DL") for run in RUNS if run != BASELINE]
    lines = [[what, run, *(f"{figures[state][what][run][name]:.3f}" for state in (BEFORE, AFTER) for name in centers)] for what, run in rows]
    return render(["risk", "run", *(f"{name}, {state}" for state in (BEFORE, AFTER) for name in centers)], lines)


def main() -> None:
    """Print a table for people, and as the last line one JSON object."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.last_bit", description=__doc__.splitlines()[0])
    parser.add_argument("--profile", help="the profile whose networks are trained, instead of the one in params.yaml")
    parser.add_argument("--one", nargs=3, metavar=("STATE", "RUN", "FILE"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    work = Work(state_home(), load_settings(options.profile), "last bit")
    if options.one:
        state, run, file = options.one
        log_risk, features = trained_answers(work, state, RUNS[run][1])
        np.savez(file, log_risk=log_risk, features=features)
        return
    patients = patients_of(work)
    figures: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder, track("runs", 2 * len(RUNS)) as advance:
        for state in (BEFORE, AFTER):
            risks: dict[str, dict[str, np.ndarray]] = {"log_risk": {}, "DL": {}}
            for run, (processors, _) in RUNS.items():
                answer = _in_a_process(Path(folder) / "answer.npz", state, run, processors, options.profile)
                risks["log_risk"][run] = answer["log_risk"]
                risks["DL"][run] = deep_model(work, patients, answer["features"])
                advance()
            figures[state] = {
                what: {run: agreement(patients.centers, risk, of[BASELINE]) for run, risk in of.items() if run != BASELINE} for what, of in risks.items()
            }
            figures[state]["same_bits"] = {run: bool(np.array_equal(risks["log_risk"][run], risks["log_risk"][BASELINE])) for run in RUNS if run != BASELINE}
    centers = sorted(set(patients.centers.tolist()))
    print(table(figures, centers))
    print(json.dumps(without_nan(figures)))


def _in_a_process(file: Path, state: str, run: str, processors: int, profile: str | None) -> dict[str, np.ndarray]:
    """Return what a fresh process answers that may use so many processors."""
    everything = sorted(os.sched_getaffinity(0))
    command = [sys.executable, "-m", "penumbra.bench.last_bit", "--one", state, run, str(file), *(["--profile", profile] if profile else [])]
    os.sched_setaffinity(0, everything[:processors] or everything)  # the child begins with it
    try:
        subprocess.run(command, check=True)
    finally:
        os.sched_setaffinity(0, everything)
    with np.load(file, allow_pickle=False) as arrays:
        return dict(arrays)


if __name__ == "__main__":
    main()
