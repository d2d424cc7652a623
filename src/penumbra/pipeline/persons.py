"""Who is whom: what a center sends, against the persons that the store knows.

A patient whom the center no longer sends leaves the relations, and an outcome that goes backwards is held back until somebody confirms it.
"""

import json
from collections.abc import Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from penumbra import cohort, store
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal
from penumbra.cohort.backwards import Contradiction, contradictions
from penumbra.cohort.twins import KnownScan, figures_of, groups
from penumbra.pipeline import pseudonyms
from penumbra.pipeline.groups import Ingest
from penumbra.pipeline.workspace import Work

HELD, ACCEPTED = "clinical", "remark"  # stages of the rows in `rejections`: the stored record stays; the new one was taken
SHOWN = 3  # contradictions in the line that ingest prints
DOUBLED_ADVICE = "take all but one out of the centers' tables and ingest them; where a pseudonym key changed, penumbra ingest --new-key"


def note_departures(work: Work, lake: store.Store, center: str, folder: Path, table: cohort.ClinicalTable) -> int:
    """Record every stored patient of a center whom its table no longer lists; how many there are.

    Nobody is taken as gone by a table without one usable record, with a row whose patient cannot be read, or that lists none of the stored
    patients (another center's, most likely).
    """
    missing, rows, reason = departing(lake, center, folder, table)
    if reason:
        say(f"{center}: {_people(missing)} missing from the table; no patient is treated as withdrawn, because {reason}")
        return 0
    if rows:
        lake.write({"departures": rows}, run=work.run, what=f"{center} no longer sends {_people(missing)}")
    if missing:
        say(f'{center}: {_people(missing)} no longer sent, and left the relations; see penumbra sql "FROM departures"')
    return missing


def departing(lake: store.Store, center: str, folder: Path, table: cohort.ClinicalTable) -> tuple[int, list[dict[str, Any]], str]:
    """How many stored patients a center's table lacks, the rows of `departures`, and why nobody is taken as gone where that is so."""
    stored_name = pseudonyms.namer(center)
    stored = {row["patient"] for row in lake.sql("SELECT patient FROM patients WHERE center = ?", [center]).to_pylist()}
    refused = {row["patient"] for row in lake.sql("SELECT patient FROM rejections WHERE center = ? AND patient IS NOT NULL", [center]).to_pylist()}
    listed = {stored_name(patient) for patient in table.patients}
    folders = {stored_name(patient) for patient in cohort.patient_folders(folder)}
    missing, forgotten = stored - listed, (refused - stored) - listed - folders
    unreadable = sum(entry.refusal.rule == "patient_id" for entry in table.refused)
    if missing:
        reason = (
            "no record of the table can be used"
            if not table.records
            else f"{unreadable} rows have no patient that can be read"
            if unreadable
            else f"none of the {len(stored)} patients stored is in the table"
            if missing == stored
            else ""
        )
        if reason:
            return len(missing), [], reason
    rows = [{"patient": patient, "center": center, "found": _absence(patient in folders)} for patient in sorted(missing | forgotten)]
    return len(missing), rows, ""


def _people(count: int) -> str:
    return f"{count} patient" if count == 1 else f"{count} patients"


def _absence(folder: bool) -> str:
    return f"no row in {cohort.CLINICAL_FILE}, though a folder is there" if folder else f"neither a row in {cohort.CLINICAL_FILE} nor a folder"


