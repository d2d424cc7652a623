"""Benchmark of the store: python -m penumbra.bench.store [--patients 300] [--large 100000] [--huge 1000000].

A table for people, and as the last line one JSON object. Values are random, so nothing compresses; --large 0 leaves the large store out. The huge one is
left out unless it is asked for: one ROI without deep features, 11 GB on disk, ten minutes.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from penumbra import store
from penumbra.base.blocks import DEEP, GTV, declared_margins, deep_names, rois_of
from penumbra.base.params import project_root

CENTERS = ("north", "east", "south")
ROIS = rois_of(declared_margins(project_root() / "features"))
FEATURES = [f"wavelet-{''.join('LH'[i >> b & 1] for b in range(3))}_feature_{i:04d}" for i in range(1316)]
DEEP_FEATURES = deep_names(512)
VERSION = "bench0000000"
ROWS_AT_ONCE = 8000  # in one commit of the large stores: 84 MB of values
BATCH = ROWS_AT_ONCE // len(ROIS)  # patients
TWO_COLUMNS = f"SELECT patient, \"{FEATURES[3]}\", \"{FEATURES[900]}\" FROM radiomics WHERE center = 'east' AND roi = 'gtv'"  # noqa: S608
# Not ru_maxrss: a child inherits its parent's.
OPENED = "import sys; from penumbra import store; lake = store.connect(sys.argv[1], read_only=True, as_of=int(sys.argv[3]) if sys.argv[3:] else None)\n"
QUERY = "import sys; from penumbra.store import query; query(sys.argv[1], sys.argv[2], as_of=int(sys.argv[3]) if sys.argv[3:] else None)\n"
MATRIX = OPENED + "store.read_matrix(lake, 'radiomics', 'gtv', version=sys.argv[2])\n"
PARTS = OPENED + "for part in store.matrix_parts(lake, 'radiomics', 'gtv', version=sys.argv[2]): part.values.sum(axis=0)\n"
STATEMENT = OPENED + "lake.sql(sys.argv[2])\n"
PEAK = "print(next(int(line.split()[1]) for line in open('/proc/self/status') if line.startswith('VmHWM')) / 2**20)"


def fill(lake: store.Store, first: int, many: int, draw: np.random.Generator, *, rois: Sequence[str] = ROIS, deep: bool = True) -> None:
    """Patients first to first + many - 1, spread over three centers, with every feature."""
    common: list[dict[str, object]] = [{"patient": f"P{i:07d}", "center": CENTERS[i % 3], "image_version": "i1"} for i in range(first, first + many)]
    lake.write(
        {
            "patients": [
                {"patient": row["patient"], "center": row["center"], "time": 100.0 + i, "event": i % 3 > 0} for i, row in enumerate(common, start=first)
            ],
            "images": common,
        },
        run="bench",
        what="patients",
    )
    rows = [{**row, "roi": roi, "values": draw.standard_normal(len(FEATURES))} for row in common for roi in rois]
    store.write_features(lake, "radiomics", VERSION, rows, features=FEATURES, run="bench")
    if deep:
        rows = [{**row, "roi": GTV, "log_risk": 0.0, "values": draw.standard_normal(len(DEEP_FEATURES))} for row in common]
        store.write_features(lake, DEEP, VERSION, rows, features=DEEP_FEATURES, run="bench")


def seconds(work: Callable[[], object], times: int = 5) -> float:
    """The median of some runs after one that warms up."""
    work()
    durations = []
    for _ in range(times):
        started = time.perf_counter()
        work()
        durations.append(time.perf_counter() - started)
    return float(np.median(durations))


def cold(name: str, home: Path, program: str, *arguments: str) -> dict[str, float]:
    """Seconds, processor seconds and peak GB of a program that a new process runs on the store."""
    started, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    process = subprocess.run([sys.executable, "-c", program + PEAK, str(home), *arguments], check=True, capture_output=True, text=True)
    took, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    worked = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    figures = {f"{name}_s": took, f"{name}_processor_s": worked, f"{name}_gb": float(process.stdout)}
    print(", ".join(f"{figure} {value:.2f}" for figure, value in figures.items()), file=sys.stderr)
    return figures


def megabytes(home: Path) -> float:
    """Size of the store on disk in MB."""
    return sum(file.stat().st_size for file in home.rglob("*") if file.is_file()) / 1e6


def layouts(folder: Path, patients: int) -> dict[str, float]:
    """The same values, 4 ROIs and 1316 features, as Parquet in three layouts: seconds to write, to read one ROI as a matrix and two columns, and MB."""
    import duckdb
    import pyarrow as pa

    rows, draw = patients * len(ROIS), np.random.default_rng(0)
    values = draw.standard_normal((rows, len(FEATURES)))
    keys = {
        "patient": pa.array(np.repeat([f"P{i:06d}" for i in range(patients)], len(ROIS))),
        "center": pa.array(np.repeat([CENTERS[i % 3] for i in range(patients)], len(ROIS))),
        "roi": pa.array(list(ROIS) * patients),
    }
    blocks = {f"v{k // 64:02d}": pa.FixedSizeListArray.from_arrays(values[:, k : k + 64].ravel(), values[:, k : k + 64].shape[1]) for k in range(0, 1316, 64)}
    tables = {
        "wide": pa.table({**keys, **{name: pa.array(values[:, i]) for i, name in enumerate(FEATURES)}}),
        "lists": pa.table({**keys, **{name: block.cast(pa.list_(pa.float64())) for name, block in blocks.items()}}),
    }
    sources = {"wide": "FROM wide", "lists": "FROM lists"}
    sources["long"] = "SELECT patient, center, roi, unnest($names) AS feature, unnest(v) AS value FROM (SELECT * EXCLUDE (v), v FROM long_source)"
    tables["long_source"] = pa.table({**keys, "v": pa.ListArray.from_arrays(np.arange(0, values.size + 1, len(FEATURES), dtype=np.int32), values.ravel())})
    one, two = FEATURES[3], FEATURES[900]
    matrix = {
        "wide": "SELECT * EXCLUDE (patient, center, roi) FROM '{file}' WHERE roi = 'gtv' ORDER BY patient",
        "lists": "SELECT COLUMNS('v.*') FROM '{file}' WHERE roi = 'gtv' ORDER BY patient",
        "long": "SELECT value FROM '{file}' WHERE roi = 'gtv' ORDER BY patient, feature",
    }
    pair = {
        "wide": "SELECT patient, \"{one}\", \"{two}\" FROM '{file}' WHERE center = 'east' AND roi = 'gtv'",
        "lists": "SELECT patient, v00[4], v14[5] FROM '{file}' WHERE center = 'east' AND roi = 'gtv'",
        "long": "SELECT patient, max(value) FILTER (feature = '{one}'), max(value) FILTER (feature = '{two}') FROM '{file}' "
        "WHERE center = 'east' AND roi = 'gtv' AND feature IN ('{one}', '{two}') GROUP BY patient",
    }
    figures: dict[str, float] = {}
    with duckdb.connect() as engine:
        for name, table in tables.items():
            engine.register(name, table)
        for layout, source in sources.items():
            file = folder / f"{layout}.parquet"
            started = time.perf_counter()
            engine.execute(f"COPY ({source}) TO '{file}'", {"names": FEATURES} if "$names" in source else {})
            figures[f"{layout}_write_s"] = time.perf_counter() - started
            figures[f"{layout}_mb"] = file.stat().st_size / 1e6
            figures[f"{layout}_matrix_s"] = seconds(lambda: engine.execute(matrix[layout].format(file=file)).to_arrow_table(), 3)  # noqa: B023 called here
            figures[f"{layout}_two_s"] = seconds(lambda: engine.execute(pair[layout].format(file=file, one=one, two=two)).to_arrow_table(), 3)  # noqa: B023 called here
            file.unlink()
    return {f"{patients}_{name}": value for name, value in figures.items()}


def shell(home: Path, *arguments: str) -> float:
    """Seconds of one command of penumbra from the shell."""
    started = time.perf_counter()
    subprocess.run([Path(sys.executable).with_name("penumbra"), *arguments], check=True, capture_output=True, env={**os.environ, "PENUMBRA_HOME": str(home)})
    return time.perf_counter() - started


def measure_small(home: Path, patients: int) -> dict[str, float]:
    """A store that grew by batches of four patients, as populate writes it."""
    draw = np.random.default_rng(0)
    figures: dict[str, float] = {}
    with store.connect(home) as lake:
        started = time.perf_counter()
        for first in range(0, patients, 4):
            fill(lake, first, min(4, patients - first), draw)
        figures["fill_s"] = time.perf_counter() - started
        figures["append_patient_s"] = seconds(lambda: fill(lake, 10**5 + len(lake.rows("patients")), 1, draw)) / 3  # three commits each
        figures["matrix_s"] = seconds(lambda: store.read_matrix(lake, "radiomics", "gtv", version=VERSION))
        figures["long_mean_s"] = seconds(lambda: lake.sql("SELECT feature, avg(value) FROM radiomics_long GROUP BY feature"), 3)
        figures["drift_view_s"] = seconds(lambda: lake.sql("SELECT count(*) FROM center_drift"), 3)
        figures["statistics_view_s"] = seconds(lambda: lake.sql("FROM feature_statistics"), 3)
        figures["wide_row_s"] = seconds(lambda: lake.sql("FROM gtv_outcome LIMIT 1"), 3)
    figures["sql_cold_s"] = float(np.median([shell(home, "sql", TWO_COLUMNS) for _ in range(5)]))
    figures["drift_command_s"] = float(np.median([shell(home, "drift", "east") for _ in range(3)]))
    figures["disk_mb"] = megabytes(home)
    with store.connect(home) as lake:
        started = time.perf_counter()
        fill(lake, 10**6, 1000, draw)
        figures["append_1000_s"] = time.perf_counter() - started
    return figures


def filled(name: str, home: Path, patients: int, rois: Sequence[str], *, deep: bool) -> dict[str, float]:
    """Make a store of so many patients: seconds, and GB on disk."""
    draw, at_once = np.random.default_rng(0), ROWS_AT_ONCE // len(rois)
    with store.connect(home) as lake:
        started = time.perf_counter()
        for first in range(0, patients, at_once):
            fill(lake, first, min(at_once, patients - first), draw, rois=rois, deep=deep)
            print(f"{min(first + at_once, patients)} patients after {time.perf_counter() - started:.0f} s", file=sys.stderr)
        figures = {f"{name}_fill_s": time.perf_counter() - started}
    return figures | {f"{name}_disk_gb": megabytes(home) / 1000}


def questions(name: str, home: Path) -> dict[str, float]:
    """What is asked of a store the size of a cancer registry, each in a new process."""
    figures = cold(f"{name}_two_columns", home, QUERY, TWO_COLUMNS)
    figures[f"{name}_sql_s"] = float(np.median([shell(home, "sql", TWO_COLUMNS) for _ in range(3)]))
    figures |= cold(f"{name}_matrix_parts", home, PARTS, VERSION)
    return figures | cold(f"{name}_drift_view", home, STATEMENT, "SELECT count(*) FROM center_drift")


def measure_large(home: Path, patients: int) -> dict[str, float]:
    """A store the size of a cancer registry."""
    figures, draw = filled("large", home, patients, ROIS, deep=True), np.random.default_rng(1)
    with store.connect(home) as lake:
        figures["large_append_1000_s"] = seconds(lambda: fill(lake, 10**6 + len(lake.rows("patients")), 1000, draw), 1)
        figures["large_append_patient_s"] = seconds(lambda: fill(lake, 2 * 10**6 + len(lake.rows("patients")), 1, draw), 1) / 3
    return figures | questions("large", home) | cold("large_matrix", home, MATRIX, VERSION)


def measure_huge(home: Path, patients: int) -> dict[str, float]:
    """Far more than any center has: one ROI, no deep features. The matrix is read in parts alone."""
    figures = filled("huge", home, patients, (GTV,), deep=False)
    with store.connect(home) as lake:
        before, started = lake.newest_commit(), time.perf_counter()
        fill(lake, patients, 1000, np.random.default_rng(1), rois=(GTV,), deep=False)
        figures["huge_append_1000_s"] = time.perf_counter() - started
    figures |= questions("huge", home)
    return figures | cold("huge_as_of", home, QUERY, TWO_COLUMNS, str(before))


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--patients", type=int, default=300)
    parser.add_argument("--large", type=int, default=100_000)
    parser.add_argument("--huge", type=int, default=0, help="patients of a store of one ROI, such as 1000000")
    parser.add_argument("--layouts", type=int, default=3000, help="patients at which the layouts are compared once more; long rows take 500 million at 100,000")
    parser.add_argument("--folder", type=Path, help="where the stores are made and removed again; default: the system's temporary folder")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.folder) as folder:
        figures = measure_small(Path(folder) / "small", options.patients) | layouts(Path(folder), options.patients)
        if options.layouts:
            figures |= layouts(Path(folder), options.layouts)
        if options.large:
            figures |= measure_large(Path(folder) / "large", options.large)
        if options.huge:
            figures |= measure_huge(Path(folder) / "huge", options.huge)
    for name, value in figures.items():
        print(f"{name:24s} {value:10.3f}")
    print(json.dumps({name: round(value, 4) for name, value in figures.items()}))


if __name__ == "__main__":
    main()
