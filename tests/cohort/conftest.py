"""A small simulated cohort and its ingest, made once for all tests of this folder."""

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from penumbra.base.params import read_yaml
from penumbra.cohort.clinical import read_clinical
from penumbra.cohort.entries import Accepted, Arrival, ImageRules, Rejected
from penumbra.cohort.incoming import ingest_center
from penumbra.cohort.rois import RoiRules, roi_rules

from ..limits import certificate_limits

if TYPE_CHECKING:
    from penumbra.cohort.simulate import Truth

ROOT = Path(__file__).resolve().parents[2]

Ingest = Callable[..., list[Accepted | Rejected]]


@pytest.fixture(scope="session")
def declared() -> RoiRules:
    return roi_rules(read_yaml(ROOT / "features" / "rois.yaml"))


@pytest.fixture(scope="session")
def cohort(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, "Truth"]:
    from penumbra.cohort.simulate import simulate
    from penumbra.cohort.simulate_centers import small_cohort

    folder = tmp_path_factory.mktemp("cohort")
    return folder, simulate(folder, seed=3, centers=small_cohort(2))


@pytest.fixture(scope="session")
def ingest(declared: RoiRules) -> Ingest:
    def run(folder: Path, center: str, images: Path, **changes: Any) -> list[Accepted | Rejected]:
        rules = ImageRules(1.0, 12.0, 0.0, declared.margins_mm, declared.of(center), certificate_limits())
        clinical = changes.pop("clinical", None) or read_clinical(folder / "clinical.csv")
        sent = {name: changes.pop(name) for name in ("pseudonym_key", "roots") if name in changes}
        return list(ingest_center(Arrival(center, folder, clinical, **sent), images=images, **{"rules": rules, **changes}))

    return run


@pytest.fixture(scope="session")
def ingested(cohort: tuple[Path, "Truth"], ingest: Ingest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Accepted], list[Rejected]]:
    folder, _ = cohort
    images = tmp_path_factory.mktemp("images")
    outcomes = [outcome for center in ("north", "east", "south") for outcome in ingest(folder / center, center, images)]
    accepted = [outcome for outcome in outcomes if isinstance(outcome, Accepted)]
    return images, accepted, [outcome for outcome in outcomes if isinstance(outcome, Rejected)]
