"""The physicist's way: from a flagged patient to why, to the contour, to the risk under two versions, to who was fitted on the patient."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra import registry, store
from tests.console import serving
from tests.console.browser import Browser
from tests.console.serving import Served

from .conftest import Run

pytestmark = pytest.mark.slow

FLAGGED = "N001"  # of the simulated cohort: slices are missing within its tumor


def register_second(home: Path) -> None:
    """A second version of the run's model, which answers with volume alone, with the scores that the store has of it."""
    champion = registry.load(home, registry.CHAMPION)
    lineage = replace(champion.lineage, code_commit="second")
    bundle = registry.Bundle(champion.models, "Volume", champion.horizons_days, champion.feature_versions, champion.settings, lineage, champion.network_path)
    model = champion.entry.model
    entry = registry.register(home, bundle, [], model=model)
    label = {"model": model, "version": str(entry.version)}
    with store.connect(home) as lake:
        scores = lake.sql("SELECT patient, center, score FROM signatures WHERE signature = 'Volume' AND model = ?", [model]).to_pylist()
        patients = lake.sql("SELECT patient, center, split FROM model_patients WHERE model = ? AND version = ?", [model, str(champion.entry.version)])
        cutoff = champion.models["Volume"].cutoff
        predictions = [
            {**label, "patient": row["patient"], "center": row["center"], "log_risk": row["score"], "risk_group": "high" if row["score"] > cutoff else "low"}
            for row in scores
        ]
        version = {**label, "store_commit": entry.store_commit, "train_centers": list(lineage.train_centers), "digest": entry.digest}
        rows = {
            "model_versions": [{**version, "created_at": entry.created_at}],
            "model_patients": [{**label, **row} for row in patients.to_pylist()],
            "predictions": predictions,
        }
        lake.write(rows, run="test", what="a second version")


@pytest.fixture(scope="module")
def console(run: Run, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A console over a copy of the run with a second version; scans and incoming files are those of the run."""
    home = tmp_path_factory.mktemp("physicist") / "home"
    home.mkdir()
    for entry in run.home.iterdir():
        if entry.name in ("images", "incoming"):
            (home / entry.name).symlink_to(entry)
        elif entry.is_dir():
            shutil.copytree(entry, home / entry.name, symlinks=True)
    register_second(home)
    with serving.served(home) as running:
        yield running


def test_from_a_flagged_patient_to_who_was_fitted_on_it(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        tab.go(f"{console.address}/patients")
        assert "rejected" in tab.run("document.querySelector('table.patients tbody tr').innerText")  # what needs someone's work comes first
        tab.run("const status = document.querySelector('[name=status]'); status.value = 'remarked'; status.dispatchEvent(new Event('input', {bubbles: true}))")
        tab.until("location.search.includes('status=remarked') && document.querySelectorAll('table.patients tbody tr').length == 1")
        tab.until("[...document.querySelectorAll('table.patients img')].every((image) => image.complete && image.naturalWidth == 112)")
        tab.follow("table.patients tbody th a")

        assert tab.run("document.querySelector('h1').innerText").startswith(FLAGGED)
        certificate = tab.run("document.querySelector('[aria-labelledby=certificate-title]').innerText")
        assert "lice gaps of" in certificate
        assert "3.00 to 6.00 mm" in certificate
        assert "Look at the contours" in certificate
        assert tab.run("document.querySelectorAll('.certificate .faulty').length") == 1
        tab.until("!document.querySelector('[data-state]').textContent.includes('Loading')")  # the contours, in three planes
        assert tab.run("document.querySelectorAll('#viewer canvas').length") == 3

        tab.until("document.querySelectorAll('#explanation figure svg').length == 2")
        explanation = tab.run("document.querySelector('#explanation').innerText")
        assert "What makes up this risk" in explanation
        assert "Similar patients" in explanation
        risk = tab.run("document.querySelector('[aria-labelledby=risk-title]').innerText")
        assert "was in the training of this version" in risk
        assert risk.index("cross-fitted") < risk.index("apparent")

        compared = tab.run("document.querySelector('#compare table').innerText")
        assert "nsclc-os/1" in compared
        assert "nsclc-os/2" in compared
        versions = tab.run("[...document.querySelectorAll('#versions + .scroll tbody tr')].map((row) => row.innerText)")
        assert len(versions) == 2
        assert all("was in the training of this version" in row for row in versions)
        assert "champion" in versions[0]

        tab.run("document.querySelector('#features [name=q]').focus()")
        tab.type("meshvolume")
        tab.until("location.search.includes('q=meshvolume') && document.querySelectorAll('.features tbody tr').length == 4")
        tab.follow("#explanation table tbody a")
        assert tab.run("location.pathname") != f"/patients/{FLAGGED}"
        tab.until("document.querySelectorAll('#explanation figure svg').length == 2")
        assert tab.faults == []


def test_from_a_number_of_the_flow_to_the_refused_patients_and_what_to_do(console: Served, browser: Browser) -> None:
    with browser.tab() as tab:
        tab.size(390)
        tab.go(f"{console.address}/centers")
        tab.follow(".flow-list a[href*='rule=gtv_named']")
        tab.follow("table.patients tbody th a")
        page = tab.text()
        assert "No structure named as a GTV" in page
        assert "features/rois.yaml" in page
        assert tab.faults == []


def test_the_shift_of_a_center_by_family(console: Served, browser: Browser) -> None:
    with browser.tab(scripts=False) as tab:
        tab.go(f"{console.address}/centers/east")
        tab.follow("a[href$='/drift']")
        assert "features are distributed differently" in tab.text()
