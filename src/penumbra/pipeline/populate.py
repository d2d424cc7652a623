"""Stage 2: rings, then the radiomics of every ROI of every accepted patient that the store does not have yet."""

import math
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import cohort, imaging, radiomics, store
from penumbra.base.blocks import GTV, rois_of
from penumbra.base.progress import track
from penumbra.base.refusal import Refusal
from penumbra.base.workers import Pool, over, this_machine
from penumbra.imaging.saved import saved_shape
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import fingerprint
from penumbra.pipeline.definition import radiomics_definition, required_margins
from penumbra.pipeline.ingest import rejection
from penumbra.pipeline.manifests import IngestManifest, PopulateManifest
from penumbra.pipeline.origins import accepted_images, of_populate
from penumbra.pipeline.workspace import Work

Job = tuple[str, str, str]  # patient, center, image_version
Vectors = dict[str, np.ndarray]  # ROI -> its features, in the order of `radiomics.feature_names`


def populate(work: Work, pool: Pool | None = None) -> PopulateManifest:
    """Rings, then the radiomics of every ROI of every accepted patient that the store does not have yet.

    Parameters
    ----------
    pool
        Who extracts; None: processes of this machine.
    """
    pool = pool or this_machine()
    images, settings = accepted_images(work), work.settings
    _require_margins(work)
    margins = cohort.roi_rules(settings.rois).margins_mm
    rois = rois_of(margins)
    names = radiomics.feature_names(settings.radiomics, engine=settings.populate.engine)
    definition = radiomics_definition(settings.radiomics, settings.rois, settings.ingest.grid_mm, settings.populate.engine)
    installed = radiomics.libraries(settings.populate.engine)
    version = store.version_key(definition)
    extract = partial(_extract, images=work.home / "images", settings=settings.radiomics, margins=margins, engine=settings.populate.engine)
    with store.connect(work.home) as lake:
        engine = {**definition["engine"], **installed}
        store.declare_version(lake, version, "radiomics", definition, features=names, run=work.run, label=settings.populate.engine, engine=engine)
        keys = [(patient, roi, image["image_version"]) for patient, image in images.items() for roi in rois]
        lacking = sorted({patient for patient, _, _ in store.missing(lake, "radiomics", version, keys)})
        jobs = [(patient, images[patient]["center"], images[patient]["image_version"]) for patient in lacking]
        needs = {job: needed_bytes(work, job) for job in jobs}
        room = int(settings.populate.memory_share * pool.bytes)
        unsaved: list[dict[str, Any]] = []
        with track("populate", len(jobs), cost=sum(needs.values())) as advance:
            for job, outcome in over(extract, needs, pool.workers, needs=needs.__getitem__, room=room, pool=pool):
                patient, center, image_version = job
                if isinstance(outcome, Refusal):
                    lake.write({"rejections": [rejection(patient, center, "populate", outcome)]}, run=work.run, what="populate: a refusal")
                else:
                    common = {"patient": patient, "center": center, "image_version": image_version}
                    unsaved += [{**common, "roi": roi, "values": values} for roi, values in outcome.items()]
                if len(unsaved) >= settings.populate.batch * len(rois):
                    store.write_features(lake, "radiomics", version, unsaved, features=names, run=work.run, computed_with=installed)
                    unsaved = []
                advance(cost=needs[job])
            store.write_features(lake, "radiomics", version, unsaved, features=names, run=work.run, computed_with=installed)
        refused = sorted({patient for patient, _, _ in store.missing(lake, "radiomics", version, keys)})
        done = sorted(set(images) - set(refused))
        lake.write({"current_versions": [{"kind": "radiomics", "version": version}]}, run=work.run, what=f"radiomics version {version} is current")
        matrices = {roi: store.read_matrix(lake, "radiomics", roi, version=version, patients=done) for roi in rois}
        manifest = PopulateManifest(
            version=version,
            rois=tuple(rois),
            features=len(names),
            patients=tuple(done),
            refused=tuple(refused),
            values=int(sum(matrix.values.size for matrix in matrices.values())),
            not_finite=int(sum((~np.isfinite(matrix.values)).sum() for matrix in matrices.values())),
            digest=store.version_key({roi: fingerprint(matrix) for roi, matrix in matrices.items()}),
            made_from=of_populate(work, images),
        )
    return manifests.write(work.home, manifest)


def _require_margins(work: Work) -> None:
    """Refuse images of which ingest kept less than today's filters read: their features would be those of the crop, not of the scan."""
    required = required_margins(cohort.roi_rules(work.settings.rois), work.settings.radiomics, work.settings.ingest.grid_mm)
    for center, facts in manifests.read(work.home, IngestManifest).centers.items():
        stored = facts.kept.to_json() if facts.kept else dict.fromkeys(required, 0.0)
        short = [name for name, length in required.items() if facts.accepted and stored[name] < length]
        if short:
            shortfalls = ", ".join(f"{name} {stored[name]:g} of {required[name]:g}" for name in short)
            raise Refusal(
                "margin_kept", f"{center}: ingest kept {shortfalls} around the GTV", "run `penumbra ingest` again: the filters or rings changed since"
            )


def needed_bytes(work: Work, job: Job) -> int:
    """Predicted memory of a worker that extracts from a patient's saved scan."""
    patient, center, image_version = job
    try:
        shape = saved_shape(work.home / "images" / center / patient / image_version)
    except Refusal:
        return 0  # the worker that loads it will say so, and the patient is rejected
    return radiomics.predicted_bytes(math.prod(shape), work.settings.populate.engine)


def _extract(job: Job, *, images: Path, settings: Mapping[str, Any], margins: tuple[float, ...], engine: str) -> Vectors:
    """The features of one patient's ROIs, in the order of `radiomics.feature_names`; runs in a worker process."""
    patient, center, image_version = job
    scan = cohort.load_patient(images, {"patient": patient, "center": center, "image_version": image_version})
    vectors = radiomics.extract(scan, {GTV: scan.gtv, **imaging.rings(scan.gtv, margins)}, settings, engine=engine)
    names = radiomics.feature_names(settings, engine=engine)
    return {roi: np.array([values[name] for name in names]) for roi, values in vectors.items()}
