"""Registered versions side by side."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from penumbra.evaluate.rows import MetricRow


@dataclass(frozen=True)
class ComparisonRow:
    """One metric of one model on one center over several versions, in the order they were asked for.

    Parameters
    ----------
    model, center, split, metric
        What was measured, and on whom.
    n, events
        Patients and deaths, of the newest version.
    versions
        In the order they were asked for.
    values
        Per version; NaN where a version was not measured there.
    lower, upper
        95 % limits per version.
    trained
        Per version: whether this center was among its training rows.
    difference
        Last version minus first.
    """

    model: str
    center: str
    split: str
    metric: str
    n: int
    events: int
    versions: tuple[str, ...]
    values: tuple[float, ...]
    lower: tuple[float, ...]
    upper: tuple[float, ...]
    trained: tuple[bool, ...]
    difference: float


def compare(
    rows: Iterable[tuple[str, MetricRow]],
    versions: Sequence[str] | None = None,
    *,
    metrics: Sequence[str] = ("harrell_c",),
    models: Sequence[str] = ("Combined",),
) -> list[ComparisonRow]:
    """Put registered versions side by side: one row per model, metric and center.

    Parameters
    ----------
    rows
        (version, metric row), as the relation `model_metrics` gives them.
    versions
        Which to show and in which order; all, oldest first, when None.
    metrics, models
        Which to show and in which order.

    Returns
    -------
    list
        A ComparisonRow each; training centers first, then in the order of `rows`.

    Examples
    --------
    >>> from penumbra.evaluate import MetricRow
    >>> from penumbra.registry import compare
    >>> first = MetricRow("Combined", "east", "test", "harrell_c", 0.60, 0.50, 0.70, 30, 20)
    >>> second = MetricRow("Combined", "east", "test", "harrell_c", 0.66, 0.56, 0.76, 30, 20)
    >>> line = compare([("1", first), ("2", second)])[0]
    >>> line.versions, line.values, round(line.difference, 2)
    (('1', '2'), (0.6, 0.66), 0.06)
    """
    wanted_models, wanted_metrics = list(models), list(metrics)
    found: dict[tuple[str, str, str], dict[str, MetricRow]] = {}
    seen: set[str] = set()
    for version, row in rows:
        seen.add(version)
        if row.model in wanted_models and row.metric in wanted_metrics:
            found.setdefault((row.model, row.metric, row.center), {})[version] = row
    order = tuple(versions) if versions is not None else tuple(sorted(seen, key=lambda version: (len(version), version)))
    table = [_side_by_side(by_version, order) for by_version in found.values() if any(version in by_version for version in order)]
    return sorted(table, key=lambda row: (wanted_models.index(row.model), wanted_metrics.index(row.metric), row.split != "train"))


def _side_by_side(by_version: dict[str, MetricRow], order: tuple[str, ...]) -> ComparisonRow:
    present = [by_version[version] for version in order if version in by_version]
    newest = present[-1]

    def per_version(field: str) -> tuple[float, ...]:
        return tuple(getattr(by_version[version], field) if version in by_version else math.nan for version in order)

    values = per_version("value")
    return ComparisonRow(
        model=newest.model,
        center=newest.center,
        split=newest.split,
        metric=newest.metric,
        n=newest.n,
        events=newest.events,
        versions=order,
        values=values,
        lower=per_version("lower"),
        upper=per_version("upper"),
        trained=tuple(version in by_version and by_version[version].split == "train" for version in order),
        difference=values[-1] - values[0],
    )
