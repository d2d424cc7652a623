"""On request: how stable each feature is, from a sample of training patients whose scans are measured again under perturbations.

Outcomes are never read, and no scan of a center that does not train. What is measured of one patient is a file of its own: a stage that was killed continues,
another sample measures only whom it adds.
"""

import hashlib
import io
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import cohort, imaging, radiomics, store
from penumbra.base.blocks import GTV, rois_of
from penumbra.base.progress import say, track
from penumbra.base.refusal import Refusal, choose
from penumbra.base.whole_files import write_whole
from penumbra.base.workers import Pool, over, this_machine
from penumbra.base.yaml_files import wrong
from penumbra.imaging.perturbation import changes_nothing, perturbed
from penumbra.imaging.volume import Mask, Scan
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import no_training_center
from penumbra.pipeline.groups import Stability
from penumbra.pipeline.manifests import Origin, PopulateManifest
from penumbra.pipeline.origins import PROGRAM, Images, accepted_images, current, flat, of_populate, origin
from penumbra.pipeline.populate import needed_bytes
from penumbra.pipeline.stability_manifest import Perturbed, StabilityManifest
from penumbra.pipeline.workspace import Work
from penumbra.survival.reliability import Reliability, icc_agreement

FOLDER = "stability"  # below the state folder
STABILITY_CODE = 1  # raise when the same scans and numbers give other values than before
FEWEST = 3  # patients that an ICC needs
UNITS = {"noise": "x own noise", "thickness": "mm slices", "shift": "voxels", "rotation": "voxels", "mask": "mm"}

Job = tuple[str, str, str]  # patient, center, image_version
Step = tuple[str, float]  # perturbation and level


@dataclass(frozen=True)
class Measuring:
    """What a worker needs to measure one patient.

    Parameters
    ----------
    steps
        What is done to the scan, each once.
    rois
        Whose features are kept.
    """

    images: Path
    folder: Path
    settings: Mapping[str, Any]
    engine: str
    margins: tuple[float, ...]
    rois: tuple[str, ...]
    steps: tuple[Step, ...]
    seed: int


def stability(work: Work, pool: Pool | None = None) -> StabilityManifest:
    """How stable each feature is under each perturbation, as intraclass correlations in the relation feature_stability.

    Parameters
    ----------
    pool
        Who extracts; None: processes of this machine.

    Raises
    ------
    Refusal
        "stage_is_current" when populate was made from something else than what is there now, "training_patients", "stability_sample" when fewer than
        three patients can be measured.
    """
    pool = pool or this_machine()
    settings, numbers = work.settings, work.settings.stability
    images = accepted_images(work)
    populate = current(work, PopulateManifest, of_populate(work, images))
    margins = cohort.roi_rules(settings.rois).margins_mm
    rois = _rois(numbers, rois_of(margins))
    sample = sample_of(work, images, populate)
    grid = settings.ingest.grid_mm
    steps = tuple((name, level) for name, levels in numbers.levels.items() for level in levels if not changes_nothing(name, level, grid))
    definition = {"version": populate.version, "steps": steps, "rois": rois, "seed": numbers.seed, "code": STABILITY_CODE}
    folder = work.home / FOLDER / store.version_key(definition)
    measuring = Measuring(work.home / "images", folder, settings.radiomics, settings.populate.engine, tuple(margins), rois, steps, numbers.seed)
    jobs = [(patient, images[patient]["center"], images[patient]["image_version"]) for patient in sample]
    made_from = of_stability(work, images, populate)
    key = store.version_key({"definition": definition, "levels": numbers.levels, "sample": [list(job) for job in jobs]})
    before = manifests.earlier(work.home, StabilityManifest)
    if before is not None and before.key == key and _is_stored(work, before):
        say("nothing to measure: the features, the perturbations and the sample are those of the last time")
        return manifests.write(work.home, StabilityManifest(**{**_fields(before), "made_from": made_from}))
    _measure(work, measuring, jobs, pool)
    rows, summary = summarized(work, measuring, jobs, populate.version, numbers, grid)
    with store.connect(work.home) as lake:
        lake.write({"feature_stability": rows}, run=work.run, what=f"stability of features {populate.version}")
    manifest = StabilityManifest(key=key, version=populate.version, rois=rois, patients=len(sample), perturbations=summary, rows=len(rows), made_from=made_from)
    return manifests.write(work.home, manifest)


