"""The stages of the path, each one plain function of the work: the only place where packages are combined, and what DVC and Prefect drive.

Every stage reads what the ones before left (manifests/<stage>.json and the store), does only what is missing, and leaves its own manifest.
"""

import math
import shutil
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, replace
from functools import partial
from importlib.metadata import version as installed
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from penumbra import arrivals, cohort, imaging, persons, pseudonyms, radiomics, store
from penumbra.dataset import GTV, fingerprint, network_file, no_training_center
from penumbra.definition import radiomics_definition
from penumbra.fusion import DEEP
from penumbra.imaging.saved import saved_shape
from penumbra.modeling import evaluate, fuse, register
from penumbra.origins import MADE_FROM, Images, accepted_images, clinical_versions, earlier, of_center, of_populate, of_train
from penumbra.pages import report
from penumbra.progress import say, track
from penumbra.refusal import Refusal
from penumbra.scoring import kept_around
from penumbra.work import Manifest, Work, begin, read_manifest, write_manifest
from penumbra.workers import Crew, available_cores, over, this_machine

if TYPE_CHECKING:
    from penumbra.network import Ensemble, Epoch, Network

__all__ = ["Manifest", "Work", "begin", "evaluate", "fuse", "ingest", "populate", "register", "report", "train"]

COMPILE_WORTH_KEEPING_S = 0.5  # a program that compiled faster is not worth a file

Job = tuple[str, str, str]  # patient, center, image_version
Vectors = dict[str, np.ndarray]  # ROI -> its features, in the order of `radiomics.feature_names`


def ingest(work: Work, only: str | None = None, *, confirmed: Collection[str] = (), new_key: bool = False) -> Manifest:
    """Every arrived center (or `only` one) into the store: images on the grid, certificates, clinical records, rejections, departures.

    confirmed  patients whose new clinical record is right, though it contradicts the stored one.
    new_key    rename every patient with the current pseudonym key, or without one.
    """
    arrived = write_manifest(work.home, "arrivals", arrivals.describe(work.home, work.settings.ingest.roots))["centers"]
    centers = arrivals.center_folders(work.home)
    before: dict[str, Any] = {}
    if only:
        before = {center: entry for center, entry in earlier(work.home, "ingest").get("centers", {}).items() if center in centers}
    facts = {}
    with store.connect(work.home) as lake:
        pseudonyms.require_key(work, lake, new=new_key)
        chosen = {center: folder for center, folder in centers.items() if only in (None, center)}
        persons.require_stored(lake, chosen, confirmed)
        tables = {center: clinical_table(work, folder) for center, folder in chosen.items()}
        for center, table in tables.items():  # before anybody arrives: who left one center may have gone on to another
            if isinstance(table, cohort.ClinicalTable):
                persons.note_departures(work, lake, center, chosen[center], table)
        for center, folder in chosen.items():
            made_from = of_center(work, center, arrived[center]["sha256"])
            facts[center] = {**_ingest_center(work, lake, center, folder, tables[center], confirmed, alone=len(chosen) == 1), MADE_FROM: made_from}
            shown = clinical_versions(lake, center)
            facts[center]["stored"] = {patient: shown[patient] for patient in facts[center]["accepted"]}
    return write_manifest(work.home, "ingest", {"centers": {**before, **facts}})


def clinical_table(work: Work, folder: Path) -> cohort.ClinicalTable | Refusal:
    """A center's clinical table, or why none of it can be used."""
    rules = work.settings.cohort
    try:
        roots = arrivals.link_roots(work.home, folder, work.settings.ingest.roots)
        for file in (cohort.clinical_table(folder) or folder / cohort.CLINICAL_FILE, folder / cohort.DECLARED_FILE):
            cohort.refuse_leaving(file, folder, roots)
        return cohort.read_clinical(folder / cohort.CLINICAL_FILE, time_unit=rules.time_unit, staging_edition=rules.staging_edition, inclusion=rules.inclusion)
    except Refusal as refusal:
        return refusal