class Records:
    """The clinical records of one center as they are stored, and what becomes of those that contradict them."""

    def __init__(self, lake: store.Store, center: str, rules: Ingest, confirmed: Collection[str] = ()) -> None:
        """Read what is stored of the center.

        Parameters
        ----------
        lake
            The store.
        center
            Its name.
        rules
            Of the group `ingest`.
        confirmed
            Patients (their names in the store) whose new record is right, whatever is stored.
        """
        self.center, self.rules, self.confirmed = center, rules, frozenset(confirmed)
        newest = "QUALIFY row_number() OVER (PARTITION BY patient ORDER BY commit_id DESC) = 1"
        rows = lake.sql(f"FROM stored.patients WHERE center = ? {newest}", [center]).to_pylist()
        self.stored = {row["patient"]: row for row in rows}
        self.rows: dict[str, list[dict[str, Any]]] = {}  # patient -> rows of `rejections`

    def judged(self, entry: cohort.Accepted) -> cohort.Accepted:
        """The patient with the record that counts: the one sent, or the stored one where the sent one is held back."""
        stored = self.stored.get(entry.patient)
        if stored is None or entry.patient in self.confirmed:
            return entry
        conflicts = contradictions(stored, entry.clinical, age_tolerance_years=self.rules.age_tolerance_years)
        hold = self.rules.outcome_backwards == "hold" and any(one.grave for one in conflicts)
        if conflicts:
            self.rows[entry.patient] = [self._row(entry.patient, one, hold=hold) for one in conflicts]
        if not hold:
            return entry
        details = None if stored["details"] is None else json.loads(stored["details"])
        return replace(entry, clinical={**{name: stored[name] for name in entry.clinical}, "details": details}, values=())

    def of(self, entries: Collection[cohort.Accepted]) -> Iterator[dict[str, Any]]:
        """The rows of `rejections` that some patients' records gave."""
        return (row for entry in entries for row in self.rows.get(entry.patient, ()))

    def _row(self, patient: str, one: Contradiction, *, hold: bool) -> dict[str, Any]:
        confirm = f"penumbra ingest FOLDER --center {self.center} --confirm {patient}"
        advice = (
            f"the stored record stays; send the right one, or if the new one is right: {confirm}"
            if hold
            else f"taken as sent; to go back, send the earlier record and confirm it: {confirm}"
        )
        return {"patient": patient, "center": self.center, "stage": HELD if hold else ACCEPTED, "rule": one.rule, "found": one.found, "advice": advice}

    def tell(self) -> dict[str, int]:
        """Say how many records were held back or remarked upon; rule -> patients."""
        remarks = [row for rows in self.rows.values() for row in rows]
        for stage, words in ((HELD, "held back, since they contradict"), (ACCEPTED, "taken, though they contradict")):
            count = len({row["patient"] for row in remarks if row["stage"] == stage})
            if count:
                what = sorted({row["found"] for row in remarks if row["stage"] == stage})
                facts = "; ".join(what[:SHOWN]) + (f"; {len(what) - SHOWN} more" if len(what) > SHOWN else "")
                say(
                    f"{self.center}: records of {_people(count)} {words} what is stored ({facts}); see penumbra sql \"FROM rejections WHERE stage = '{stage}'\""
                )
        rules = sorted({row["rule"] for row in remarks})
        return {rule: len({row["patient"] for row in remarks if row["rule"] == rule}) for rule in rules}


def require_stored(lake: store.Store, centers: Collection[str], confirmed: Collection[str]) -> None:
    """Refuse to confirm a patient of no center.

    Raises
    ------
    Refusal
        "patient_stored": a patient that is to be confirmed is none of these centers'.
    """
    stored = {row["patient"] for row in lake.sql("SELECT patient, center FROM patients").to_pylist() if row["center"] in centers}
    unknown = len(set(confirmed) - stored)
    if unknown:
        where = " or ".join(sorted(centers))
        advice = "name patients as penumbra sql \"FROM rejections WHERE stage = 'clinical'\" does"
        raise Refusal("patient_stored", f"{unknown} of the patients to confirm are not stored for {where}", advice)


