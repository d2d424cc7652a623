"""A small filled store: three centers, two ROIs, a corrected scan, a model."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from penumbra import store
from penumbra.store.limits import lock

from .catalogs import PROGRAMS, Catalogs, Server

FEATURES = tuple(f"{image}_{family}" for image in ("original", "wavelet-LLH") for family in ("glcm_Contrast", "firstorder_Mean", "shape_MeshVolume"))
ROIS = ("gtv", "ring_3mm", "ring_6mm", "ring_9mm")
CENTERS = {"north": 6, "east": 4, "south": 3}
VERSION = "0123456789ab"


def patients() -> list[dict[str, Any]]:
    names = [(f"{center[0].upper()}{i:03d}", center, i) for center, many in CENTERS.items() for i in range(many)]
    return [
        {
            "patient": name,
            "center": center,
            "age": 60.0 + i,
            "sex": "male" if i % 2 else "female",
            "overall_stage": "IIIA",
            "time": 200.0 * (i + 1),
            "event": i % 3 > 0,
        }
        for name, center, i in names
    ]


def image(patient: str, center: str, version: str = "image1") -> dict[str, Any]:
    return {"patient": patient, "center": center, "image_version": version, "sha256": "0" * 64, "spacing": (3.0, 0.98, 0.98), "size": [80, 64, 60]}


def vector_rows(image_version: str = "image1", seed: int = 0) -> list[dict[str, Any]]:
    draw = np.random.default_rng(seed)
    return [
        {"patient": row["patient"], "center": row["center"], "roi": roi, "image_version": image_version, "values": draw.standard_normal(len(FEATURES))}
        for row in patients()
        for roi in ROIS
    ]


def fill(home: Path) -> None:
    people = patients()
    with store.connect(home) as lake:
        lake.write(
            {
                "centers": [{"center": center} for center in CENTERS],
                "patients": people,
                "images": [image(row["patient"], row["center"]) for row in people],
                "rois": [
                    {
                        "patient": row["patient"],
                        "center": row["center"],
                        "roi": roi,
                        "image_version": "image1",
                        "volume_mm3": 1000.0 * (k + 1),
                        "status": "accepted",
                    }
                    for row in people
                    for k, roi in enumerate(ROIS)
                ],
                "rejections": [{"patient": "N900", "center": "north", "stage": "ingest", "rule": "gtv_found", "found": "Lung_L", "advice": "add a synonym"}],
            },
            run="run1",
            what="ingest",
        )
        store.declare_version(lake, VERSION, "radiomics", {"engine": "test"}, features=FEATURES, run="run1")
        store.write_features(lake, "radiomics", VERSION, vector_rows(), features=FEATURES, run="run1")
        deep = [
            {
                "patient": row["patient"],
                "center": row["center"],
                "roi": "gtv",
                "image_version": "image1",
                "log_risk": row["age"] / 100,
                "values": [row["age"]] * 4,
            }
            for row in people
        ]
        store.write_features(lake, "deep", "d00000000000", deep, features=[f"deep_{i:03d}" for i in range(4)], run="run1")
        register(lake, "1")


def register(lake: "store.Store", version: str) -> None:
    people = patients()
    metrics = [
        {
            "model": "nsclc-os",
            "version": version,
            "center": center,
            "split": "train" if center == "north" else "external",
            "metric": "harrell_c",
            "value": 0.6 + int(version) / 50,
            "lower": 0.5,
            "upper": 0.7,
            "n": many,
            "events": many // 2,
        }
        for center, many in CENTERS.items()
    ]
    inside = {"model": "nsclc-os", "version": version, "center": "training", "split": "cross_fitted", "n": CENTERS["north"], "events": CENTERS["north"] // 2}
    metrics += [{**inside, "metric": metric, "value": value} for metric, value in (("harrell_c", 0.61), ("harrell_c_se", 0.04), ("delta_c_volume", 0.01))]
    lake.write(
        {
            "signatures": [
                {"patient": row["patient"], "signature": "combined", "model": "nsclc-os", "model_version": version, "score": row["age"] / 50} for row in people
            ],
            "model_versions": [
                {"model": "nsclc-os", "version": version, "alias": "champion", "store_commit": lake.newest_commit(), "train_centers": ["north"]}
            ],
            "model_patients": [
                {"model": "nsclc-os", "version": version, "patient": row["patient"], "center": row["center"], "split": "train"}
                for row in people
                if row["center"] == "north"
            ],
            "model_metrics": metrics,
            "predictions": [
                {
                    "patient": row["patient"],
                    "center": row["center"],
                    "model": "nsclc-os",
                    "version": version,
                    "log_risk": row["age"] / 50,
                    "risk_group": "high" if row["age"] > 62 else "low",
                    "survival_1y": 0.8,
                    "survival_2y": 0.6,
                    "survival_3y": 0.5,
                }
                for row in people
            ],
            "prediction_horizons": [
                {"patient": row["patient"], "center": row["center"], "model": "nsclc-os", "version": version, "days": days, "survival": survival}
                for row in people
                for days, survival in ((365.0, 0.8), (730.0, 0.6), (1095.0, 0.5))
            ],
        },
        run="run1",
        what=f"register {version}",
    )


@pytest.fixture(scope="session")
def servers() -> Iterator[list[Server]]:
    """The PostgreSQL server of this session, started by the first test that needs it."""
    started: list[Server] = []
    yield started
    for server in started:
        server.stop()


@pytest.fixture(params=["sqlite", pytest.param("postgres", marks=pytest.mark.slow)])
def catalogs(request: pytest.FixtureRequest, servers: list[Server]) -> Catalogs:
    """Every test of the store runs on both catalogs."""
    if request.param == "sqlite":
        return Catalogs(None)
    if not PROGRAMS:
        pytest.skip("PostgreSQL is not installed here (apt-get install postgresql; .ci/run does it): the store is tested on its SQLite catalog alone")
    if not servers:
        servers.append(Server())
    return Catalogs(servers[0])


@pytest.fixture
def other(catalogs: Catalogs, servers: list[Server]) -> Catalogs:
    """The other kind of catalog, to move to; where there is no PostgreSQL, another SQLite file."""
    if catalogs.server is None and PROGRAMS and not servers:
        servers.append(Server())
    return Catalogs(servers[0] if catalogs.server is None and servers else None)


@pytest.fixture(scope="session")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Any]]:
    """Stores that several tests share, by name and catalog."""
    shared: dict[str, Any] = {"folder": tmp_path_factory.mktemp("stores")}
    yield shared
    for kept in shared.values():
        if isinstance(kept, store.Store):
            kept.close()


def _shared(made: dict[str, Any], catalogs: Catalogs, name: str, make: Callable[[Path], None]) -> Path:
    key = f"{name}-{'sqlite' if catalogs.server is None else 'postgres'}"
    if key not in made:
        home = catalogs.begin(made["folder"] / key)
        make(home)
        made[key] = home
    path: Path = made[key]
    return path


@pytest.fixture
def empty(made: dict[str, Any], catalogs: Catalogs) -> Path:
    """A store with every migration and no rows."""
    return _shared(made, catalogs, "empty", lambda home: store.connect(home).close())


@pytest.fixture
def filled(made: dict[str, Any], catalogs: Catalogs) -> Path:
    """A filled store that tests only read."""
    return _shared(made, catalogs, "filled", fill)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """The folder of `lake`, or of a store that a test begins with `catalogs.begin`."""
    return tmp_path / "home"


@pytest.fixture
def own(tmp_path: Path, catalogs: Catalogs, filled: Path) -> Path:
    """A filled store that the test may change."""
    return catalogs.copy(filled, tmp_path / "own")


@pytest.fixture
def lake(home: Path, catalogs: Catalogs, empty: Path) -> Iterator["store.Store"]:
    """An empty store, open to write, in `home`."""
    with store.connect(catalogs.copy(empty, home)) as opened:
        yield opened


@pytest.fixture
def locked(made: dict[str, Any], catalogs: Catalogs, filled: Path) -> "store.Store":
    """One connection as `query` makes it, for all statements: opening one for each would take minutes."""
    key = f"locked {filled.name}"
    if key not in made:  # a database that somebody has open cannot be copied, hence a copy of the shared one
        made[key] = store.connect(catalogs.copy(filled, made["folder"] / key), read_only=True)
        made[key].require(None)
        lock(made[key], "1GB")
    opened: store.Store = made[key]
    return opened
