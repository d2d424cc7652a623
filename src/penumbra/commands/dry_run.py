"""What an ingest would do, center by center, without writing anything: same rules, same reading of every file, no row and no scan kept."""

from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from penumbra import cohort, store
from penumbra.base import tables
from penumbra.base.progress import say, track
from penumbra.base.refusal import Refusal
from penumbra.base.workers import available_cores
from penumbra.pipeline import arrivals, persons, pseudonyms
from penumbra.pipeline.ingest import clinical_table, image_rules
from penumbra.pipeline.workspace import Work


@dataclass(frozen=True)
class Rehearsed:
    """What an ingest of one center would find, see `IngestedCenter`.

    Parameters
    ----------
    found
        How many patients are in the center's table or folder.
    new, changed, unchanged
        How many of the accepted patients.
    leaving
        Stored patients who would leave.
    alike
        Remarks on scans that resemble another's.
    rejections
        The rows of the relation.
    """

    found: int = 0
    accepted: Sequence[str] = ()
    new: int = 0
    changed: int = 0
    unchanged: int = 0
    flagged: Mapping[str, int] = field(default_factory=dict)
    contradicted: Mapping[str, int] = field(default_factory=dict)
    alike: Mapping[str, int] = field(default_factory=dict)
    rejected: Mapping[str, int] = field(default_factory=dict)
    rejections: Sequence[Mapping[str, Any]] = ()
    leaving: Sequence[str] = ()


def rehearse(work: Work, folders: Mapping[str, Path], confirmed: Collection[str] = ()) -> dict[str, Rehearsed]:
    """Per center what the stage `ingest` would find.

    Parameters
    ----------
    folders
        Center -> its folder, in the order in which they would be ingested.
    confirmed
        Patients whose new clinical record is right, though it contradicts the stored one.

    Raises
    ------
    Refusal
        "pseudonym_key", "patient_stored", and whatever hinders opening a store that is there.
    """
    with _as_it_is(work) as lake:
        owners: dict[str, str] = {}
        if lake is not None:
            pseudonyms.require_same(work.home, lake)
            owners = {row["patient"]: row["center"] for row in lake.sql("SELECT patient, center FROM patients").to_pylist()}
        if confirmed and lake is None:
            raise Refusal("patient_stored", "nothing is stored yet", "ingest without --confirm")
        if lake is not None:
            persons.require_stored(lake, folders, confirmed)
        tables_of = {center: clinical_table(work, folder) for center, folder in folders.items()}
        leaving = {
            center: _leaving(lake, center, folders[center], table)
            for center, table in tables_of.items()
            if lake is not None and isinstance(table, cohort.ClinicalTable)
        }
        departures = {patient for patients in leaving.values() for patient in patients}
        owners = {patient: center for patient, center in owners.items() if patient not in departures}
        scans = [scan for scan in persons.accepted_scans(lake) if scan.patient not in departures] if lake is not None else []
        rehearsals = {}
        for center, folder in folders.items():
            rehearsals[center] = replace(_center(work, lake, center, folder, tables_of[center], owners, confirmed, scans), leaving=leaving.get(center, []))
            owners |= dict.fromkeys(rehearsals[center].accepted, center)
        return rehearsals


def shown(rehearsals: Mapping[str, Rehearsed]) -> str:
    """What `rehearse` found, as tables: one line per center, then why each patient would be rejected."""
    rows = [
        [
            center,
            facts.found,
            len(facts.accepted),
            f"{facts.new} / {facts.changed} / {facts.unchanged}",
            _counted({**facts.flagged, **facts.contradicted, **facts.alike}),
            _counted(facts.rejected),
            len(facts.leaving),
        ]
        for center, facts in rehearsals.items()
    ]
    text = tables.render(["center", "found", "accepted", "new / changed / unchanged", "remarks", "rejected", "leaving"], rows)
    refused = [
        [center, row["patient"] or "(table)", row["rule"], f"{row['found']}. {row['advice']}"]
        for center, facts in rehearsals.items()
        for row in facts.rejections
    ]
    if refused:
        text += "\n\n" + tables.render(["center", "patient", "rule", "why, and what to do"], refused)
    return text + "\n\nNothing was written."


