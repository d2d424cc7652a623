"""The simulated cohort and R's numbers for it (tests/reference/survival/README.md says how they were made)."""

import csv
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

REFERENCE = Path(__file__).resolve().parents[1] / "reference" / "survival"


@dataclass(frozen=True)
class SimulatedCohort:
    event: np.ndarray
    time: np.ndarray
    center: np.ndarray
    X: np.ndarray
    log_risk: np.ndarray
    log_risk_other: np.ndarray
    fold: np.ndarray


def _column(name: str, column: str) -> np.ndarray:
    with (REFERENCE / name).open(newline="") as lines:
        return np.array([row[column] for row in csv.DictReader(lines)])


@pytest.fixture(scope="session")
def cohort() -> SimulatedCohort:
    return SimulatedCohort(
        event=_column("cohort.csv", "event") == "1",
        time=_column("cohort.csv", "time").astype(float),
        center=_column("cohort.csv", "center"),
        X=np.column_stack([_column("cohort.csv", f"x{i:02d}").astype(float) for i in range(1, 61)]),
        log_risk=_column("log_risk.csv", "log_risk").astype(float),
        log_risk_other=_column("log_risk_other.csv", "log_risk").astype(float),
        fold=_column("folds.csv", "fold").astype(int),
    )


@pytest.fixture(scope="session")
def r() -> dict[str, Any]:
    return json.loads((REFERENCE / "reference.json").read_text())
