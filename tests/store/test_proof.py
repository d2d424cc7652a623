"""Digests, exports, and a check that finds what is wrong."""

from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import Store

from .conftest import FEATURES, VERSION, patients, vector_rows


@pytest.mark.slow
def test_digest_depends_on_values_alone(filled: Path, lake: Store) -> None:
    """The same rows in other commits, in another order, written by hand."""
    with store.connect(filled, read_only=True) as original:
        digests = {name: store.digest(original, name) for name in ("patients", "radiomics", "deep")}
        gtv = store.digest(original, "radiomics", version=VERSION, roi="gtv", patient=["N000", "S001"])
    for row in reversed(patients()):
        lake.write({"patients": [row]}, run="other", what="one by one")
    for row in reversed(vector_rows()):
        store.write_features(lake, "radiomics", VERSION, [row], features=FEATURES, run="other")
    assert store.digest(lake, "patients") == digests["patients"]
    assert store.digest(lake, "radiomics") == digests["radiomics"] != digests["deep"]
    assert store.digest(lake, "radiomics", version=VERSION, roi="gtv", patient=["S001", "N000"]) == gtv


def test_digest_sees_the_last_bit(lake: Store) -> None:
    seen = set()
    for k, value in enumerate((0.1, 0.1 + 2**-56, -0.1, float("nan"))):
        row = {"patient": "P", "center": "c", "roi": "gtv", "image_version": "i", "values": [value]}
        store.write_features(lake, "radiomics", f"v{k}", [row], features=["f"], run="r")
        seen.add(store.digest(lake, "radiomics", version=f"v{k}", without=["version"]))
    assert len(seen) == 4


def test_digest_by_hand(lake: Store) -> None:
    import hashlib

    lake.write({"centers": [{"center": "north"}]}, run="r", what="w")
    line = "\x1f".join(("north", "0", "0"))
    by_hand = hashlib.sha256("\x1f".join(("center", "events", "patients")).encode() + hashlib.sha256(line.encode()).digest()).hexdigest()
    assert store.digest(lake, "centers") == by_hand


def test_a_digest_of_some_rows_is_of_a_relation_and_columns_that_there_are(filled: Path) -> None:
    with store.connect(filled, read_only=True) as lake:
        assert store.digest(lake, "patients", center="north") != store.digest(lake, "patients")
        with pytest.raises(Refusal, match="has no column 'centre'"):
            store.digest(lake, "patients", centre="north")
        with pytest.raises(Refusal, match="no relation 'patient'"):
            store.digest(lake, "patient")


@pytest.mark.slow
def test_check_finds_what_is_wrong(own: Path) -> None:
    with store.connect(own) as lake:
        assert store.check(lake) == []
        lake.connection.execute("INSERT INTO lake.radiomics FROM lake.radiomics LIMIT 1")
        lake.connection.execute("DELETE FROM lake.patients WHERE patient = 'N000'")
        problems = store.check(lake)
        assert any("radiomics holds 2 rows of patient" in problem for problem in problems)
        assert "patients holds 12 rows of commit 1, which says 13" in problems
        lake.connection.execute("DELETE FROM lake.commits WHERE id = 2")
        assert any(problem.startswith("commits holds 4 rows") for problem in store.check(lake))
