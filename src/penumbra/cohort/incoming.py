"""A center's folder, as it arrived, to accepted patients and rejections.

What one patient's files give is kept in `<images>/<center>/<patient>/<image_version>/`: the scan on the grid, and `record.json` with the rows of
the certificate and what they were made from. The record is written last: where it is, the patient is done, and is read again only when a file
or a setting changed.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from penumbra.base.blocks import GTV
from penumbra.base.refusal import Refusal
from penumbra.base.workers import Pool, over
from penumbra.cohort.clinical import ClinicalRecord
from penumbra.cohort.entries import Accepted, Arrival, ImageRules, Rejected
from penumbra.cohort.folders import nearly, no_scan, patient_folders
from penumbra.cohort.links import refuse_leaving, roots_of
from penumbra.cohort.nearly import spelled_otherwise
from penumbra.cohort.own_columns import rows_of
from penumbra.cohort.pseudonyms import pseudonym
from penumbra.cohort.record import Evidence, Record, find_record, folder_digest, has_records, image_version, write_record
from penumbra.cohort.sheet import CLINICAL_FILE
from penumbra.cohort.twins import KnownScan, Scans, figures_of
from penumbra.imaging import (
    Certificate,
    Finding,
    GtvNames,
    Scan,
    certify,
    gtv_sources,
    load_scan,
    names_in,
    read_sources,
    rings,
    roi_names,
    save_scan,
    to_grid,
)
from penumbra.imaging.folder import readable, understood
from penumbra.imaging.sources import Source
from penumbra.store.version import version_key

STAGE, REMARK = "ingest", "remark"
ID_ADVICE = "Give patients names that differ; where one center took over from another, ingest the new table of both"
FEW = 3  # patients: reading them here is faster than starting processes


@dataclass(frozen=True)
class Reading:
    """The record of one patient's files; `is_new`: they were read for it just now."""

    record: Record
    is_new: bool


@dataclass(frozen=True)
class Job:
    patient: str
    folder: Path


def ingest_center(
    arrival: Arrival,
    *,
    images: Path,
    rules: ImageRules,
    workers: int = 1,
    pool: Pool | None = None,
    patients_elsewhere: Collection[str] = (),
    scans: Collection[KnownScan] = (),
    keep: bool = True,
) -> Iterator[Accepted | Rejected]:
    """Ingest every patient of a center, each once, in no fixed order; what was read before and has not changed is not read again.

    Parameters
    ----------
    arrival
        What the center sent.
    images
        Folder of all saved scans; this writes `<images>/<center>/<patient>/<image_version>/`.
    rules
        What a patient's files become.
    workers
        Processes; 1 works in this one.
    pool
        That has them; None: new ones.
    patients_elsewhere
        Patients of other centers: a name is used once.
    scans
        Accepted scans of all centers. Of two patients with the same pixels the one who was accepted before stays, then the first by name.
    keep
        False: say what would happen and write nothing.

    Yields
    ------
    Accepted or Rejected
        One for each patient.

    Notes
    -----
    A patient is rejected by the rules of `read_clinical`, `read_patient` and `certify`, and by `scan_found`, `clinical_record`,
    `patient_id_free`, `scan_once`, `link_within_cohort`, `files_readable`, `files_understood`, `worker_killed`.
    """
    folder, center, clinical, pseudonym_key = arrival.folder, arrival.center, arrival.clinical, arrival.pseudonym_key
    folders = patient_folders(folder)
    clinical_records = {record.patient: record for record in clinical.records}
    stored_name = partial(pseudonym, center=center, key=pseudonym_key) if pseudonym_key else str
    refused: dict[str, list[Refusal]] = {}
    for entry in clinical.refused:
        refused.setdefault(entry.patient, []).append(entry.refusal)
    near = nearly(folders, clinical)
    for patient, folder_name in near.items():
        refused.setdefault(patient, []).append(spelled_otherwise(patient, folder_name, show_names=pseudonym_key is None))
    for patient in clinical_records:
        if patient in near:
            continue
        if patient not in folders:
            refused[patient] = [no_scan(folder, patient)]
        elif stored_name(patient) in patients_elsewhere:
            refused[patient] = [Refusal("patient_id_free", "another center has a patient of this name", ID_ADVICE)]
    for patient in folders:
        if patient not in clinical_records and patient not in refused and patient not in near.values():
            refused[patient] = [Refusal("clinical_record", f"no row in {CLINICAL_FILE}", "Send the patient's row, or leave the folder out")]
    for patient, refusals in refused.items():
        yield rejected(stored_name(patient), center, refusals)
    jobs = [Job(stored_name(patient), place) for patient, place in folders.items() if patient in clinical_records and patient not in refused]
    records = {stored_name(patient): record for patient, record in clinical_records.items()}
    work = partial(ingest_images, center=center, images=images, rules=rules, keep=keep)
    index = Scans(scans, center)
    changed, unchanged, within = [], [], arrival.roots or roots_of(folder)
    for job in jobs:  # in this process: starting another costs more than hashing unchanged files
        try:
            with readable():
                refuse_leaving(job.folder, folder, within)
            earlier = read_before(job.folder, images / center / job.patient, rules, keep=keep)
        except Refusal as refusal:
            yield rejected(job.patient, center, [refusal])
            continue
        if earlier is None:
            changed.append(job)
        elif index.is_as_stored(job.patient, _pixels_of(earlier)):
            yield _arrived(job.patient, center, records[job.patient], Reading(earlier, is_new=False), index)
        else:
            unchanged.append((job, Reading(earlier, is_new=False)))
    for job, reading in unchanged:
        yield _arrived(job.patient, center, records[job.patient], reading, index)
    changed.sort(key=lambda job: not index.is_stored(job.patient))
    outcomes = over(work, changed, workers, pool=pool) if workers > 1 and len(changed) > FEW else _here(work, changed)
    for job, outcome in _in_order(changed, outcomes):
        if isinstance(outcome, Refusal):
            yield rejected(job.patient, center, [outcome])
        elif isinstance(outcome, Reading):
            yield _arrived(job.patient, center, records[job.patient], outcome, index)
        else:
            yield rejected(job.patient, center, outcome)


