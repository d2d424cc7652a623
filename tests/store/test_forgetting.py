"""A patient who withdraws leaves no byte, and everything else stays."""

import json
from pathlib import Path

import pytest

from penumbra import store
from penumbra.base.refusal import Refusal
from penumbra.store import forgetting

from .catalogs import Catalogs

pytestmark = pytest.mark.slow

GONE = "N000"  # of a training center, scored by the model, and the smallest name of its center


def bytes_of(folder: Path, catalogs: Catalogs) -> bytes:
    """All that is on disk of a store, its catalog included."""
    held = b"".join(file.read_bytes() for file in folder.rglob("*") if file.is_file())
    if catalogs.server is not None:
        with store.connect(folder, read_only=True) as lake:
            name = (lake.lake.catalog or "").rpartition("/")[2]
        held += catalogs.server.dump(name)
    return held


def test_nothing_of_a_forgotten_patient_stays(own: Path, catalogs: Catalogs) -> None:
    with store.connect(own) as lake:
        lake.write({"patients": [{"patient": GONE, "center": "north", "age": 99.0}]}, run="r", what="corrected")
        others = {relation: [row for row in lake.rows(relation) if row["patient"] != GONE] for relation in ("patients", "radiomics", "predictions", "rois")}
        if catalogs.server is not None:  # as the server does by itself after a minute: it keeps samples of every column
            lake.connection.execute("CALL postgres_execute('__ducklake_metadata_lake', 'ANALYZE')")
    assert GONE.encode() in bytes_of(own, catalogs)
    with store.connect(own) as lake:
        found = store.forget(lake, GONE, run="r", reason="consent withdrawn")
        of_models = {"signatures": 1, "model_patients": 1, "predictions": 1, "prediction_horizons": 3}
        assert found.rows == {"patients": 2, "images": 1, "rois": 4, "radiomics": 4, "deep": 1, **of_models}
        assert found.trained == ("nsclc-os/1",) == found.predictions
        assert not store.unfinished(lake)
        assert {relation: lake.rows(relation) for relation in others} == others
        assert store.check(lake) == []
        stone = lake.rows("withdrawals")[0]
    assert (stone["state"], stone["models"], json.loads(stone["removed"])["radiomics"]) == ("purged", ["nsclc-os/1"], 4)
    assert GONE.encode() not in bytes_of(own, catalogs)
    for commit in (1, 3, 5):
        with store.connect(own, as_of=commit) as earlier:
            assert GONE not in {row["patient"] for row in earlier.rows("patients")}
    with store.connect(own) as lake, pytest.raises(Refusal, match="no patient 'N000' in the store"):
        store.forget(lake, GONE, run="r")


def test_a_killed_forgetting_is_finished_later(own: Path, catalogs: Catalogs, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    with store.connect(own) as lake:
        with monkeypatch.context() as patch:
            patch.setattr(forgetting, "purge", killed)
            with pytest.raises(KeyboardInterrupt):
                store.forget(lake, GONE, run="r")
        assert store.unfinished(lake)
        assert GONE not in {row["patient"] for row in lake.rows("patients")}
        store.purge(lake, run="r")
        assert not store.unfinished(lake)
        assert store.check(lake) == []
    assert GONE.encode() not in bytes_of(own, catalogs)
