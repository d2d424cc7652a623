"""The first line after a run: what is served, and whether it ranks patients of other centers better than tumor volume alone."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base.refusal import Refusal
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.registry.bundle import read_manifest

EXTERNAL, VOLUME = "external", "Volume"
# The difference in C between the served model and tumor volume: of pairs of one center, as the gate counts them; of versions registered before that was
# measured, of all pairs.
WITHIN, POOLED = "delta_c_volume_within", "delta_c_combined"
C_IS = "C is the share of pairs of patients who died in the predicted order: 1 means always, 0.5 is chance."


@dataclass(frozen=True)
class Verdict:
    """The served version against tumor volume alone on patients of external centers.

    Parameters
    ----------
    centers
        The external ones.
    n, events
        Patients and deaths there.
    served
        The fitted model that answers.
    c
        Of the served model there; NaN where undefined.
    difference
        In C, served minus volume, with its 95 % interval; NaN where undefined or not measured.
    """

    model: str
    version: int
    train_centers: tuple[str, ...]
    centers: tuple[str, ...]
    n: int
    events: int
    served: str
    c: float
    difference: float
    lower: float
    upper: float


def verdict(home: Path, model: str) -> Verdict | None:
    """Of the champion of a model, by what the store has of it; None where there is no champion."""
    try:
        entry = registry.find(home, registry.CHAMPION, model)
    except Refusal:
        return None
    with store.connect(home, read_only=True) as lake:
        rows = lake.sql(
            "SELECT model, center, metric, value, lower, upper, n, events FROM model_metrics WHERE version = ? AND split = 'test' AND"
            " ((model = ? AND metric IN ('harrell_c', 'delta_c_volume_within')) OR (model = 'Volume' AND metric = 'delta_c_combined'))",
            [str(entry.version), model],
        ).to_pylist()
    pool = {row["metric"]: row for row in rows if row["center"] == EXTERNAL}
    chosen: dict[str, Any] = pool.get(WITHIN) or pool.get(POOLED) or pool.get("harrell_c") or {}
    compared = chosen.get("metric") in (WITHIN, POOLED)
    numbers = [float(chosen[name]) if compared and chosen[name] is not None else math.nan for name in ("value", "lower", "upper")]
    centers = tuple(sorted({row["center"] for row in rows} - {EXTERNAL}))
    sizes = int(chosen.get("n") or 0), int(chosen.get("events") or 0)
    c = pool.get("harrell_c", {}).get("value")
    return Verdict(model, entry.version, entry.train_centers, centers, *sizes, _served(entry), math.nan if c is None else float(c), *numbers)


def _served(entry: registry.RegisteredVersion) -> str:
    """The fitted model that a version answers with; "" where its files cannot be read."""
    try:
        return str(read_manifest(entry.folder)["served"])
    except Refusal:
        return ""


def sentence(verdict: Verdict | None, registered: RegisterManifest, reason: str = "") -> str:
    """The verdict in words that a physician understands; it says so where the model is not better.

    Parameters
    ----------
    registered
        What the run registered, see `stages.register`.
    reason
        Why that model is served, by the evidence inside the training centers.
    """
    if verdict is None:
        return f"Nothing is served: {registered.reason or 'no version is champion'}."
    served = f"Served: {verdict.model}/{verdict.version}, fitted on {listed(verdict.train_centers)}."
    if registered.version == verdict.version and reason:
        served += f" {reason}"
    if registered.version not in (None, verdict.version):
        served += f" This run registered {verdict.model}/{registered.version}, which is not served; penumbra compare champion {registered.version} shows both."
    elif registered.version is None:
        served += f" This run registered nothing: {registered.reason}."
    return f"{served} {_outside(verdict)}"


def _outside(verdict: Verdict) -> str:
    if not verdict.centers:
        return "There is no external center, so it is not known how well it ranks patients elsewhere."
    where = f"Outside, at {listed(verdict.centers)} ({verdict.n} patients, {verdict.events} died),"
    if verdict.served == VOLUME:
        return f"{where} it is tumor volume alone, with a C of {verdict.c:.2f}. {C_IS}"
    if not (math.isfinite(verdict.difference) and math.isfinite(verdict.lower) and math.isfinite(verdict.upper)):
        return f"{where} it could not be compared with tumor volume alone."
    if verdict.lower > 0:
        low, high = verdict.lower, verdict.upper
        return (
            f"{where} it ranks patients better than tumor volume alone: C is higher by {verdict.difference:.3f} (95 % interval {low:.3f} to {high:.3f}). {C_IS}"
        )
    if verdict.upper < 0:
        interval = f"95 % interval {-verdict.upper:.3f} to {-verdict.lower:.3f}"
        return f"{where} it ranks patients worse than tumor volume alone: C is lower by {-verdict.difference:.3f} ({interval}). {C_IS}"
    interval = f"95 % interval {verdict.lower:+.3f} to {verdict.upper:+.3f}"
    return f"{where} it is not shown to rank patients better than tumor volume alone: the difference in C is {verdict.difference:+.3f} ({interval}). {C_IS}"


def listed(names: Sequence[str]) -> str:
    """ "east", "east and south", "east, south and west"."""
    return " and ".join(filter(None, (", ".join(names[:-1]), names[-1]))) if names else "no center"