def _in_order(jobs: list[Job], outcomes: Iterable[tuple[Job, Any]]) -> Iterator[tuple[Job, Any]]:
    """Yield the outcomes in the order of the jobs: which of two equal scans is first must not depend on which finishes first."""
    waiting: dict[str, Any] = {}
    ahead = iter(jobs)
    job = next(ahead, None)
    for finished, outcome in outcomes:
        waiting[finished.patient] = outcome
        while job is not None and job.patient in waiting:
            yield job, waiting.pop(job.patient)
            job = next(ahead, None)


def _pixels_of(record: Record) -> str | None:
    pixels = record.image["certificate"].get("pixels")
    return str(pixels) if pixels else None


def known_scan(entry: Accepted) -> KnownScan:
    """Return the digests that identify a scan just accepted.

    Parameters
    ----------
    entry
        The patient.

    Returns
    -------
    KnownScan
        Digests of its pixels, figures and files.
    """
    return KnownScan(entry.patient, entry.center, entry.image["certificate"].get("pixels"), figures_of(entry.rois), entry.image["sha256"])


def _arrived(patient: str, center: str, clinical: ClinicalRecord, reading: Reading, index: Scans) -> Accepted | Rejected:
    """The patient, accepted unless the scan is that of another patient."""
    record = reading.record
    try:
        remark = index.arrive(KnownScan(patient, center, _pixels_of(record), figures_of(record.rois)))
    except Refusal as refusal:
        return rejected(patient, center, [refusal])
    entry = _accepted(patient, center, clinical, reading)
    remarks = [*((remark,) if remark else ()), *clinical.doubts]
    return replace(entry, remarks=rejected(patient, center, remarks, REMARK).rejections)


def rejected(patient: str, center: str, refusals: Collection[Refusal], stage: str = STAGE) -> Rejected:
    """A rejection with one row for each refusal."""
    common = {"patient": patient, "center": center, "stage": stage}
    return Rejected(patient, center, tuple({**common, "rule": r.rule, "found": r.found, "advice": r.advice} for r in refusals))


def load_patient(images: Path, row: Mapping[str, Any]) -> Scan:
    """Load the saved scan of an accepted patient.

    Parameters
    ----------
    images
        Folder of all saved scans.
    row
        Of the relation `images`: center, patient, image_version.

    Returns
    -------
    Scan
        On the grid, cropped as it was saved.

    Raises
    ------
    Refusal
        `saved_scan`.
    """
    return load_scan(images / row["center"] / row["patient"] / row["image_version"])


def ingest_images(job: Job, *, center: str, images: Path, rules: ImageRules, keep: bool = True) -> Reading | tuple[Refusal, ...]:
    """The record of one patient's files, or the findings for which the certificate refuses them.

    Parameters
    ----------
    keep
        False: neither scan nor record is written.

    Raises
    ------
    Refusal
        As `read_patient`, `to_grid`, `files_readable` and `files_understood`.
    """
    home = images / center / job.patient
    settings = _settings(rules)
    with readable():
        files = folder_digest(job.folder)
        with understood():
            sources = gtv_sources(job.folder, rules.names)
            names = tuple(names_in(sources))
            native = _read_scan(sources, rules.names)
            grid = to_grid(native, rules.grid_mm, margin_mm=rules.margin_mm, periodic_mm=rules.periodic_mm)
            certificate = certify(native, grid, rings(grid.gtv, rules.margins_mm), rules.limits)
    if certificate.status == "refused":
        return tuple(Refusal(finding.rule, finding.found, finding.advice) for finding in certificate.findings)
    version = image_version(files, native.roi_name, grid_mm=rules.grid_mm, margin_mm=rules.margin_mm, periodic_mm=rules.periodic_mm)
    evidence = Evidence(files, settings, tuple(map(rules.names.stored, names)), _matched(names, rules.names), _names_digest(rules.names))
    image = {
        "image_version": version,
        "source": native.source,
        "sha256": files,
        "spacing": [round(float(step), 6) for step in native.image.spacing],
        "size": [int(n) for n in native.image.values.shape],
        "status": certificate.status,
        "certificate": _certificate(certificate, native),
    }
    record = Record(evidence, image, tuple(_roi_rows(certificate, version)))
    if keep:
        save_scan(grid, home / version, drawn=native.contours)
        write_record(home / version, record)
    return Reading(record, is_new=True)


