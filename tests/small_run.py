"""A state folder as ingest, populate and train leave it, with simulated features in a real store: what fuse and all stages after it start from."""

from dataclasses import replace
from pathlib import Path

import numpy as np

from penumbra import store
from penumbra.base.params import PROFILES
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import IngestedCenter, IngestManifest, PopulateManifest, TrainManifest
from penumbra.pipeline.origins import accepted_images, clinical_versions, of_center, of_populate, of_train
from penumbra.pipeline.settings import Settings, load_settings
from penumbra.pipeline.workspace import Work

ROIS = ("gtv", "ring_3mm", "ring_6mm", "ring_9mm")
CENTERS = {"north": 60, "east": 36, "south": 24}
HAZARD = np.array([1.1, -0.9, 0.8])  # of the first feature of gtv, ring_6mm and deep


def few_models(settings: Settings) -> Settings:
    """One combined model and the controls, fitted over short paths: for tests that look at what becomes of a model, not at which one it is."""
    models = {"combined": {"Combined": settings.models["combined"]["Combined"]}, "controls": settings.models["controls"], "signatures": {}}
    return replace(settings, models=models, fuse=replace(settings.fuse, folds=3, lasso_patience=3))


def small_work(home: Path, *, centers: dict[str, int] | None = None, features: int = 12, seed: int = 0, spoil: frozenset[str] = frozenset()) -> Work:
    """Write the store and the manifests; the outcome follows one feature of gtv, ring_6mm and deep.

    centers   center -> patients; north trains.
    features  of each block, at least 2; the second of gtv is the volume.
    spoil     centers whose outcomes are turned round and whose features are replaced.
    """
    random = np.random.default_rng(seed)
    names = ("original_firstorder_Mean", "original_shape_MeshVolume", *(f"noise_{i:03d}" for i in range(features - 2)))
    deep_names = tuple(f"deep_{i:03d}" for i in range(features))
    patients: list[dict[str, object]] = []
    rows: dict[str, list[dict[str, object]]] = {"radiomics": [], "deep": []}
    for center, count in (centers or CENTERS).items():
        for i in range(count):
            patient, cause = f"{center[0].upper()}{i:03d}", random.normal(size=3)
            values = {roi: random.normal(size=features) for roi in (*ROIS, "deep")}
            for roi, driver in (("gtv", 0), ("ring_6mm", 1), ("deep", 2)):
                values[roi][0] = cause[driver]
            values["gtv"][1] = np.exp(8 + 0.3 * cause[0] + 0.45 * values["gtv"][1])  # a weak control
            death, left = random.exponential(700 * np.exp(-cause @ HAZARD)), random.exponential(2200)
            event, time = bool(death <= left), float(np.ceil(min(death, left)))
            if center in spoil:
                event, time = not event, time + 1000.0
                values = {roi: 1e3 + 7 * part**2 for roi, part in values.items()}
            common = {"patient": patient, "center": center}
            sex, histology = ("female", "male")[i % 2], ("adenocarcinoma", "squamous")[i % 3 > 0]
            stage = ("I", "II", "IIIA", "IIIB")[i % 4]
            clinical = {"age": 50.0 + i % 35, "sex": sex, "histology": histology, "overall_stage": stage, "time": time, "event": event}
            patients.append({**common, **clinical})
            rows["radiomics"] += [{**common, "roi": roi, "image_version": "i1", "values": values[roi]} for roi in ROIS]
            rows["deep"].append({**common, "roi": "gtv", "image_version": "i1", "log_risk": float(cause[2]), "values": values["deep"]})
    settings = load_settings(PROFILES[0])
    register = replace(settings.register, served="Combined")  # the tests of what is chosen name AUTO themselves
    work = Work(
        home,
        replace(settings, register=register, crossfit=replace(settings.crossfit, folds=3, repeats=2), ensemble=replace(settings.ensemble, folds=2)),
        "test",
    )
    with store.connect(home) as lake:
        lake.write({"centers": [{"center": center} for center in centers or CENTERS], "patients": patients}, run="test", what="ingest")
        for kind, columns in (("radiomics", names), ("deep", deep_names)):
            store.declare_version(lake, f"{kind}1", kind, {"kind": kind}, features=columns, run="test")  # type: ignore[arg-type]
            store.write_features(lake, kind, f"{kind}1", rows[kind], features=columns, run="test")  # type: ignore[arg-type]
    listed = sorted(str(row["patient"]) for row in patients)
    of = {center: {patient: "i1" for patient in listed if patient[0] == center[0].upper()} for center in centers or CENTERS}
    facts = {
        center: IngestedCenter(found=len(found) + 1, accepted=found, flagged={}, rejected={"gtv_not_empty": 1}, clinical="c") for center, found in of.items()
    }
    manifests.write(home, IngestManifest(facts))
    manifests.write(home, PopulateManifest(version="radiomics1", rois=ROIS, features=features, patients=tuple(listed), refused=()))
    manifests.write(home, TrainManifest(version="deep1", patients=tuple(listed)))
    return work


def say_what_it_was_made_from(work: Work) -> None:
    """Let the manifests of ingest, populate and train say so, as the stages themselves do; without it they are those of an earlier program."""
    ingested = manifests.read(work.home, IngestManifest)
    with store.connect(work.home) as lake:
        scans = [{"patient": patient, "center": center, "image_version": "i1"} for patient, (center, _) in ingested.scans.items()]
        lake.write({"images": scans}, run="test", what="ingest")
        facts = {
            center: replace(found, made_from=of_center(work, center, "files"), stored=clinical_versions(lake, center))
            for center, found in ingested.centers.items()
        }
        records = {row["patient"]: row for row in lake.rows("patients")}
    manifests.write(work.home, IngestManifest(facts))
    images = accepted_images(work)
    manifests.write(work.home, replace(manifests.read(work.home, PopulateManifest), made_from=of_populate(work, images)))
    manifests.write(work.home, replace(manifests.read(work.home, TrainManifest), made_from=of_train(work, images, records)))
