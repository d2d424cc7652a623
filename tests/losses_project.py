"""A cohort and a project that are small enough to go through every stage in seconds: for trials of what happens when something is lost."""

import re
from dataclasses import replace
from pathlib import Path

from penumbra.cohort import small_cohort
from penumbra.cohort.simulate import simulate

from .projects import copy_project

NUMBERS = {
    "ingest.batch": "4",
    "populate.batch": "4",
    "network.input_size": "16",
    "train.epochs": "2",
    "train.checkpoint_seconds": "0.0",
    "ensemble.folds": "0",
    "fuse.folds": "3",
    "fuse.lasso_patience": "3",
    "crossfit.folds": "3",
    "crossfit.repeats": "1",
    "evaluate.bootstraps": "20",
    "evaluate.refits": "3",
    "register.served": "Clinical",
    "register.candidates": "[Volume, Clinical]",
    "report.patients": "1",
}
PATIENTS = {"north": 12, "east": 2}


def changed(text: str) -> str:
    """params.yaml with these numbers in place of its own."""
    for name, number in NUMBERS.items():
        group, key = name.split(".")
        text, count = re.subn(rf"(?ms)(^{group}:.*?^  {key}: )(\{{[^}}]*\}}|\[[^]]*\]|\S+)", rf"\g<1>{number}", text, count=1)
        assert count == 1, name
    return text


def project(folder: Path) -> Path:
    """folder/project: the checkout's declarations with fewer of everything."""
    made = copy_project(folder, changed)
    for name, dropped in {"signatures": r"Rad\+?\w*<mm>mm", "combined": r"Combined\+", "late": "Late"}.items():
        file = made / "models" / f"{name}.yaml"
        file.write_text(re.sub(rf"(?m)^{dropped}.*\n(?: .*\n)*", "", file.read_text(encoding="utf-8")), encoding="utf-8")
    return made


def cohort(folder: Path) -> Path:
    """folder/cohort: a training center and an external one."""
    plans = [plan for plan in small_cohort(1, refused=False) if plan.name in PATIENTS]
    simulate(folder / "cohort", seed=5, centers=[replace(plan, patients=PATIENTS[plan.name]) for plan in plans])
    return folder / "cohort"
