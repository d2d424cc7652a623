"""Which metrics of a version MLflow shows by name, and the table that has all of them.

A version has some 3,500 numbers, and MLflow draws one bar chart for each that it is given. So it is given a few dozen by name, on the run and on the logged
model; all are rows of one table, `metrics.json` among the run's artifacts, in the form in which MLflow shows a table. A version from before the table has
its numbers by name alone: readers take both.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from pathlib import Path
from typing import Any

from penumbra.base.whole_files import write_whole
from penumbra.evaluate.rows import MetricRow
from penumbra.registry.database import experiment_root

TABLE = "metrics.json"
MEASURES = frozenset(("harrell_c", "uno_c", "auc_2y", "calibration_slope", "observed_expected_2y"))
WITH_LIMITS = frozenset(("harrell_c",))
COUNTS = frozenset(("n", "events"))
INSIDE = "cross_fitted"
SERVED = "served"  # column of the table: whether the row is of the model that answers


def is_named(name: str) -> bool:
    """Whether MLflow shows a metric by its name: of the served model, at a whole center or inside the training centers."""
    measure, _, place = name.partition("/")
    bare = measure.removesuffix("_lower").removesuffix("_upper")
    of_served = "/" not in place or (place.endswith(f"/{INSIDE}") and place.count("/") == 1)
    return of_served and (measure in MEASURES or measure in COUNTS or (bare != measure and bare in WITH_LIMITS))


def table_of(home: Path, run_id: str) -> Path:
    """The file of a run's table; artifacts are in the home also where a server has the registry."""
    return artifacts_of(home, run_id) / TABLE


def artifacts_of(home: Path, run_id: str) -> Path:
    """The folder of a run's artifacts."""
    return experiment_root(home) / run_id / "artifacts"


def read_table(home: Path, run_id: str) -> list[tuple[MetricRow, bool]]:
    """The rows of a run's table, and whether each is of the served model; none where there is no table, or none that can be read."""
    try:
        content = json.loads(table_of(home, run_id).read_text(encoding="utf-8"))
        places = {name: place for place, name in enumerate(content["columns"])}
        return [(_row({name: values[place] for name, place in places.items()}), bool(values[places[SERVED]])) for values in content["data"]]
    except (OSError, ValueError, KeyError, TypeError, IndexError):
        return []


def write_table(home: Path, run_id: str, rows: Iterable[MetricRow], served: str) -> None:
    """Add rows to a run's table; one that it has already is replaced. Atomic: a reader sees the old or the new one."""
    merged = {_key(row): (row, of_served) for row, of_served in read_table(home, run_id)}
    merged |= {_key(row): (row, row.model == served) for row in rows}
    columns = [field.name for field in fields(MetricRow)]
    answering_first = sorted(merged.values(), key=lambda each: not each[1])
    data = [[*(_plain(asdict(row)[name]) for name in columns), of_served] for row, of_served in answering_first]
    file = table_of(home, run_id)
    file.parent.mkdir(parents=True, exist_ok=True)
    write_whole(file, json.dumps({"columns": [*columns, SERVED], "data": data}, allow_nan=False))


def _key(row: MetricRow) -> tuple[str, ...]:
    return row.model, row.center, row.split, row.metric


def _row(values: Mapping[str, Any]) -> MetricRow:
    numbers = {name: math.nan if values[name] is None else float(values[name]) for name in ("value", "lower", "upper")}
    texts = {name: str(values[name]) for name in ("model", "center", "split", "metric", "reason")}
    counts = int(values["n"]), int(values["events"])
    named = texts["model"], texts["center"], texts["split"], texts["metric"]
    return MetricRow(*named, numbers["value"], numbers["lower"], numbers["upper"], *counts, texts["reason"])


def _plain(value: Any) -> Any:
    """A value for JSON, which has no NaN."""
    return None if isinstance(value, float) and not math.isfinite(value) else value
