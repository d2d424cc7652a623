"""A center whose clinical table is refused as a whole: it takes no part, and the others reach a registered version."""

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from penumbra import registry, store
from penumbra.base import workers
from penumbra.base.refusal import Refusal
from penumbra.commands import run as run_command
from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.evaluate import evaluate
from penumbra.pipeline.fuse import fuse
from penumbra.pipeline.ingest import ingest
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.pipeline.origins import accepted_images
from penumbra.pipeline.populate import populate
from penumbra.pipeline.register import register
from penumbra.pipeline.report import report
from penumbra.pipeline.settings import Settings, load_settings
from penumbra.pipeline.train import train
from penumbra.pipeline.workspace import Work
from penumbra.retraining import protocol

from ..cohort.test_ingest_stage import write_pair

pytestmark = pytest.mark.slow

NO_TIME = "patient,sex\nW01,F\n"
REFUSED = "no column for time, event; found: patient, sex."


def table(center: str, patients: int, days: float = 500.0) -> str:
    """A clinical table of a center with that many patients, whose scans are written by `send`."""
    draw = np.random.default_rng(patients)
    rows = [f"{center[0].upper()}{i:02d},{'FM'[i % 2]},{50 + i},{int(draw.exponential(days)) + 1},{int(draw.random() < 0.8)}\n" for i in range(patients)]
    return "patient,sex,age,time,event\n" + "".join(rows)


def send(root: Path, center: str, text: str) -> None:
    """A center's folder, with a scan for everyone in the table."""
    for line in text.splitlines()[1:]:
        write_pair(root / center / line.split(",")[0], 0)
    (root / center / "clinical.csv").write_text(text, encoding="utf-8")


def quick_settings() -> Settings:
    """A network and models as small as they may be, on the training center north."""
    known = load_settings("quick")
    return replace(
        known,
        cohort=replace(known.cohort, train_centers=("north",)),
        network=replace(known.network, input_size=8, filters=(4,), strides=(1,), units=1, head=(4,), stem_filters=4),
        train=replace(known.train, epochs=1),
        ensemble=replace(known.ensemble, folds=2),
        crossfit=replace(known.crossfit, folds=2, repeats=1),
        fuse=replace(known.fuse, folds=3, alpha=0.9, lasso_patience=3),
        evaluate=replace(known.evaluate, bootstraps=10, refits=1),
        report=replace(known.report, patients=0),
    )


@pytest.fixture
def work(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Work:
    monkeypatch.delenv("PENUMBRA_PSEUDONYM_KEY", raising=False)
    monkeypatch.setattr(workers, "available_cores", lambda: 1)  # a process costs more to start than these scans to read
    return Work(tmp_path / "home", quick_settings(), "test")


def test_the_others_reach_a_version_and_it_arrives_once_its_table_is_accepted(work: Work, tmp_path: Path) -> None:
    """The whole path. Register ended in KeyError: 'clinical'."""
    sent = tmp_path / "sent"
    for center, text in (("north", table("north", 14)), ("east", table("east", 6)), ("west", NO_TIME)):
        send(sent, center, text)
    arrivals.take_cohort(work.home, sent)
    for stage in (ingest, populate, train, fuse, evaluate, register, report):
        stage(work)
    entry = registry.find(work.home, manifests.read(work.home, RegisterManifest).version)
    assert entry.train_centers == ("north",)
    assert sorted(registry.load(work.home, entry.version).lineage.data_digests) == ["east", "north"]
    assert "west" in run_command.summary(work)
    found = store.query(work.home, "SELECT patient, center, rule FROM rejections").to_pylist()
    assert found == [{"patient": None, "center": "west", "rule": "clinical_columns"}]

    assert protocol.waiting(work) == ["west"]
    decided = protocol.retrain(work, "west")
    assert (decided.decision, decided.challenger) == ("stop", None)
    assert decided.reason.startswith(f"Stopped: the clinical table of west was refused: {REFUSED}")
    assert protocol.waiting(work) == [], "nothing new until it is sent again"
    send(sent, "west", table("west", 3))
    assert protocol.waiting(work) == ["west"]


TABLES = {
    "no outcome": (NO_TIME, "clinical_columns"),
    "empty": ("", "clinical_readable"),
    "no rows": ("patient,time,event\n", "clinical_readable"),
    "a spreadsheet": ("PK\x03\x04", "clinical_readable"),
    "no table": (None, "clinical_found"),
}


@pytest.mark.parametrize(("text", "rule"), TABLES.values(), ids=TABLES)
def test_a_center_that_was_accepted_before_takes_no_part_until_its_table_is_accepted_again(work: Work, tmp_path: Path, text: str | None, rule: str) -> None:
    """Its rows stay in the store, for SQL and for versions that know it; no model is fitted or measured on them, since nothing tells which still hold."""
    sent, good = tmp_path / "sent", table("east", 2)
    for center, rows in (("north", table("north", 3)), ("east", good)):
        send(sent, center, rows)
    arrivals.take_cohort(work.home, sent)
    before = ingest(work)
    assert sorted(accepted_images(work)) == ["E00", "E01", "N00", "N01", "N02"]

    (sent / "east" / "clinical.csv").unlink()
    if text is not None:
        (sent / "east" / "clinical.csv").write_text(text, encoding="utf-8")
    refused = ingest(work).centers["east"]
    assert (refused.accepted, refused.rejected) == ({}, {rule: 1})
    assert sorted(accepted_images(work)) == ["N00", "N01", "N02"]
    assert store.query(work.home, "SELECT center, patients FROM centers ORDER BY center").to_pylist() == [
        {"center": "east", "patients": 2},
        {"center": "north", "patients": 3},
    ]
    assert store.query(work.home, "SELECT center, rule FROM rejections").to_pylist() == [{"center": "east", "rule": rule}]

    ingest(work)
    assert store.query(work.home, "SELECT center, rule FROM rejections").to_pylist() == [{"center": "east", "rule": rule}], "said once"

    send(sent, "east", good)
    rows = "SELECT max(commit_id) AS newest FROM patients"
    newest = store.query(work.home, rows).to_pylist()
    assert ingest(work) == before
    assert store.query(work.home, rows).to_pylist() == newest, "the same records write nothing"
    assert store.query(work.home, "SELECT * FROM rejections").num_rows == 0
    (sent / "east" / "clinical.csv").unlink()
    ingest(work)
    assert store.query(work.home, "SELECT rule FROM rejections").to_pylist() == [{"rule": "clinical_found"}], "refused once more"


def test_a_refused_training_center_is_one_sentence_and_so_are_all(work: Work, tmp_path: Path) -> None:
    sent = tmp_path / "sent"
    send(sent, "north", NO_TIME.replace("W01", "N01"))
    send(sent, "east", table("east", 2))
    arrivals.take_cohort(work.home, sent)
    ingest(work)
    none = "none of the training centers (north) has an accepted patient; centers here: east; north: "
    with pytest.raises(Refusal) as refusal:
        train(work)
    assert str(refusal.value).startswith(none + REFUSED)
    assert str(refusal.value).endswith("Correct the table and run again. (rule training_patients)")
    send(sent, "east", NO_TIME.replace("W01", "E01"))
    ingest(work)
    for stage in (populate, train, fuse):
        with pytest.raises(Refusal, match=r"no patient was accepted at ingest: east: .*clinical_columns.*; north: .*clinical_columns.*a_patient_is_accepted"):
            stage(work)