def _ingest_center(
    work: Work, lake: store.Store, center: str, folder: Path, clinical: cohort.ClinicalTable | Refusal, confirmed: Collection[str], *, alone: bool
) -> dict[str, Any]:
    """One center into the store; what the manifest says of it.

    A center whose table is refused as a whole takes no part in what follows: rows of an earlier table stay in the store, but nothing tells which
    of them still hold.
    """
    settings = work.settings
    taken = {row["patient"] for row in lake.rows("patients") if row["center"] != center}
    roots = arrivals.link_roots(work.home, folder, settings.ingest.roots)
    if isinstance(clinical, Refusal):
        refusal = clinical
        _lift_refusal(work, lake, center, but=refusal)
        lake.write({"rejections": [_rejection(None, center, "ingest", refusal)]}, run=work.run, what=f"ingest {center}: no usable clinical table")
        if not alone:
            say(f"{center} takes no part: {refusal}")
        return {"found": 0, "accepted": {}, "flagged": {}, "rejected": {refusal.rule: 1}, "refused": str(refusal).replace(". (rule ", " (rule ")}
    _lift_refusal(work, lake, center)
    for note in clinical.notes:
        say(f"{center}: {note}")
    rules = image_rules(work, center)
    total = cohort.sent(folder, clinical)
    records = persons.Records(lake, center, settings.ingest, confirmed)
    accepted: list[cohort.Accepted] = []
    refused: list[cohort.Rejected] = []
    unsaved: list[cohort.Accepted | cohort.Rejected] = []
    lake.write({"centers": [{"center": center}]}, run=work.run, what=f"{center} arrived")
    with track(f"ingest {center}", total) as advance:
        for outcome in cohort.ingest_center(
            folder,
            center,
            clinical=clinical,
            images=work.home / "images",
            rules=rules,
            workers=available_cores(),
            taken=taken,
            pseudonym_key=cohort.pseudonym_key_from_environment(),
            roots=roots,
            scans=persons.accepted_scans(lake),
        ):
            if isinstance(outcome, cohort.Accepted):
                accepted.append(records.judged(outcome))
                unsaved.append(accepted[-1])
            else:
                refused.append(outcome)
                unsaved.append(outcome)
            if len(unsaved) >= settings.ingest.batch:
                _save(work, lake, center, unsaved, records)
                unsaved = []
            advance()
        _save(work, lake, center, unsaved, records)
    gone = lake.sql("SELECT count(*) AS n FROM departures WHERE center = ? AND NOT returned", [center]).column("n")[0].as_py()
    return {
        "found": total,
        "accepted": {entry.patient: entry.image_version for entry in sorted(accepted, key=lambda entry: entry.patient)},
        "flagged": _counts(finding["rule"] for entry in accepted for finding in entry.image["certificate"]["findings"]),
        "rejected": _counts(entry.rejections[0]["rule"] for entry in refused),
        "contradicted": records.tell(),
        "alike": _counts(row["rule"] for entry in accepted for row in entry.remarks),
        "no_longer_sent": int(gone),
        "kept": {"margin_mm": rules.margin_mm, "periodic_mm": rules.periodic_mm},
        "clinical": store.version_key({entry.patient: {**entry.clinical} for entry in accepted}),
    }


def image_rules(work: Work, center: str) -> cohort.ImageRules:
    """What the files of a center's patients become."""
    settings, rules = work.settings, cohort.roi_rules(work.settings.rois)
    return cohort.ImageRules(
        grid_mm=settings.ingest.grid_mm,
        **kept_around(rules, settings.radiomics, settings.ingest.grid_mm),
        margins_mm=rules.margins_mm,
        names=rules.of(center),
        limits=settings.ingest.certificate,
    )


def _lift_refusal(work: Work, lake: store.Store, center: str, but: Refusal | None = None) -> None:
    """A center's table was sent again: what an earlier one was refused for no longer holds, unless it is refused for the same."""
    standing = lake.sql("SELECT rule, found FROM rejections WHERE patient IS NULL AND stage = 'ingest' AND center = ?", [center]).to_pylist()
    if standing and (but is None or standing != [{"rule": but.rule, "found": but.found}]):
        lifts = _rejection(None, center, "ingest", Refusal("clinical_table_sent_again", "", ""))  # the view `rejections` knows this rule
        lake.write({"rejections": [lifts]}, run=work.run, what=f"ingest {center}: another clinical table")


