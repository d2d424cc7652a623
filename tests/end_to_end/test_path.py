"""From DICOM to a registered model, on the simulated cohort whose truth is known."""

import gzip
import json
import re
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from penumbra import fusion, store
from penumbra.cohort import read_truth
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import read_dataset
from penumbra.pipeline.manifests import PopulateManifest, RegisterManifest, ReportManifest
from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.stages import STAGES
from penumbra.pipeline.workspace import Work
from penumbra.survival import concordance_index

from .conftest import Run

pytestmark = [pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]


def rows(run: Run, statement: str) -> list[dict[str, object]]:
    found: list[dict[str, object]] = json.loads(run.penumbra("sql", statement, "--format", "json").stdout)
    return found


def test_every_patient_is_accepted_or_refused_as_the_truth_says(run: Run) -> None:
    truth = read_truth(run.cohort)
    accepted = {row["patient"] for row in rows(run, "SELECT patient FROM images")}
    assert accepted == {patient.patient for patient in truth.patients}
    refused = {(row["patient"], row["rule"]) for row in rows(run, "SELECT patient, rule FROM rejections")}
    assert refused == {(entry.patient, entry.rule) for entry in truth.refusals}


def test_the_masks_have_the_volume_that_was_drawn(run: Run) -> None:
    measured = {row["patient"]: row["volume_mm3"] for row in rows(run, "SELECT patient, volume_mm3 FROM rois WHERE roi = 'gtv'")}
    for patient in read_truth(run.cohort).patients:
        assert measured[patient.patient] == pytest.approx(patient.planimetric_mm3, rel=0.01)


def test_the_store_holds_1316_values_for_each_of_four_rois_and_none_is_missing(run: Run) -> None:
    populate = manifests.read(run.home, PopulateManifest)
    assert (populate.values, populate.not_finite) == (136 * 4 * 1316, 0)
    assert rows(run, "SELECT count(*) AS n, count(DISTINCT feature) AS features FROM radiomics_long WHERE roi = 'gtv'") == [{"n": 136 * 1316, "features": 1316}]


@pytest.mark.numeric
def test_the_combined_model_recovers_the_truth_on_centers_it_never_saw(run: Run) -> None:
    metrics = {
        (row["model"], row["metric"]): row
        for row in rows(run, "SELECT * FROM model_metrics WHERE center = 'external' AND metric IN ('harrell_c', 'delta_c_volume')")
    }
    combined = metrics["nsclc-os", "harrell_c"]
    assert combined["lower"] > 0.55  # type: ignore[operator]
    assert combined["value"] > metrics["Volume", "harrell_c"]["value"]  # type: ignore[operator]


@pytest.mark.numeric
def test_shuffled_outcomes_give_chance(run: Run) -> None:
    """The whole selection and fusion refitted on shuffled training outcomes, scored on the external centers."""
    data = read_dataset(Work(run.home, load_settings("quick"), "test"))
    declared = [fusion.Declaration("Both", "Both", "combined", "components", blocks=("gtv", "ring_6mm"))]
    order = np.random.default_rng(0)
    found = []
    for _ in range(6):
        shuffled = order.permutation(np.flatnonzero(data.training))
        model = fusion.fit_all(
            declared,
            data.rows(data.training),
            data.outcomes.rows(shuffled),
            load_settings("quick").fuse,
        )["Both"]
        if model.retained:
            table = {column: block.values[~data.training, i] for block in data.blocks.values() for i, column in enumerate(block.columns)}
            found.append(concordance_index(data.event[~data.training], data.time[~data.training], model.log_risk(table)))
    assert not found or abs(float(np.mean(found)) - 0.5) < 0.1


def test_the_same_command_again_recomputes_nothing(run: Run) -> None:
    before = rows(run, "SELECT max(id) AS newest FROM commits")
    registered = manifests.read(run.home, RegisterManifest)
    left = {stage.name: (run.home / "manifests" / f"{stage.name}.json").read_bytes() for stage in STAGES}
    assert all(b"made_from" in content for content in left.values())
    weights = next((run.home / "networks").glob("*/network.safetensors"))
    written = weights.stat().st_mtime_ns
    begin = time.monotonic()
    run.penumbra("run", "--cohort", str(run.cohort))
    print(f"unchanged run: {time.monotonic() - begin:.0f} s")
    assert rows(run, "SELECT max(id) AS newest FROM commits") == before
    assert manifests.read(run.home, RegisterManifest) == registered
    assert {stage.name: (run.home / "manifests" / f"{stage.name}.json").read_bytes() for stage in STAGES} == left
    assert weights.stat().st_mtime_ns == written
    assert rows(run, "SELECT count(*) AS n FROM model_versions") == [{"n": 1}]


