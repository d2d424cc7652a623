"""Stage 1: every center that arrived into the store, with the refusals."""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from penumbra import cohort, store
from penumbra.base.progress import say, track
from penumbra.base.refusal import Refusal
from penumbra.base.workers import Pool, lasting_pool
from penumbra.cohort.intended_use import CENTER_FILE, read_declaration
from penumbra.pipeline import arrivals, manifests, persons, pseudonyms
from penumbra.pipeline.definition import required_margins
from penumbra.pipeline.manifests import IngestedCenter, IngestManifest, StoredMargins
from penumbra.pipeline.origins import clinical_versions, of_center
from penumbra.pipeline.workspace import Work

UNCHANGED = 1000  # patients whose files were read before that are written at once: each write costs as much as reading a patient


def ingest(work: Work, only: str | None = None, *, confirmed: Collection[str] = (), new_key: bool = False) -> IngestManifest:
    """Every arrived center (or `only` one) into the store: images on the grid, certificates, clinical records, rejections, departures.

    Parameters
    ----------
    confirmed
        Patients whose new clinical record is right, though it contradicts the stored one.
    new_key
        Rename every patient with the current pseudonym key, or without one.
    """
    arrived = manifests.write(work.home, arrivals.describe(work.home, work.settings.ingest.roots)).centers
    centers = arrivals.center_folders(work.home)
    facts = dict[str, IngestedCenter]()
    if only and manifests.file_of(work.home, "ingest").is_file():
        facts = {center: entry for center, entry in manifests.read(work.home, IngestManifest).centers.items() if center in centers}
    with store.connect(work.home) as lake:
        pseudonyms.require_key(work, lake, new=new_key)
        chosen = {center: folder for center, folder in centers.items() if only in (None, center)}
        persons.require_stored(lake, chosen, confirmed)
        tables = {center: clinical_table(work, folder) for center, folder in chosen.items()}
        for center, table in tables.items():  # before anybody arrives: who left one center may have gone on to another
            if isinstance(table, cohort.ClinicalTable):
                persons.note_departures(work, lake, center, chosen[center], table)
        with lasting_pool() as pool:
            for center, folder in chosen.items():
                made_from = of_center(work, center, arrived[center].sha256)
                entry = _ingest_center(work, lake, center, folder, tables[center], confirmed, pool, alone=len(chosen) == 1)
                shown = clinical_versions(lake, center)
                facts[center] = replace(entry, made_from=made_from, stored={patient: shown[patient] for patient in entry.accepted})
    return manifests.write(work.home, IngestManifest(facts))


def clinical_table(work: Work, folder: Path) -> cohort.ClinicalTable | Refusal:
    """A center's clinical table, or why none of it can be used."""
    rules = work.settings.cohort
    try:
        roots = arrivals.link_roots(work.home, folder, work.settings.ingest.roots)
        for file in (cohort.clinical_table(folder) or folder / cohort.CLINICAL_FILE, folder / cohort.DECLARED_FILE, folder / CENTER_FILE):
            cohort.refuse_leaving(file, folder, roots)
        read_declaration(folder)
        return cohort.read_clinical(
            folder / cohort.CLINICAL_FILE,
            time_unit=rules.time_unit,
            staging_edition=rules.staging_edition,
            inclusion=rules.inclusion,
            further=work.settings.clinical_columns,
        )
    except Refusal as refusal:
        return refusal


