"""The whole path with other rings: features/rois.yaml is the only file that changes."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from penumbra import registry, store
from penumbra.cohort.simulate import simulate
from penumbra.cohort.simulate_centers import CENTERS
from penumbra.commands import gallery
from penumbra.commands import predict as predict_command
from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.stages import STAGES
from penumbra.pipeline.workspace import Work, begin

from ..projects import project_with

MARGINS = "[4, 8.5, 12]"
ROIS = ["gtv", "ring_4mm", "ring_8.5mm", "ring_12mm"]
SIZES = {"north": 12, "east": 4}
# What costs time and has nothing to do with rings: old -> new, by file of the project.
CHEAPER = {
    "params.yaml": {
        "epochs: {paper: 100, quick: 40,": "epochs: {paper: 100, quick: 1,",
        "input_size: {paper: 64, quick: 32,": "input_size: {paper: 64, quick: 16,",
        "bootstraps: 1000": "bootstraps: 20",
        "refits: 200": "refits: 1",
        "patients: 6 ": "patients: 2 ",
    },
    "models/se_resnet.yaml": {"units: 2 ": "units: 1 "},
    "features/radiomics.yaml": {
        "\n  Wavelet:\n    wavelet: coif1": "",
        "\n  LoG:\n    sigma: [1.0, 2.0, 3.0, 4.0, 5.0]": "",
        "  glcm: []\n  glrlm: []\n  glszm: []\n  gldm: []\n  ngtdm: []\n": "",
    },
}


def edited(path: Path, changes: dict[str, str]) -> None:
    text = path.read_text()
    for old, new in changes.items():
        assert old in text, old
        text = text.replace(old, new)
    path.write_text(text)


@pytest.fixture(scope="module")
def work(tmp_path_factory: pytest.TempPathFactory) -> Work:
    """A run of every stage on a cohort that is hardly large enough, with few features and a small network."""
    folder = tmp_path_factory.mktemp("margins")
    with pytest.MonkeyPatch.context() as patched:
        patched.setenv("PENUMBRA_HOME", str(folder / "home"))
        project = project_with(folder, patched)
        for file, changes in CHEAPER.items():
            edited(project / file, changes)
        edited(project / "features" / "rois.yaml", {"margins_mm: [3, 6, 9]": f"margins_mm: {MARGINS}"})
        plans = [replace(plan, patients=SIZES[plan.name], refused=()) for plan in CENTERS if plan.name in SIZES]
        simulate(folder / "cohort", seed=1, centers=plans, workers=2)
        work = begin()
        arrivals.take_cohort(work.home, folder / "cohort")
        for stage in STAGES:
            stage(work)
        gallery.gallery(work)
        yield work


def test_features_models_and_views_follow(work: Work) -> None:
    assert manifests.read(work.home, manifests.PopulateManifest).rois == tuple(ROIS)
    fitted = {path.stem for path in (work.home / "fitted").rglob("*.json")}
    assert fitted >= {"Rad_4mm", "Rad_8.5mm", "Rad_12mm", "Rad+Rad_4mm", "Rad+Rad_8.5mm", "Rad+Rad_12mm", "Combined"}
    assert not {name for name in fitted if re.search(r"_[369]mm", name)}
    with store.connect(work.home, read_only=True) as lake:
        assert sorted({row["roi"] for row in lake.rows("rois")}) == sorted(ROIS)
        assert {name for name in lake.views.names() if name.endswith("_outcome")} == {f"{roi.replace('.', '_')}_outcome" for roi in ROIS}
        mine = lake.sql("SELECT patient, original_shape_MeshVolume AS volume FROM ring_8_5mm_outcome ORDER BY patient").to_pylist()
        asked = lake.sql("SELECT patient, original_shape_MeshVolume AS volume FROM radiomics WHERE roi = 'ring_8.5mm' ORDER BY patient").to_pylist()
    assert mine == asked
    assert len(mine) == sum(SIZES.values())


def test_pages_show_the_rings_and_a_patient_is_scored(work: Work) -> None:
    report = next((work.home / "reports").glob("nsclc-os-*/index.html"))
    for page in (report, work.home / "gallery" / "east" / "index.html"):
        text = page.read_text()
        assert all(f"ring {margin} mm" in text for margin in ("4", "8.5", "12")), page
        assert not re.search(r"ring [369] mm", text), page
    version = registry.load(work.home, "1")
    assert version.models["Combined"].selections[1].block == "ring_8.5mm"
    prediction = predict_command.predict(work.home, next((work.home / "incoming" / "east").glob("E*")), "1", "east")
    assert prediction.version == 1