@pytest.mark.numeric
def test_prediction_from_a_folder_is_the_prediction_in_the_store(run: Run) -> None:
    stored = rows(run, "SELECT * FROM predictions WHERE patient = 'E001'")[0]
    answered = json.loads(run.penumbra("predict", str(run.cohort / "east" / "E001"), "--format", "json").stdout)
    assert answered["log_risk"] == pytest.approx(stored["log_risk"], rel=1e-6)
    assert answered["risk_group"] == stored["risk_group"]
    assert answered["survival"]["2y"] == pytest.approx(stored["survival_2y"], rel=1e-6)


def test_every_relation_of_the_contract_answers(run: Run) -> None:
    relations = "centers patients images rois rejections feature_versions radiomics radiomics_long deep signatures model_versions model_metrics predictions"
    for relation in relations.split():
        assert rows(run, f"SELECT count(*) AS n FROM {relation}")[0]["n"], relation  # noqa: S608 names are ours


def test_a_query_is_answered_while_a_writer_is_at_work(run: Run) -> None:
    writer = f"""
from penumbra import store
with store.connect({str(run.home)!r}) as lake:
    def hold(connection):
        import time
        print("holding", flush=True)
        time.sleep(900)
    lake.transact(hold)
"""
    with subprocess.Popen([sys.executable, "-c", writer], stdout=subprocess.PIPE, text=True) as process:
        try:
            assert process.stdout is not None
            assert process.stdout.readline() == "holding\n"
            assert rows(run, "SELECT count(*) AS n FROM patients") == [{"n": 136}]
            assert process.poll() is None
        finally:
            process.kill()


def test_as_of_a_version_shows_the_store_that_it_was_trained_on(run: Run) -> None:
    then = json.loads(run.penumbra("sql", "SELECT count(*) AS n FROM predictions", "--as-of", "nsclc-os/1", "--format", "json").stdout)
    assert then == [{"n": 0}]


def stands_alone(word: bytes, content: bytes) -> bool:
    """Whether a birth date is not just a part of a digest or of a file's nanoseconds; anything else always does."""
    return not word.isdigit() or re.search(rb"(?<![0-9a-f])%b(?![0-9a-f])" % word, content) is not None


def test_nothing_identifying_left_the_arriving_files(run: Run) -> None:
    planted = sorted(word.encode() for word in read_truth(run.cohort).planted if len(word) > 5)
    sample = planted[:: max(1, len(planted) // 50)]  # all of them in every file would take an hour
    assert len(sample) >= 40
    for path in run.home.rglob("*"):
        if path.is_file() and "incoming" not in path.parts:
            content = gzip.decompress(path.read_bytes())[:352] if path.name.endswith(".nii.gz") else path.read_bytes()  # NIfTI header
            found = [word for word in sample if word in content and stands_alone(word, content)]
            assert not found, f"{path.relative_to(run.home)} holds {found[0]!r}"
    with store.connect(run.home, read_only=True) as lake:  # its files are compressed
        kept = repr([lake.rows(relation) for relation in ("patients", "images", "rois", "rejections")]).encode()
    assert [word for word in sample if word in kept] == []


def test_the_report_stands_alone(run: Run) -> None:
    page = Path(run.home / manifests.read(run.home, ReportManifest).page).read_text(encoding="utf-8")
    assert "http://" not in page.replace("http://www.w3.org", "")
    assert "https://" not in page
    for words in ("north", "east", "south", "Combined", "0.77"):
        assert words in page


def test_the_store_is_consistent(run: Run) -> None:
    with store.connect(run.home, read_only=True) as lake:
        assert store.check(lake) == []
    assert "BAD" not in run.penumbra("doctor", check=False).stdout