def of_stability(work: Work, images: Images, populate: PopulateManifest) -> Origin:
    """What stability makes its values from."""
    sample = sample_of(work, images, populate)
    data = {"features": populate.version, "sample": store.version_key({patient: images[patient] for patient in sample})}
    return origin(work, data, {**flat("stability", work.settings.stability), PROGRAM: STABILITY_CODE})


def sample_of(work: Work, images: Images, populate: PopulateManifest) -> list[str]:
    """The training patients that are measured: drawn by the seed and their names alone, so that one more patient changes the draw of no other.

    Raises
    ------
    Refusal
        "training_patients".
    """
    numbers = work.settings.stability
    training = [patient for patient in populate.patients if images[patient]["center"] in work.settings.cohort.train_centers]
    if not training:
        raise no_training_center(work, images)
    drawn = sorted(training, key=lambda patient: hashlib.sha256(f"{numbers.seed} {images[patient]['center']} {patient}".encode()).digest())
    return sorted(drawn[: numbers.patients])


def _rois(numbers: Stability, available: Sequence[str]) -> tuple[str, ...]:
    """The ROIs that are measured.

    Raises
    ------
    ParamsError
        "parameters": a name that no ring has.
    """
    for roi in numbers.rois or ():
        if roi not in available:
            raise wrong("stability.rois", f"stability.rois has {roi!r}, which is no ROI", choose(roi, available))
    return tuple(roi for roi in available if numbers.rois is None or roi in numbers.rois)


def _measure(work: Work, measuring: Measuring, jobs: list[Job], pool: Pool) -> None:
    """Measure whom there is no file of; a refusal of the whole patient is written down as well."""
    lacking = [job for job in jobs if not _file(measuring.folder, job).is_file()]
    needs = {job: needed_bytes(work, job) for job in lacking}
    room = int(work.settings.populate.memory_share * pool.bytes)
    with track("stability", len(jobs), cost=sum(needs.values())) as advance:
        advance(len(jobs) - len(lacking))
        for job, outcome in over(partial(measured_after, measuring=measuring), needs, pool.workers, needs=needs.__getitem__, room=room, pool=pool):
            if isinstance(outcome, Refusal):
                outcome = {f"{_name(step)}|{roi}|refused": np.array(outcome.rule) for step in measuring.steps for roi in measuring.rois}
            stream = io.BytesIO()
            np.savez_compressed(stream, **outcome)  # type: ignore[arg-type]  # names are free
            write_whole(_file(measuring.folder, job), stream.getvalue())
            advance(cost=needs[job])


def measured_after(job: Job, *, measuring: Measuring) -> dict[str, np.ndarray]:
    """The features of one patient after each step, "step|roi" -> (features,), or "step|roi|refused" -> rule; runs in a worker process."""
    patient, center, image_version = job
    scan = cohort.load_patient(measuring.images, {"patient": patient, "center": center, "image_version": image_version})
    measured: dict[str, np.ndarray] = {}
    for step in measuring.steps:
        words = f"{measuring.seed} {center} {patient} {image_version} {_name(step)}"
        generator = np.random.default_rng(int.from_bytes(hashlib.sha256(words.encode()).digest()[:16]))
        try:
            after = perturbed(scan, *step, generator)
        except Refusal as refusal:
            measured |= {f"{_name(step)}|{roi}|refused": np.array(refusal.rule) for roi in measuring.rois}
            continue
        masks = {GTV: after.gtv, **imaging.rings(after.gtv, measuring.margins)}
        for roi, outcome in _vectors(after, {roi: masks[roi] for roi in measuring.rois}, measuring).items():
            measured[f"{_name(step)}|{roi}" + ("|refused" if outcome.dtype.kind == "U" else "")] = outcome
    return measured