def _save(work: Work, lake: store.Store, center: str, outcomes: Sequence[cohort.Accepted | cohort.Rejected], records: persons.Records) -> None:
    """One transaction for some patients: each is in the store with everything or not at all."""
    accepted = [entry for entry in outcomes if isinstance(entry, cohort.Accepted)]
    lake.write(
        {
            "patients": [entry.clinical for entry in accepted],
            "images": [entry.image for entry in accepted],
            "rois": [row for entry in accepted for row in entry.rois],
            "rejections": [
                *(row for entry in outcomes if isinstance(entry, cohort.Rejected) for row in entry.rejections),
                *records.of(accepted),
                *(row for entry in accepted for row in entry.remarks),
            ],
        },
        run=work.run,
        what=f"ingest {center}",
    )


def populate(work: Work, crew: Crew | None = None) -> Manifest:
    """Rings, then the radiomics of every ROI of every accepted patient that the store does not have yet.

    crew    who extracts; None: processes of this machine.
    """
    crew = crew or this_machine()
    images, settings = accepted_images(work), work.settings
    _require_margins(work)
    margins = cohort.roi_rules(settings.rois).margins_mm
    rois = (GTV, *(imaging.ring_name(margin) for margin in margins))
    names = radiomics.feature_names(settings.radiomics, engine=settings.populate.engine)
    definition = radiomics_definition(settings.radiomics, settings.rois, settings.ingest.grid_mm, settings.populate.engine)
    version = store.version_key(definition)
    extract = partial(_extract, images=work.home / "images", settings=settings.radiomics, margins=margins, engine=settings.populate.engine)
    with store.connect(work.home) as lake:
        store.declare_version(lake, version, "radiomics", definition, features=names, run=work.run, label=settings.populate.engine, engine=definition["engine"])
        keys = [(patient, roi, image["image_version"]) for patient, image in images.items() for roi in rois]
        lacking = sorted({patient for patient, _, _ in store.missing(lake, "radiomics", version, keys)})
        jobs = [(patient, images[patient]["center"], images[patient]["image_version"]) for patient in lacking]
        needs = {job: _needed_bytes(work, job) for job in jobs}
        room = int(settings.populate.memory_share * crew.bytes)
        unsaved: list[dict[str, Any]] = []
        with track("populate", len(jobs), cost=sum(needs.values())) as advance:
            for job, outcome in over(extract, needs, crew.workers, needs=needs.__getitem__, room=room, crew=crew):
                patient, center, image_version = job
                if isinstance(outcome, Refusal):
                    lake.write({"rejections": [_rejection(patient, center, "populate", outcome)]}, run=work.run, what="populate: a refusal")
                else:
                    common = {"patient": patient, "center": center, "image_version": image_version}
                    unsaved += [{**common, "roi": roi, "values": values} for roi, values in outcome.items()]
                if len(unsaved) >= settings.populate.batch * len(rois):
                    store.write_features(lake, "radiomics", version, unsaved, features=names, run=work.run)
                    unsaved = []
                advance(cost=needs[job])
            store.write_features(lake, "radiomics", version, unsaved, features=names, run=work.run)
        refused = sorted({patient for patient, _, _ in store.missing(lake, "radiomics", version, keys)})
        done = sorted(set(images) - set(refused))
        lake.write({"current_versions": [{"kind": "radiomics", "version": version}]}, run=work.run, what=f"radiomics version {version} is current")
        matrices = {roi: store.read_matrix(lake, "radiomics", roi, version=version, patients=done) for roi in rois}
        content = {
            "version": version,
            "rois": list(rois),
            "features": len(names),
            "patients": done,
            "refused": refused,
            "values": int(sum(matrix.values.size for matrix in matrices.values())),
            "not_finite": int(sum((~np.isfinite(matrix.values)).sum() for matrix in matrices.values())),
            "digest": store.version_key({roi: fingerprint(matrix) for roi, matrix in matrices.items()}),
        }
    return write_manifest(work.home, "populate", {**content, MADE_FROM: of_populate(work, images)})