def read_before(folder: Path, home: Path, rules: ImageRules, *, keep: bool = True) -> Record | None:
    """The record of an earlier reading, if still valid: same files, same settings, same choice of the GTV; otherwise None.

    Parameters
    ----------
    folder
        Of the patient's files.
    home
        Of the patient's saved scans.
    keep
        False: nothing is written.

    Raises
    ------
    Refusal
        `files_readable`, and where other patterns hold than then what `roi_names` raises.
    """
    if not has_records(home):
        return None
    with readable():
        earlier = find_record(home, folder_digest(folder), _settings(rules))
    if earlier is None or earlier.evidence.asked == _names_digest(rules.names):
        return earlier
    with readable(), understood():  # other patterns: the names themselves are not kept
        matched = _matched(roi_names(folder, rules.names), rules.names)
    if matched != earlier.evidence.matched:
        return None
    if keep:
        earlier = replace(earlier, evidence=replace(earlier.evidence, asked=_names_digest(rules.names)))
        write_record(home / earlier.image["image_version"], earlier)
    return earlier


def _accepted(patient: str, center: str, clinical: ClinicalRecord, reading: Reading) -> Accepted:
    record = reading.record
    identity = {"patient": patient, "center": center}
    facts = {name: value for name, value in clinical.facts.items() if name not in ("patient", "stage_edition")}
    details = {"overall_stage": f"derived from TNM, {clinical.stage_edition}"} if clinical.stage_edition else {}
    return Accepted(
        patient=patient,
        center=center,
        image_version=record.image["image_version"],
        status=record.image["status"],
        read=reading.is_new,
        clinical={**identity, **facts, "details": details or None},
        image={**identity, **record.image},
        rois=tuple({**identity, **row} for row in record.rois),
        values=tuple(rows_of(patient, center, clinical.further)),
    )


def _settings(rules: ImageRules) -> dict[str, Any]:
    """What a record depends on besides the files and the choice of the GTV."""
    return {name: value for name, value in asdict(rules).items() if name != "names"} | {"margins_mm": list(rules.margins_mm)}


def _read_scan(sources: Sequence[Source], names: GtvNames) -> Scan:
    """The patient's scan; a refusal speaks of structures as they may be kept, since one may be named after a person."""
    try:
        return read_sources(sources, names)
    except Refusal as refusal:
        listed = [name for source in sources for name in source.names]
        fault, advice = names.redacted(refusal.found, listed), names.redacted(refusal.advice, listed)
        fault = re.sub(r"structure [0-9a-f]{8}(, structure [0-9a-f]{8})+(?! \()", lambda several: f"{several.group().count(',') + 1} structures", fault)
        if fault != refusal.found:
            advice += "; `penumbra rois` on the center's folder shows the names as sent"
        raise Refusal(refusal.rule, fault, advice) from None


def _matched(names: Sequence[str], rules: GtvNames) -> tuple[str, ...]:
    """The choice among the names: the policy, and the names that match in order; an unchanged choice needs no second reading."""
    return (rules.several, *(rules.stored(names[index]) for index in rules.order(names)))


def _names_digest(rules: GtvNames) -> str:
    """Digest of everything that decides the choice."""
    # `own` is what center_patterns was called when the first records were written: under another name they would all be read again
    return version_key({"own" if name == "center_patterns" else name: value for name, value in asdict(rules).items()})


def _certificate(certificate: Certificate, native: Scan) -> dict[str, Any]:
    """Figures of the GTV as it arrived, with the reader's notes; those of each ROI are in `rois`."""
    figures = {name: value for name, value in asdict(certificate).items() if name not in ("rois", "status", "findings")}
    return {**figures, "roi_name": native.roi_name, "notes": list(native.notes), "findings": [asdict(finding) for finding in certificate.findings]}


def _roi_rows(certificate: Certificate, version: str) -> Iterator[dict[str, Any]]:
    for figures in certificate.rois:
        about = [finding for finding in certificate.findings if _roi_of(finding) == figures.roi]
        reason = "; ".join(f"{finding.rule}: {finding.found}" for finding in about) or None
        yield {"image_version": version, **asdict(figures), "status": "flagged" if about else "accepted", "reason": reason}


def _roi_of(finding: Finding) -> str:
    """The ROI that a finding is about: a ring where it says so, otherwise the GTV."""
    return finding.found.split(" ", 1)[0] if finding.rule == "ring_inside_scan" else GTV


def _here(work: Any, jobs: list[Job]) -> Iterator[tuple[Job, Any]]:
    for job in jobs:
        try:
            yield job, work(job)
        except Refusal as refusal:
            yield job, refusal
