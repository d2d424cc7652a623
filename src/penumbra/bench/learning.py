"""What helps the network to learn from few patients: `python -m penumbra.bench.learning`, on a state folder with ingested centers.

Each row of models/learning.yaml is one change of a profile. For every seed the training centers' patients are divided into folds; a network
is trained without each fold, from a seed of its own, and answers for it. Inside: the C of those answers, the mean over folds. Outside: the C of
the mean answer of all networks on each other center, and of one network; they decide nothing. A training that was finished is kept, and a
second call resumes. The last line is JSON.
"""

import argparse
import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import network, store
from penumbra.base.params import project_root, read_yaml
from penumbra.base.progress import track
from penumbra.base.tables import render
from penumbra.network import Augment, EnsembleSettings, Network, Pretrain, Train
from penumbra.network.batches import assign_folds
from penumbra.pipeline import looks
from penumbra.pipeline.networks import keep_compiled
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.settings import Settings, load_settings
from penumbra.pipeline.train import network_inputs
from penumbra.pipeline.workspace import Work
from penumbra.survival import bootstrap_ci, concordance_index

ALONE = EnsembleSettings(folds=0, seeds=1)


@dataclass(frozen=True)
class Patients:
    """Who is studied: names, centers, event, time, (n,) each."""

    names: list[str]
    centers: np.ndarray
    event: np.ndarray
    time: np.ndarray


@dataclass(frozen=True)
class Row:
    """What one change gave.

    Parameters
    ----------
    inside
        C on the folds left out, one value a seed.
    outside
        Center -> C of the mean over all networks, with its interval.
    single
        Center -> C of one network, one value a network.
    """

    inside: list[float]
    outside: dict[str, tuple[float, float, float]]
    single: dict[str, list[float]]


def changed(settings: Settings, change: Mapping[str, Any]) -> Settings:
    """Settings with some parameters replaced: {"network.norm": "group", ...}."""
    for name, value in change.items():
        group, field = name.split(".")
        settings = replace(settings, **{group: replace(getattr(settings, group), **{field: value})})
    return settings


def study(work: Work, patients: Patients, settings: Settings, *, folds: int, seeds: Sequence[int]) -> Row:
    """One row of the table."""
    volumes = network_inputs(work, patients.names, accepted_images(work), settings.network)
    inside = np.isin(patients.centers, settings.cohort.train_centers)
    answers: list[np.ndarray] = []
    within_training = []
    with track("train", folds * len(seeds)) as advance:
        for seed in seeds:
            fold = np.full(len(patients.names), -1)
            fold[inside] = assign_folds(patients.event[inside], folds=folds, seed=seed)
            within = []
            for number in range(folds):
                fitted = inside & (fold != number)
                risk = _answer(work, settings, volumes, patients, fitted, seed + number)
                held_out = fold == number
                within.append(concordance_index(patients.event[held_out], patients.time[held_out], risk[held_out]))
                answers.append(risk)
                advance()
            within_training.append(float(np.nanmean(within)))
    outside, single = {}, {}
    for center in sorted(set(patients.centers[~inside].tolist())):
        rows = patients.centers == center
        event, time = patients.event[rows], patients.time[rows]
        mean = np.mean([risk[rows] for risk in answers], axis=0)
        interval = bootstrap_ci(event, time, mean, seed=1)
        outside[center] = (concordance_index(event, time, mean), interval.lower, interval.upper)
        single[center] = [concordance_index(event, time, risk[rows]) for risk in answers]
    return Row(within_training, outside, single)


def _answer(work: Work, settings: Settings, volumes: np.ndarray, patients: Patients, fitted: np.ndarray, seed: int) -> np.ndarray:
    """The log_risk (n,) of everybody from a network trained on `fitted`, read back when it was trained before."""
    groups: tuple[Network | Augment | Train | Pretrain, ...] = (settings.network, settings.augment, replace(settings.train, seed=seed), settings.pretrain)
    outcome = [[name, float(patients.time[i]), bool(patients.event[i])] for i, name in enumerate(patients.names) if fitted[i]]
    key = store.version_key({"groups": [asdict(group) for group in groups], "fitted": outcome, "asked": patients.names})
    file = work.home / "study" / f"{key}.npy"
    if file.is_file():
        stored: np.ndarray = np.load(file, allow_pickle=False)
        return stored
    trained = network.fit_ensemble(
        volumes[fitted],
        patients.event[fitted],
        patients.time[fitted],
        network.Learning(settings.network, settings.augment, replace(settings.train, seed=seed)),
        pretrain=settings.pretrain,
        ensemble=ALONE,
    )
    log_risk = network.embed(trained, volumes)[0]
    file.parent.mkdir(exist_ok=True)
    np.save(file.with_name(f".{key}.npy"), log_risk)
    file.with_name(f".{key}.npy").replace(file)
    return log_risk


def patients_of(work: Work) -> Patients:
    """Everybody who was accepted."""
    names = list(accepted_images(work))
    with store.connect(work.home, read_only=True) as lake:
        of = {row["patient"]: row for row in lake.rows("patients")}
    records = [of[name] for name in names]
    return Patients(
        names,
        np.array([row["center"] for row in records]),
        np.array([bool(row["event"]) for row in records]),
        np.array([float(row["time"]) for row in records]),
    )


def main() -> None:
    """Print the table and the JSON line."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.learning", description=__doc__.splitlines()[0])
    parser.add_argument("home", type=Path, help="state folder (PENUMBRA_HOME) whose centers were ingested")
    parser.add_argument("--profile", help="study this profile instead of the one in models/learning.yaml")
    parser.add_argument("--rows", nargs="+", help="only these rows")
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--seeds", type=int, default=1, help="how many divisions of the patients; each trains new networks")
    options = parser.parse_args()
    declared = read_yaml(project_root() / "models" / "learning.yaml")
    settings = load_settings(options.profile or declared["from"])
    work = Work(options.home.resolve(), settings, "study")
    keep_compiled(work.home)
    patients = patients_of(work)
    seeds = [settings.train.seed + 1000 * i for i in range(options.seeds)]
    figures: dict[str, Any] = {}
    lines = []
    for name, change in declared["rows"].items():
        if options.rows and name not in options.rows:
            continue
        print(f"  {name}", file=sys.stderr)
        row = study(work, patients, changed(settings, change), folds=options.folds, seeds=seeds)
        figures[name] = asdict(row)
        outside = [f"{c:.3f} ({low:.2f}-{high:.2f})" for c, low, high in row.outside.values()]
        lines.append([name, _spread(row.inside), *outside, *(_spread(values) for values in row.single.values())])
    look = looks.Look("bench-learning", {"rows": sorted(figures), "profile": settings.profile, "seeds": seeds, "folds": options.folds})
    looks.count(work.home, work.run, look, patients.centers, patients.event, training=settings.cohort.train_centers)
    centers = list(next(iter(figures.values()))["outside"])
    headings = [
        "row",
        f"C inside, {options.folds} folds",
        *(f"C {center}, mean of all" for center in centers),
        *(f"C {center}, one network" for center in centers),
    ]
    print(render(headings, lines))
    print(json.dumps(figures))


def _spread(values: Sequence[float]) -> str:
    deviation = f" ± {np.std(values, ddof=1):.3f}" if len(values) > 1 else ""
    return f"{np.mean(values):.3f}{deviation}"


if __name__ == "__main__":
    main()