def _require_margins(work: Work) -> None:
    """Refuse images of which ingest kept less than today's filters read: their features would be those of the crop, not of the scan."""
    needed = kept_around(cohort.roi_rules(work.settings.rois), work.settings.radiomics, work.settings.ingest.grid_mm)
    for center, facts in read_manifest(work.home, "ingest")["centers"].items():
        short = [name for name, length in needed.items() if facts["accepted"] and facts["kept"][name] < length]
        if short:
            found = ", ".join(f"{name} {facts['kept'][name]:g} of {needed[name]:g}" for name in short)
            raise Refusal("margin_kept", f"{center}: ingest kept {found} around the GTV", "run `penumbra ingest` again: the filters or rings changed since")


def _needed_bytes(work: Work, job: Job) -> int:
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
    found = radiomics.extract(scan, {GTV: scan.gtv, **imaging.rings(scan.gtv, margins)}, settings, engine=engine)
    names = radiomics.feature_names(settings, engine=engine)
    return {roi: np.array([values[name] for name in names]) for roi, values in found.items()}


def train(work: Work) -> Manifest:
    """The network on the training centers; its log_risk and deep features of every accepted patient into the store."""
    from penumbra import network

    images, settings = accepted_images(work), work.settings
    fitted = sorted(patient for patient in images if images[patient]["center"] in settings.cohort.train_centers)
    if not fitted:
        raise no_training_center(work, images)
    with store.connect(work.home) as lake:
        records = {row["patient"]: row for row in lake.rows("patients")}
        without_se = None
        if settings.ablation.without_se:
            without_se, _ = _embedded(work, lake, replace(settings.network, se=False), fitted, images, records, f"{DEEP} {work.profile}, without SE")
        version, trained = _embedded(work, lake, settings.network, fitted, images, records, f"{DEEP} {work.profile}")
        lake.write({"current_versions": [{"kind": DEEP, "version": version}]}, run=work.run, what=f"{DEEP} version {version} is current")
        matrix = store.read_matrix(lake, DEEP, GTV, version=version, patients=sorted(images))
    content = {
        "version": version,
        "patients": sorted(images),
        "trained_on": len(fitted),
        "networks": len(trained.members),
        "best_epochs": list(trained.best_epochs),
        "network": network.digest(trained),
        "digest": fingerprint(matrix),
        MADE_FROM: of_train(work, images, records),
    }
    return write_manifest(work.home, "train", content if without_se is None else {**content, "without_se": without_se})


def _embedded(
    work: Work, lake: store.Store, architecture: "Network", fitted: Sequence[str], images: Images, records: dict[str, dict[str, Any]], label: str
) -> tuple[str, "Ensemble"]:
    """A network of one architecture, trained where it is not yet, with its features of every accepted patient in the store; their version."""
    from penumbra import network

    settings = work.settings
    engine = {name: installed(name) for name in ("jax", "flax", "optax")}
    definition = {
        "network": asdict(architecture),
        "augment": asdict(settings.augment),
        "train": asdict(settings.train),
        "pretrain": asdict(settings.pretrain),
        "ensemble": asdict(settings.ensemble),
        "grid_mm": settings.ingest.grid_mm,
        "engine": engine,
        "trained_on": [[patient, images[patient]["image_version"], float(records[patient]["time"]), bool(records[patient]["event"])] for patient in fitted],
    }
    event, time = outcomes_of(fitted, records)
    if network.drawn_again_by_any(event, time, train=settings.train, ensemble=settings.ensemble):
        definition["validation"] = "pairs first"  # until this was a rule such a network kept its first epoch: it is another one
    version = store.version_key(definition)
    weights = network_file(work.home, version)
    keys = [(patient, GTV, image["image_version"]) for patient, image in sorted(images.items())]
    lacking = [patient for patient, _, _ in store.missing(lake, DEEP, version, keys)]
    if not weights.is_file():
        _train(work, architecture, weights, fitted, images, records)
    trained = network.load(weights)
    if lacking:
        names = deep_names(architecture.filters[-1])
        store.declare_version(lake, version, DEEP, definition, features=names, run=work.run, label=label, engine=engine)
        _embed(work, lake, version, trained, lacking, images)
    return version, trained