def _ingest_center(
    work: Work, lake: store.Store, center: str, folder: Path, clinical: cohort.ClinicalTable | Refusal, confirmed: Collection[str], pool: Pool, *, alone: bool
) -> IngestedCenter:
    """One center into the store; what the manifest says of it.

    A center whose table is refused as a whole takes no part in what follows: rows of an earlier table stay in the store, but nothing tells which
    of them still hold.
    """
    settings = work.settings
    patients_elsewhere = {row["patient"] for row in lake.rows("patients") if row["center"] != center}
    roots = arrivals.link_roots(work.home, folder, settings.ingest.roots)
    if isinstance(clinical, Refusal):
        refusal = clinical
        _lift_refusal(work, lake, center, but=refusal)
        lake.write({"rejections": [rejection(None, center, "ingest", refusal)]}, run=work.run, what=f"ingest {center}: no usable clinical table")
        if not alone:
            say(f"{center} takes no part: {refusal}")
        return IngestedCenter(found=0, accepted={}, flagged={}, rejected={refusal.rule: 1}, refused=str(refusal).replace(". (rule ", " (rule "))
    _lift_refusal(work, lake, center)
    for note in clinical.notes:
        say(f"{center}: {note}")
    rules = image_rules(work, center)
    total = cohort.count_patients(folder, clinical)
    records = persons.Records(lake, center, settings.ingest, confirmed)
    accepted: list[cohort.Accepted] = []
    refused: list[cohort.Rejected] = []
    unsaved: list[cohort.Accepted | cohort.Rejected] = []
    costly = 0  # of them: what reading again would take
    lake.write({"centers": [{"center": center}]}, run=work.run, what=f"{center} arrived")
    declared = read_declaration(folder).facts
    if declared:
        lake.write({"center_declarations": [{"center": center, **declared}]}, run=work.run, what=f"{center} declares its patients")
    with track(f"ingest {center}", total) as advance:
        for outcome in cohort.ingest_center(
            cohort.Arrival(center, folder, clinical, roots, cohort.pseudonym_key_from_environment()),
            images=work.home / "images",
            rules=rules,
            workers=pool.workers,
            pool=pool,
            patients_elsewhere=patients_elsewhere,
            scans=persons.accepted_scans(lake),
        ):
            if isinstance(outcome, cohort.Accepted):
                accepted.append(records.judged(outcome))
                unsaved.append(accepted[-1])
            else:
                refused.append(outcome)
                unsaved.append(outcome)
            costly += not isinstance(outcome, cohort.Accepted) or outcome.read
            if costly >= settings.ingest.batch or len(unsaved) >= UNCHANGED:
                _save(work, lake, center, unsaved, records)
                unsaved, costly = [], 0
            advance()
        _save(work, lake, center, unsaved, records)
    departures = lake.sql("SELECT count(*) AS n FROM departures WHERE center = ? AND NOT returned", [center]).column("n")[0].as_py()
    return IngestedCenter(
        found=total,
        accepted={entry.patient: entry.image_version for entry in sorted(accepted, key=lambda entry: entry.patient)},
        flagged=_counts(finding["rule"] for entry in accepted for finding in entry.image["certificate"]["findings"]),
        rejected=_counts(entry.rejections[0]["rule"] for entry in refused),
        contradicted=records.tell(),
        alike=_counts(row["rule"] for entry in accepted for row in entry.remarks),
        no_longer_sent=int(departures),
        kept=StoredMargins(rules.margin_mm, rules.periodic_mm),
        clinical=store.version_key({entry.patient: {**entry.clinical, **({"own": list(entry.values)} if entry.values else {})} for entry in accepted}),
    )


def image_rules(work: Work, center: str) -> cohort.ImageRules:
    """What the files of a center's patients become."""
    settings, rules = work.settings, cohort.roi_rules(work.settings.rois)
    return cohort.ImageRules(
        grid_mm=settings.ingest.grid_mm,
        **required_margins(rules, settings.radiomics, settings.ingest.grid_mm),
        margins_mm=rules.margins_mm,
        names=rules.of(center),
        limits=settings.ingest.certificate,
    )


def _lift_refusal(work: Work, lake: store.Store, center: str, but: Refusal | None = None) -> None:
    """A center's table was sent again: what an earlier one was refused for no longer holds, unless it is refused for the same."""
    rejections = lake.sql("SELECT rule, found FROM rejections WHERE patient IS NULL AND stage = 'ingest' AND center = ?", [center]).to_pylist()
    if rejections and (but is None or rejections != [{"rule": but.rule, "found": but.found}]):
        lifts = rejection(None, center, "ingest", Refusal("clinical_table_sent_again", "", ""))  # the view `rejections` knows this rule
        lake.write({"rejections": [lifts]}, run=work.run, what=f"ingest {center}: another clinical table")


def _save(work: Work, lake: store.Store, center: str, outcomes: Sequence[cohort.Accepted | cohort.Rejected], records: persons.Records) -> None:
    """One transaction for some patients: each is in the store with everything or not at all."""
    accepted = [entry for entry in outcomes if isinstance(entry, cohort.Accepted)]
    lake.write(
        {
            "patients": [entry.clinical for entry in accepted],
            "clinical_long": [row for entry in accepted for row in entry.values],
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


def _counts(rules: Iterable[str]) -> dict[str, int]:
    return dict(sorted(Counter(rules).items()))


def rejection(patient: str | None, center: str, stage: str, refusal: Refusal) -> dict[str, Any]:
    """A refusal as a row of the relation `rejections`."""
    return {"patient": patient, "center": center, "stage": stage, "rule": refusal.rule, "found": refusal.found, "advice": refusal.advice}