def _vectors(scan: Scan, masks: Mapping[str, Mask], measuring: Measuring) -> dict[str, np.ndarray]:
    """The features of each ROI; of one that is refused the rule. One ROI that is too small does not cost the others."""
    names = radiomics.feature_names(measuring.settings, engine=measuring.engine)
    try:
        values = radiomics.extract(scan, masks, measuring.settings, engine=measuring.engine)
    except Refusal as refusal:
        if len(masks) == 1:
            return {roi: np.array(refusal.rule) for roi in masks}
        return {roi: outcome for each, mask in masks.items() for roi, outcome in _vectors(scan, {each: mask}, measuring).items()}
    return {roi: np.array([of_roi[name] for name in names]) for roi, of_roi in values.items()}


def summarized(
    work: Work, measuring: Measuring, jobs: list[Job], version: str, numbers: Stability, grid: float
) -> tuple[list[dict[str, Any]], tuple[Perturbed, ...]]:
    """Rows of feature_stability, and per ROI and perturbation how many features are stable."""
    loaded: list[dict[str, np.ndarray]] = []
    for job in jobs:
        with np.load(_file(measuring.folder, job), allow_pickle=False) as arrays:
            loaded.append({name: arrays[name] for name in arrays.files})
    rows, summary = list[dict[str, Any]](), list[Perturbed]()
    with store.connect(work.home, read_only=True) as lake:
        unperturbed = {roi: store.read_matrix(lake, "radiomics", roi, version=version, patients=[job[0] for job in jobs]) for roi in measuring.rois}
    for roi in measuring.rois:
        matrix = unperturbed[roi]
        base = dict(zip(matrix.patients.tolist(), matrix.values, strict=True))
        for name, levels in numbers.levels.items():
            done = [f"{_name((name, level))}|{roi}" for level in levels if not changes_nothing(name, level, grid)]
            if not done:
                continue
            complete = [(job, arrays) for job, arrays in zip(jobs, loaded, strict=True) if all(each in arrays for each in done)]
            if len(complete) < FEWEST:
                fault = f"{len(complete)} of {len(jobs)} training patients can be measured under {name} in {roi}"
                raise Refusal("stability_sample", fault, f"an ICC needs {FEWEST}: raise stability.patients, or take {name} out of the group stability")
            values = np.stack([np.stack([base[job[0]], *(arrays[each] for each in done)]) for job, arrays in complete])
            agreement = icc_agreement(values)
            rows += _rows(agreement, version, roi, matrix.features, name, len(complete), f"{', '.join(f'{level:g}' for level in levels)} {UNITS[name]}")
            limits = agreement.lower[np.isfinite(agreement.lower)]
            summary.append(
                Perturbed(
                    roi,
                    name,
                    levels,
                    len(complete),
                    len(jobs) - len(complete),
                    float(np.median(agreement.icc[agreement.reason == ""])),
                    _share(limits, 0.75),
                    _share(limits, 0.9),
                )
            )
    return rows, tuple(summary)


def _share(lower: np.ndarray, limit: float) -> float:
    return float((lower >= limit).mean()) if lower.size else math.nan


def _rows(agreement: Reliability, version: str, roi: str, features: tuple[str, ...], perturbation: str, patients: int, levels: str) -> list[dict[str, Any]]:
    common = {"version": version, "roi": roi, "perturbation": perturbation, "levels": levels, "patients": patients}
    columns = zip(features, agreement.icc.tolist(), agreement.lower.tolist(), agreement.upper.tolist(), agreement.reason.tolist(), strict=True)
    return [
        {**common, "feature": feature, "icc": icc, "lower": lower, "upper": upper, "reason": reason or None} for feature, icc, lower, upper, reason in columns
    ]


def _is_stored(work: Work, manifest: StabilityManifest) -> bool:
    """Whether the store has the rows that a manifest speaks of."""
    with store.connect(work.home, read_only=True) as lake:
        stored = lake.sql("SELECT count(*) AS n FROM feature_stability WHERE version = ?", [manifest.version]).column("n")[0].as_py()
    return bool(stored >= manifest.rows)


def _fields(manifest: StabilityManifest) -> dict[str, Any]:
    return {name: getattr(manifest, name) for name in ("key", "version", "rois", "patients", "perturbations", "rows")}


def _name(step: Step) -> str:
    return f"{step[0]} {step[1]:g}"


def _file(folder: Path, job: Job) -> Path:
    patient, center, image_version = job
    return folder / center / f"{patient}-{image_version}.npz"  # named after the patient: forget finds it