def rows(rehearsals: Mapping[str, Rehearsed]) -> tables.Answer:
    """The same for other programs: one row per patient and reason."""
    records = []
    for center, facts in rehearsals.items():
        records += [{"center": center, "patient": patient, "outcome": "accepted"} for patient in facts.accepted]
        records += [{"center": center, "patient": patient, "outcome": "leaving"} for patient in facts.leaving]
        columns = ("patient", "rule", "found", "advice")
        records += [{"center": center, "outcome": "rejected"} | {name: row[name] for name in columns} for row in facts.rejections]
    return tables.Answer.of(records, ("center", "patient", "outcome", "rule", "found", "advice"))


@contextmanager
def _as_it_is(work: Work) -> Iterator[store.Store | None]:
    """The store to read from; None where nothing was stored yet."""
    try:
        lake = store.connect(work.home, read_only=True)
    except Refusal as refusal:
        if refusal.rule != "store_exists":
            raise
        yield None
        return
    with lake:
        yield lake


def _leaving(lake: store.Store, center: str, folder: Path, table: cohort.ClinicalTable) -> list[str]:
    missing, rows, reason = persons.departing(lake, center, folder, table)
    if reason:
        say(f"{center}: {missing} stored patients are missing from the table; none would be treated as withdrawn, because {reason}")
    return sorted(row["patient"] for row in rows)


def _center(
    work: Work,
    lake: store.Store | None,
    center: str,
    folder: Path,
    clinical: cohort.ClinicalTable | Refusal,
    owners: Mapping[str, str],
    confirmed: Collection[str],
    scans: list[cohort.KnownScan],
) -> Rehearsed:
    """What ingesting one center would find.

    Parameters
    ----------
    scans
        Accepted so far, of all centers; those of this one take the place of what it had.
    """
    if isinstance(clinical, Refusal):
        row = {"patient": None, "rule": clinical.rule, "found": clinical.found, "advice": clinical.advice}
        return Rehearsed(rejected={clinical.rule: 1}, rejections=[row])
    for note in clinical.notes:
        say(f"{center}: {note}")
    stored = {patient for patient, owner in owners.items() if owner == center}
    records = persons.Records(lake, center, work.settings.ingest, confirmed) if lake is not None else None
    total = cohort.count_patients(folder, clinical)
    accepted: list[cohort.Accepted] = []
    rejected: list[cohort.Rejected] = []
    roots = arrivals.link_roots(work.home, folder, work.settings.ingest.roots)
    with track(f"dry run {center}", total) as advance:
        for outcome in cohort.ingest_center(
            cohort.Arrival(center, folder, clinical, roots, cohort.pseudonym_key_from_environment()),
            images=work.home / "images",
            rules=image_rules(work, center),
            workers=available_cores(),
            patients_elsewhere=set(owners) - stored,
            scans=scans,
            keep=False,
        ):
            if isinstance(outcome, cohort.Accepted):
                accepted.append(records.judged(outcome) if records else outcome)
            else:
                rejected.append(outcome)
            advance()
    scans[:] = [*(scan for scan in scans if scan.center != center), *map(cohort.known_scan, accepted)]
    contradicted = Counter(rule for rows in (records.rows.values() if records else ()) for rule in {row["rule"] for row in rows})
    return Rehearsed(
        found=total,
        accepted=sorted(entry.patient for entry in accepted),
        new=sum(entry.read and entry.patient not in stored for entry in accepted),
        changed=sum(entry.read and entry.patient in stored for entry in accepted),
        unchanged=sum(not entry.read for entry in accepted),
        flagged=dict(Counter(finding["rule"] for entry in accepted for finding in entry.image["certificate"]["findings"])),
        contradicted=dict(contradicted),
        alike=dict(Counter(row["rule"] for entry in accepted for row in entry.remarks)),
        rejected=dict(Counter(entry.rejections[0]["rule"] for entry in rejected)),
        rejections=[dict(row) for entry in sorted(rejected, key=lambda entry: entry.patient) for row in entry.rejections],
    )


def _counted(rules: Mapping[str, int]) -> str:
    return ", ".join(f"{rule} {count}" for rule, count in sorted(rules.items())) or "-"
