"""An audit of the served model that anyone can run: what could be wrong with its evidence, tried. It chooses nothing, and reads no outcome outside.

Everything that is fitted is cross-fitted inside the training centers and kept in crossfitted/, so that an audit that was stopped resumes.
"""

import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime

import numpy as np

from penumbra import store
from penumbra.base.blocks import GTV
from penumbra.base.progress import say
from penumbra.fusion.applicability import EDGE, INSIDE, OUTSIDE
from penumbra.pipeline import looks
from penumbra.pipeline.audit_fits import Inner, concordance, panel_concordances, permuted_concordances
from penumbra.pipeline.crossfit import Recipe
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.evaluate import current_evaluate
from penumbra.pipeline.fuse import cross_fitted_by, current_fuse, load_models
from penumbra.pipeline.inside import served_by
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.persons import accepted_scans
from penumbra.pipeline.register import current_register
from penumbra.pipeline.workspace import Work
from penumbra.report.audit import Alike, Audit, Balance, Outside, Read, Spread
from penumbra.survival.selection import folds_within

SHUFFLES = 999  # permutations behind the p of a table of folds
SPACING_DIGITS = 1  # of the distance between slices, mm: scans of one protocol are one level


def audit(work: Work) -> Audit:
    """Try what could be wrong with the evidence of the model that evaluate chose.

    Raises
    ------
    Refusal
        "stage_is_current", "stages_in_order", where a stage has to be run first.
    """
    began = time.monotonic()
    data = read_dataset(work)
    fused = current_fuse(work, data)
    evaluated = current_evaluate(work, data, fused)
    registered, served = current_register(work, evaluated), served_by(evaluated)
    inside = np.flatnonzero(data.training)
    inner = Inner(work, data, accepted_images(work), inside, served)
    model, choice = load_models(work, fused.key)[served], evaluated.choice
    say(f"auditing {served}: {work.settings.audit.permutations} permutations of the outcomes, {work.settings.audit.panels} random panels")
    permuted = permuted_concordances(inner)
    columns = max(1, len(model.columns))
    panels = panel_concordances(inner, columns)
    with store.connect(work.home, read_only=True) as lake:
        alike, highest = doubles(inner, lake)
        folds = tuple(balances(inner, lake))
        scored, outside = flagged(lake, work.settings.register.model, registered.version)
        read = tuple(Read(row.center, row.stage, row.times, row.questions, row.last.isoformat(timespec="seconds")) for row in looks.ledger(lake))
        begun = looks.begun(lake).isoformat(timespec="seconds")
    return Audit(
        label=f"{registered.model}/{registered.version}" if registered.version else f"{work.settings.register.model}-unregistered",
        served=served,
        at=datetime.now(UTC).isoformat(timespec="seconds"),
        seconds=time.monotonic() - began,
        c=concordance(cross_fitted_by(work, fused.key), served, data.outcomes.rows(inside)),
        falsifiers=choice.falsifiers if choice is not None and not choice.challenger else (),
        permuted=Spread(tuple(permuted)),
        networks=_networks(inner),
        panels=Spread(tuple(panels)),
        columns=columns,
        folds=folds,
        alike=tuple(alike),
        near=work.settings.audit.near,
        highest=highest,
        scored=scored,
        outside=outside,
        looks=read,
        begun=begun,
    )


def _networks(inner: Inner) -> str:
    """What became of the networks under permuted outcomes, in words."""
    if not inner.deep:
        return "The served model reads no network"
    retrained = min(inner.numbers.networks, inner.numbers.permutations)
    if Recipe.of(inner.work.settings).shares_networks:
        others = "in the others they stay as trained on the outcomes as they were, blind to the patient's own"
        return f"Networks were trained again in {retrained} of {inner.numbers.permutations} permutations (audit.networks); {others}"
    return f"Networks were trained again in every permutation; there are {retrained} (audit.networks), since each trains a network per fold"