def accepted_scans(lake: store.Store) -> list[KnownScan]:
    """Every scan that is in use: not those of patients who are no longer sent, were forgotten, or are currently refused."""
    refused = lake.sql("SELECT patient, center FROM rejections WHERE stage = 'ingest' AND patient IS NOT NULL").to_pylist()
    unused = {(row["patient"], row["center"]) for row in refused}
    figures: dict[tuple[str, str], list[dict[str, Any]]] = {}
    for row in lake.sql("SELECT patient, center, roi, volume_mm3, hu_min, hu_median, hu_max FROM rois").to_pylist():
        figures.setdefault((row["patient"], row["center"]), []).append(row)
    scans = []
    for row in lake.sql("SELECT patient, center, sha256, certificate FROM images ORDER BY commit_id, patient").to_pylist():
        if (row["patient"], row["center"]) in unused:
            continue
        certificate = json.loads(row["certificate"]) if row["certificate"] else {}
        scan_figures = figures_of(figures.get((row["patient"], row["center"]), ()))
        scans.append(KnownScan(row["patient"], row["center"], certificate.get("pixels"), scan_figures, row["sha256"]))
    return scans


def doubled(lake: store.Store, patients: Collection[str] | None = None) -> str:
    """The sentence for scans that are stored for several patients at once, by pixels, files or figures; "" where there are none.

    Parameters
    ----------
    patients
        Among whom, and with whom, to look; None: all.
    """
    doubles = [group for group in groups(accepted_scans(lake)) if patients is None or any(scan.patient in patients for scan in group)]
    if not doubles:
        return ""
    words = "1 scan is" if len(doubles) == 1 else f"{len(doubles)} scans are"
    listed = "; ".join(" and ".join(scan.name for scan in group[:SHOWN]) for group in doubles[:SHOWN])
    more = "; and others" if len(doubles) > SHOWN or any(len(group) > SHOWN for group in doubles) else ""
    return f"{words} stored for {sum(map(len, doubles))} patients: one person under several names or centers ({listed}{more}); {DOUBLED_ADVICE}"


def waiting(lake: store.Store) -> Iterator[str]:
    """Sentences on what waits for a person: records that are held back, patients no longer sent, predictions under another center's name."""
    pending = lake.sql("SELECT count(DISTINCT patient) AS n FROM rejections WHERE stage = ?", [HELD]).column("n")[0].as_py()
    if pending:
        yield f"records of {_people(pending)} are held back until they are confirmed; see penumbra sql \"FROM rejections WHERE stage = '{HELD}'\""
    departed = lake.sql("SELECT count(*) AS n FROM stored.gone SEMI JOIN stored.patients USING (patient, center)").column("n")[0].as_py()
    if departed:
        yield f'{_people(departed)} no longer sent; see penumbra sql "FROM departures"'
    query = "SELECT count(DISTINCT (p.patient, p.center)) AS n FROM predictions AS p JOIN patients AS o USING (patient) WHERE p.center <> o.center"
    strange = lake.sql(query).column("n")[0].as_py()
    if strange:
        yield f"predictions were recorded under names of {_people(strange)} of another center; they are counted for nobody"


def require_own(lake: store.Store, patient: str, center: str, sha256: str) -> str | None:
    """The stored image version of a folder that is to be recorded under a patient's name; None where the store has no scan of that patient.

    Parameters
    ----------
    sha256
        Of the folder's files.

    Raises
    ------
    Refusal
        "patient_id_free": the name is another center's patient. "patient_scan": the store has another scan of this patient.
    """
    row = lake.sql("SELECT max(center) AS center FROM patients WHERE patient = ?", [patient]).to_pylist()[0]
    if row["center"] not in (None, center):
        advice = "give the patient another name, or name the center with --center; nothing was recorded"
        raise Refusal("patient_id_free", f"a patient of {row['center']} has this name, and the scan is of {center}", advice)
    scans: list[Mapping[str, Any]] = lake.sql("SELECT image_version, sha256 FROM images WHERE patient = ? AND center = ?", [patient, center]).to_pylist()
    if scans and scans[0]["sha256"] not in (None, sha256):
        advice = "ingest the corrected scan first, or give another person another name; nothing was recorded"
        raise Refusal("patient_scan", f"the store has another scan of this patient of {center}", advice)
    return scans[0]["image_version"] if scans else None