def embed(work: Work, version: str, weights: Path) -> None:
    """Deep features and log_risk, from a network that was trained before, of every accepted patient that has none of this version yet."""
    from penumbra import network

    images = accepted_images(work)
    with store.connect(work.home) as lake:
        keys = [(patient, GTV, image["image_version"]) for patient, image in images.items()]
        lacking = sorted(patient for patient, _, _ in store.missing(lake, DEEP, version, keys))
        if lacking:
            _embed(work, lake, version, network.load(weights), lacking, images)


def _embed(work: Work, lake: store.Store, version: str, trained: "Ensemble", patients: Sequence[str], images: Images) -> None:
    from penumbra import network

    log_risk, features = network.embed(trained, network_inputs(work, patients, images, trained.network))
    rows = [
        {
            "patient": patient,
            "center": images[patient]["center"],
            "roi": GTV,
            "image_version": images[patient]["image_version"],
            "log_risk": float(log_risk[i]),
            "values": features[i].astype(float),
        }
        for i, patient in enumerate(patients)
    ]
    store.write_features(lake, DEEP, version, rows, features=deep_names(features.shape[1]), run=work.run)


def deep_names(width: int) -> tuple[str, ...]:
    """Names of the deep features of a network with that many channels in its last block."""
    return tuple(f"{DEEP}_{i:03d}" for i in range(width))


def outcomes_of(patients: Sequence[str], records: Mapping[str, Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Event (n,) bool and time (n,) days of patients, from the rows of the relation `patients` by id."""
    return np.array([bool(records[patient]["event"]) for patient in patients]), np.array([float(records[patient]["time"]) for patient in patients])


def _train(work: Work, architecture: "Network", weights: Path, fitted: Sequence[str], images: Images, records: dict[str, dict[str, Any]]) -> None:
    """Train and save as the file `weights`; a training that was killed resumes from its checkpoint and reaches the same weights."""
    from penumbra import network

    settings = work.settings
    keep_compiled(work)
    volumes = network_inputs(work, fitted, images, architecture)
    event, time = outcomes_of(fitted, records)
    unfinished = weights.parent / "unfinished"
    networks = max(1, settings.ensemble.folds) * settings.ensemble.seeds
    with track("train", networks * settings.train.epochs) as advance:
        done = 0

        def show(member: int, epoch: "Epoch") -> None:
            nonlocal done
            reached = member * settings.train.epochs + epoch.epoch  # a member that stopped early leaves its other epochs out
            advance(reached - done, note=f"loss {epoch.train_loss:.2f}, validation {epoch.validation_loss:.2f}, C {epoch.validation_c:.2f}")
            done = reached

        trained = network.fit_ensemble(
            volumes,
            event,
            time,
            network=architecture,
            augment=settings.augment,
            train=settings.train,
            pretrain=settings.pretrain,
            ensemble=settings.ensemble,
            folder=unfinished,
            progress=show,
        )
    network.save(trained, weights)
    shutil.rmtree(unfinished, ignore_errors=True)


def keep_compiled(work: Work) -> None:
    """Compiled programs of the network stay in the state folder, for the next process."""
    from penumbra import network

    network.keep_compiled(work.home / "networks" / "compiled", at_least_seconds=COMPILE_WORTH_KEEPING_S)


def network_inputs(work: Work, patients: Sequence[str], images: Images, settings: "Network") -> np.ndarray:
    """What the network sees of some patients, (n, size, size, size)."""
    from penumbra import network

    cubes = []
    with track("prepare", len(patients)) as advance:
        for patient in patients:
            scan = cohort.load_patient(work.home / "images", {"patient": patient, **images[patient]})
            cubes.append(network.prepare(scan.image.values, scan.gtv.values, size=settings.input_size, masked=settings.masked_input))
            advance()
    return np.stack(cubes)


def _rejection(patient: str | None, center: str, stage: str, refusal: Refusal) -> dict[str, Any]:
    return {"patient": patient, "center": center, "stage": stage, "rule": refusal.rule, "found": refusal.found, "advice": refusal.advice}


def _counts(rules: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(rules).items()))
