"""Are the champion's probabilities true? Deaths of the simulated external patients drawn again and again from the truth, against what it said of them.

python -m penumbra.bench.redrawn [--cohort data/simulated] [--draws 200] [--seed 1]
"""

import argparse
import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from penumbra import registry, store, survival
from penumbra.base import tables
from penumbra.base.params import project_root, state_home
from penumbra.cohort.simulate import read_truth, redrawn_deaths
from penumbra.survival.horizons import horizon_name

CONTROL = "Volume"


@dataclass(frozen=True)
class Redrawn:
    """Means over the draws, on patients of external centers.

    Parameters
    ----------
    slope
        Of the Cox model of the champion's log risk; 1 is right.
    observed_expected
        Deaths by a horizon over those that its probabilities add up to, for each horizon.
    c, difference
        Of the champion, and minus that of volume; pairs of one center.
    share
        Of the draws in which the champion ranks better.
    """

    center: str
    patients: int
    slope: float
    observed_expected: dict[str, float]
    c: float
    difference: float
    share: float


def redrawn(home: Path, cohort: Path, draws: int, seed: int) -> list[Redrawn]:
    """What the champion said of patients of external centers, for each center and for all."""
    truth, entry = read_truth(cohort), registry.find(home, registry.CHAMPION)
    with store.connect(home, read_only=True) as lake:
        rows = lake.sql(
            "SELECT p.patient, p.center, p.log_risk, s.score FROM predictions AS p JOIN model_uses AS u USING (patient, center, model, version)"
            " JOIN signatures AS s ON (s.patient, s.center, s.model_version, s.signature) = (p.patient, p.center, p.version, ?)"
            " WHERE p.model = ? AND p.version = ? AND u.split = 'test' ORDER BY p.patient",
            [CONTROL, entry.model, str(entry.version)],
        ).to_pylist()
        horizons = lake.sql(
            "SELECT patient, center, days, survival FROM prediction_horizons WHERE model = ? AND version = ?", [entry.model, str(entry.version)]
        ).to_pylist()
    alive = {(row["patient"], row["center"], row["days"]): row["survival"] for row in horizons}
    days = sorted({day for _, _, day in alive})
    patients, centers = [row["patient"] for row in rows], np.array([row["center"] for row in rows])
    log_risk, volume = (np.array([row[name] for row in rows]) for name in ("log_risk", "score"))
    death = 1.0 - np.array([[alive[row["patient"], row["center"], day] for day in days] for row in rows])
    random = np.random.default_rng(seed)
    times = np.stack([redrawn_deaths(truth, patients, random) for _ in range(draws)])
    everybody = np.ones(len(rows), dtype=bool)
    places = [*((str(name), centers == name) for name in sorted(set(centers.tolist()))), ("external", everybody)]
    return [_of_place(name, times[:, here], centers[here], np.stack([log_risk, volume])[:, here], death[here], days) for name, here in places]


def _of_place(center: str, times: np.ndarray, centers: np.ndarray, risks: np.ndarray, death: np.ndarray, days: list[float]) -> Redrawn:
    died = np.ones(times.shape[1], dtype=bool)
    slopes = [survival.calibration_slope(died, time, risks[0]).value for time in times]
    ratios = {horizon_name(day): float(np.mean([(time <= day).sum() for time in times]) / death[:, i].sum()) for i, day in enumerate(days)}
    pairs = [survival.together(survival.pairs_within(died, time, centers, risks, resamples=1, seed=0).values()) for time in times]
    c, control = (np.array([each.c(which) for each in pairs]) for which in (0, 1))
    return Redrawn(center, times.shape[1], float(np.mean(slopes)), ratios, float(c.mean()), float((c - control).mean()), float((c > control).mean()))


def _compared(row: Redrawn) -> list[str]:
    return [f"{row.c:.3f}", f"{row.difference:+.3f}", f"{100 * row.share:.0f} %"]


def main(arguments: list[str] | None = None) -> int:
    """Prints the table, and the figures as one line of JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cohort", type=Path, default=project_root() / "data" / "simulated")
    parser.add_argument("--draws", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    options = parser.parse_args(arguments)
    rows = redrawn(state_home(), options.cohort, options.draws, options.seed)
    times = list(rows[0].observed_expected)
    header = ["center", "patients", "slope", *(f"O/E {time}" for time in times), "C", "C minus volume", "better in"]
    body = [[row.center, row.patients, f"{row.slope:.2f}", *(f"{row.observed_expected[time]:.2f}" for time in times), *_compared(row)] for row in rows]
    sys.stdout.write(tables.render(header, body) + "\n")
    sys.stdout.write(json.dumps({"redrawn": [asdict(row) for row in rows], "draws": options.draws}) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