def balances(inner: Inner, lake: store.Store) -> Iterator[Balance]:
    """Folds against the center of a patient, and against the distance between the slices of the scan."""
    data, inside, numbers = inner.data, inner.inside, inner.work.settings.crossfit
    outcomes = data.outcomes.rows(inside)
    folds = [folds_within(outcomes.centers, outcomes.event, folds=numbers.folds, seed=(numbers.seed, draw)) for draw in range(numbers.repeats)]
    spacing = {row["patient"]: row["spacing"] for row in lake.sql("SELECT patient, spacing FROM images").to_pylist()}
    distances = [spacing.get(patient) for patient in data.patients[inside].tolist()]
    slices = np.array(["unknown" if not mm else f"{mm[0]:.{SPACING_DIGITS}f} mm" for mm in distances])
    for what, levels in (("center", outcomes.centers), ("slice distance", slices)):
        yield balance(what, folds, levels, inner.numbers.seed)


def balance(what: str, folds: Sequence[np.ndarray], levels: np.ndarray, seed: int) -> Balance:
    """Whether a fold (n,) tells the level (n,) of a patient, in any of several draws.

    Parameters
    ----------
    seed
        Of the permutations behind p.

    References
    ----------
    Agresti 2013, Categorical Data Analysis, 3rd ed., section 16.5: the permutation distribution of chi-square where cells are sparse.
    """
    names, codes = np.unique(levels, return_inverse=True)
    if len(names) < 2:
        return Balance(what, len(names), float("nan"), float("nan"))
    random, smallest, largest = np.random.default_rng(seed), 1.0, 0.0
    for fold in folds:
        statistic = chi_square(fold, codes)
        reached = sum(chi_square(random.permutation(fold), codes) >= statistic - 1e-9 for _ in range(SHUFFLES))
        smallest, largest = min(smallest, (1 + reached) / (1 + SHUFFLES)), max(largest, statistic)
    return Balance(what, len(names), largest, min(1.0, smallest * len(folds)))


def chi_square(first: np.ndarray, second: np.ndarray) -> float:
    """Pearson's chi-square of two codes (n,) from 0 on."""
    table = np.zeros((int(first.max()) + 1, int(second.max()) + 1))
    np.add.at(table, (first, second), 1.0)
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    return float((((table - expected) ** 2)[expected > 0] / expected[expected > 0]).sum())


def doubles(inner: Inner, lake: store.Store) -> tuple[list[Alike], float]:
    """Scans stored for several patients, and pairs of patients of two centers with nearly the same features; and the highest correlation of such a pair."""
    from penumbra.cohort.twins import groups

    data, near = inner.data, inner.numbers.near
    alike = [
        Alike(tuple(scan.name for scan in group), "one scan, by pixels, files or figures")
        for group in groups(accepted_scans(lake))
        if len({scan.center for scan in group}) > 1
    ]
    values = data.blocks[GTV].values
    values = values[:, np.isfinite(values).all(axis=0) & (values.std(axis=0) > 0)]
    scores = (values - values.mean(axis=0)) / values.std(axis=0)
    correlation = np.atleast_2d(np.corrcoef(scores)) if scores.shape[1] > 1 else np.zeros((len(scores), len(scores)))
    correlation[data.centers[:, None] == data.centers[None, :]] = -1.0
    if correlation.size == 0 or (correlation == -1.0).all():
        return alike, float("nan")
    pairs = [(i, j) for i, j in zip(*np.nonzero(correlation > near), strict=True) if i < j]
    names = [f"patient {patient} of {center}" for patient, center in zip(data.patients, data.centers, strict=True)]
    alike += [
        Alike((names[i], names[j]), f"features of the GTV correlate {correlation[i, j]:.3f}") for i, j in sorted(pairs, key=lambda pair: -correlation[pair])
    ]
    return alike, float(correlation.max())


def flagged(lake: store.Store, model: str, version: int | None) -> tuple[int | None, tuple[Outside, ...]]:
    """How many predictions of the version know whether their patient is inside, and those who are not, outside first; None where no prediction knows."""
    query = (
        "SELECT patient, center, applicability, applicability_reason AS reason, applicability_columns AS columns FROM predictions"
        " WHERE model = ? AND version = ? AND applicability IN (?, ?, ?) ORDER BY applicability = ?, center, patient"
    )
    rows = lake.sql(query, [model, str(version), INSIDE, EDGE, OUTSIDE, EDGE]).to_pylist()
    beyond = tuple(Outside(**{**row, "columns": tuple(row["columns"] or ())}) for row in rows if row["applicability"] != INSIDE)
    return len(rows) or None, beyond
