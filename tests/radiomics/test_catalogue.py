"""The catalogue and the parity registry hold every feature, and are what their commands write."""

import csv
from pathlib import Path

from penumbra.radiomics import feature_names
from penumbra.radiomics.catalogue import main
from penumbra.radiomics.definitions import DEFINITIONS
from penumbra.radiomics.names import FEATURES

from .conftest import ROOT


def test_every_feature_is_defined_once() -> None:
    assert {family: set(features) for family, features in DEFINITIONS.items()} == {family: set(names) for family, names in FEATURES.items()}
    identifiers = [definition.ibsi for features in DEFINITIONS.values() for definition in features.values() if definition.ibsi]
    assert len(identifiers) == len(set(identifiers)) == 102


def test_the_catalogue_is_what_its_command_writes(tmp_path: Path, parameter_file: Path) -> None:
    assert main(["--out", str(tmp_path / "catalogue.csv")]) == 0
    written = (tmp_path / "catalogue.csv").read_text(encoding="utf-8")
    assert written == (ROOT / "features" / "catalogue.csv").read_text(encoding="utf-8")
    rows = list(csv.DictReader(written.splitlines()))
    assert tuple(row["feature"] for row in rows) == feature_names(parameter_file)
    assert all(row["unit"] and row["meaning"] for row in rows)
    assert {row["image"] for row in rows} >= {"original", "wavelet-LLH", "log-sigma-5-0-mm-3D"}


def test_the_store_answers_with_the_catalogue(tmp_path: Path) -> None:
    from penumbra import store

    with store.connect(tmp_path) as lake:
        told = lake.rows("catalogue")
    unmeasured = dict.fromkeys(("lowest_icc", "lowest_under", "lowest_in"))  # penumbra stability was not run
    with (ROOT / "features" / "catalogue.csv").open(encoding="utf-8") as stream:
        listed = [{**row, "ibsi": row["ibsi"] or None, **unmeasured} for row in csv.DictReader(stream)]
    assert sorted(told, key=lambda row: row["feature"]) == sorted(listed, key=lambda row: row["feature"])


def test_parity_registry_names_every_feature_and_holds(parameter_file: Path) -> None:
    with (ROOT / "tests" / "reference" / "radiomics_parity.csv").open(encoding="utf-8") as stream:
        rows = list(csv.DictReader(stream))
    assert tuple(row["feature"] for row in rows) == feature_names(parameter_file)
    for row in rows:
        assert float(row["largest_relative_difference"]) <= float(row["tolerance"]) <= 1e-6, row
        assert int(row["rois"]) >= 240, row
