"""A center's clinical table: its patients, their covariates and their outcomes.

Covariates may be missing; the outcome may not. What a cell means is never guessed: a covariate that cannot be understood counts as missing and
is noted, an outcome that cannot be understood refuses the patient.
"""

import hashlib
import json
import re
import unicodedata
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from penumbra.base.clinical_columns import Columns
from penumbra.base.refusal import Refusal
from penumbra.cohort import own_columns, spellings
from penumbra.cohort.coding import Declared, check_events, check_unit, read_declared
from penumbra.cohort.sheet import read_sheet
from penumbra.cohort.spellings import TimeUnit
from penumbra.cohort.staging import overall_stage, stage_group, tnm_category

Value = TypeVar("Value")

PATIENT_ID = re.compile(r"\w[\w .+\-]{0,63}")
OLDEST_YEARS = 120.0
LONGEST_DAYS = 36525.0  # a hundred years: more means a wrong unit
IDENTIFYING = re.compile(r"name|birth|dob|geb|address|street|phone|mail|insur|mrn|ssn")  # columns that are not even named
REQUIRED = ("patient", "time", "event")
COVARIATES = ("age", "sex", "histology", "t_stage", "n_stage", "m_stage", "overall_stage")


@dataclass(frozen=True)
class ClinicalRecord:
    """One patient of a clinical table, in canonical spelling; None: not known.

    Parameters
    ----------
    patient
        Name, as the table has it.
    age
        Years.
    sex, histology
        In canonical spelling.
    t_stage, n_stage, m_stage
        TNM categories without their letter: "2A", "0"; "X": not assessable.
    overall_stage
        In Roman form: "IIIB".
    stage_edition
        Of the TNM that `overall_stage` was derived from; None: as the table has it.
    time : days
        To death, or to the last day of follow-up; > 0.
    event
        True: died.
    further
        Values of the columns that features/clinical.yaml declares: numbers (1 and 0 for true and false) and levels.
    doubts
        Remarks on cells of these that hold what the column cannot.
    """

    patient: str
    age: float | None
    sex: str | None
    histology: str | None
    t_stage: str | None
    n_stage: str | None
    m_stage: str | None
    overall_stage: str | None
    stage_edition: str | None
    time: float
    event: bool
    further: Mapping[str, own_columns.Value] = field(default_factory=dict)
    doubts: tuple[Refusal, ...] = ()

    @property
    def facts(self) -> dict[str, object]:
        """The record without what a department declares itself."""
        return {name: value for name, value in asdict(replace(self, doubts=())).items() if name not in ("further", "doubts")}

    @property
    def version(self) -> str:
        """First 12 hex digits of a SHA-256 over the record: changes when the center sends longer follow-up."""
        content = json.dumps(self.facts | ({"own": dict(self.further)} if self.further else {}), sort_keys=True, separators=(",", ":"))
        return hashlib.sha256(content.encode()).hexdigest()[:12]


@dataclass(frozen=True)
class RefusedRecord:
    """A patient whose record cannot be used; `patient` is "row 7" if the row has no usable identifier."""

    patient: str
    refusal: Refusal


@dataclass(frozen=True)
class ClinicalTable:
    """What a clinical table holds.

    Parameters
    ----------
    records
        One per usable patient, in the order of the table.
    refused
        The others.
    notes
        What was not understood and counts as missing, one sentence each, without any value of a patient.
    """

    records: tuple[ClinicalRecord, ...]
    refused: tuple[RefusedRecord, ...]
    notes: tuple[str, ...] = ()

    @property
    def patients(self) -> frozenset[str]:
        """All patients in the table, usable or not."""
        return frozenset((*(record.patient for record in self.records), *(entry.patient for entry in self.refused)))


@dataclass(frozen=True)
class InclusionRules:
    """Who belongs to the study; the defaults include everyone with an outcome.

    Parameters
    ----------
    histologies
        None: all; otherwise only these.
    minimum_age
        Years, exclusive; None: no rule. With a rule, an unknown age is refused.
    complete
        Covariates that must be known.
    """

    histologies: tuple[str, ...] | None = None
    minimum_age: float | None = None
    complete: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        for name in self.histologies or ():
            if spellings.histology(name) is None:
                raise Refusal("histology_rule", f"{name!r} is not a known histology", "Use adenocarcinoma, squamous, large cell or nos")
        for name in self.complete:
            if name not in COVARIATES:
                raise Refusal("complete_rule", f"{name!r} is not a covariate", f"Use {', '.join(COVARIATES)}")

    def check(self, record: ClinicalRecord) -> None:
        """Refuse a patient who does not belong to the study.

        Parameters
        ----------
        record
            The patient.

        Raises
        ------
        Refusal
            `histology_included`, `age_included` or `record_complete`.
        """
        if self.histologies is not None:
            included = {spellings.histology(name) for name in self.histologies}
            if record.histology not in included:
                raise Refusal("histology_included", f"histology {record.histology or 'unknown'}", "Excluded by cohort.inclusion.histologies in params.yaml")
        if self.minimum_age is not None and (record.age is None or record.age <= self.minimum_age):
            age = "unknown" if record.age is None else f"{record.age:g}"
            raise Refusal("age_included", f"age {age}, not above {self.minimum_age:g}", "Excluded by cohort.inclusion.minimum_age in params.yaml")
        missing = [name for name in self.complete if getattr(record, name) is None]
        if missing:
            raise Refusal("record_complete", f"{', '.join(missing)} unknown", "Complete the record, or relax cohort.inclusion.complete in params.yaml")


def read_clinical(
    path: Path,
    *,
    time_unit: TimeUnit = "days",
    staging_edition: str = "ajcc7",
    inclusion: InclusionRules | None = None,
    further: Columns | None = None,
) -> ClinicalTable:
    """Read a clinical table in our column names or those of NSCLC-Radiomics.

    Parameters
    ----------
    path
        The file clinical.csv, separated by commas, semicolons or tabs; UTF-8, UTF-16 or Windows-1252. Where it is absent, clinical.xlsx. A file clinical.yaml
        next to it says what codes and units are, where the table does not.
    time_unit
        Of the survival column where the table does not say: by its name (`survival_months`) or a column `time_unit`.
    staging_edition
        "ajcc7" or "ajcc8": for an overall stage that is missing while T, N and M are there.
    inclusion
        Who belongs to the study.
    further
        Further columns, as features/clinical.yaml declares them. A cell that cannot be understood counts as missing, with a remark on the patient.

    Returns
    -------
    ClinicalTable
        Usable patients, the others, and what was not understood.

    Raises
    ------
    Refusal
        A table that cannot be used at all: `clinical_found`, `clinical_readable`, `clinical_declared`, `event_coded`, `time_unit`, `clinical_columns: no
        column for time; found: PatientID, age. ...`. A patient that cannot be used is in `refused`: `survival_missing`, `time_a_number`,
        `time_not_positive`, `time_plausible`, `time_unit`, `event_missing`, `event_known`, `patient_twice`, `patient_id`, `row_shape`, and the rules of
        inclusion.
    """
    rules = inclusion or InclusionRules()
    sheet, declared = read_sheet(path), read_declared(path.parent)
    header, rows, separator = sheet.header, sheet.rows, sheet.separator
    declared_columns = further or {}
    own_places = own_columns.places(header, declared_columns)
    columns, unit, notes = _columns(header, declared.time_unit or time_unit, own_places)
    check_events([row[columns["event"]] for _, row in rows], declared)
    texts = [row[columns[name]] for _, row in rows for name in ("time", "age") if name in columns and columns[name] < len(row)]
    texts += own_columns.number_texts(rows, own_places, declared_columns)
    decimal = frozenset(".") if separator == "," else spellings.decimal_signs(texts)
    column_unit = next((candidate for candidate in spellings.DAYS_PER if spellings.column_key(header[columns["time"]]).endswith("_" + candidate)), None)
    if column_unit and declared.time_unit and column_unit != declared.time_unit:
        raise Refusal("time_unit", f"a column in {column_unit}, and {declared.time_unit} in clinical.yaml", "Correct the name of the column, or clinical.yaml")
    check_unit(_times(rows, columns, decimal), unit, explicit=bool(column_unit or declared.time_unit))
    reader = _RowReader(columns, unit, column_unit=column_unit, decimal=decimal, edition=staging_edition, declared=declared)
    identified = [(number, row, _identifier(row, columns)) for number, row in rows]
    occurrences = Counter(patient.casefold() for _, _, patient in identified)
    records: list[ClinicalRecord] = []
    refused: dict[str, RefusedRecord] = {}
    for line, row, patient in identified:
        label = patient if PATIENT_ID.fullmatch(patient) else f"row {line}"
        try:
            if len(row) > len(header):
                raise Refusal("row_shape", f"{len(row)} cells in row {line}, {len(header)} columns", "Quote cells that hold the separator")
            if label != patient:
                raise Refusal("patient_id", "empty" if not patient else "not usable as a name", "Use letters, digits, '_', '-', '.' and spaces")
            if occurrences[patient.casefold()] > 1:
                raise Refusal("patient_twice", f"{occurrences[patient.casefold()]} rows", "Send one row for each patient")
            record = reader.record(patient, row)
            rules.check(record)
            values, doubts = own_columns.read_row(row, own_places, declared_columns, decimal)
            records.append(replace(record, further=values, doubts=doubts))
        except Refusal as refusal:
            refused.setdefault(label, RefusedRecord(label, refusal))
    doubted = Counter(doubt.found.partition(" ")[0] for record in records for doubt in record.doubts)
    notes += [f"{count} values of {name} were not understood and count as missing." for name, count in doubted.items()]
    return ClinicalTable(tuple(records), tuple(refused.values()), (*notes, *reader.notes()))


def _columns(header: Sequence[str], declared: TimeUnit, further: Mapping[str, int]) -> tuple[dict[str, int], TimeUnit, list[str]]:
    """Canonical column -> place in the row, the unit of time, and notes."""
    if declared not in spellings.DAYS_PER:
        raise Refusal("time_unit", f"{declared!r} is not one of {', '.join(spellings.DAYS_PER)}", "Correct cohort.time_unit in params.yaml")
    keys = [spellings.column_key(name) for name in header]
    columns: dict[str, int] = {}
    for canonical, names in spellings.COLUMNS.items():
        places = [i for i, key in enumerate(keys) if key in names]
        if len(places) > 1:
            listed = ", ".join(header[i] for i in places)
            raise Refusal("clinical_columns", f"{len(places)} columns for {canonical}: {listed}", "Keep the one that counts")
        if places:
            columns[canonical] = places[0]
    missing = [name for name in REQUIRED if name not in columns]
    if missing:
        raise Refusal(
            "clinical_columns",
            f"no column for {', '.join(missing)}; found: {', '.join(header)}",
            "Name the columns patient, time, event, and where known age, sex, histology, t_stage, n_stage, m_stage, overall_stage",
        )
    unit: TimeUnit = declared
    for candidate in spellings.DAYS_PER:
        if keys[columns["time"]].endswith("_" + candidate):
            unit = candidate
    absent = [name for name in COVARIATES if name not in columns]
    read = {*columns.values(), *further.values()}
    ignored = len(header) - len(read)
    other_columns = [name for i, name in enumerate(header) if i not in read and name and not IDENTIFYING.search(keys[i])]
    notes = [f"No column for {', '.join(absent)}."] if absent else []
    if ignored:
        notes.append(f"{ignored} other columns were not read.")
    if other_columns:
        notes.append(f"Not used: {', '.join(other_columns)}; features/clinical.yaml can declare them.")
    return columns, unit, notes


def _identifier(row: Sequence[str], columns: Mapping[str, int]) -> str:
    place = columns["patient"]
    return unicodedata.normalize("NFC", row[place])  # one character per letter, even if its accent was sent as a second one


def _times(rows: Sequence[tuple[int, Sequence[str]]], columns: Mapping[str, int], decimal: frozenset[str]) -> list[float]:
    """The positive times of rows without a unit of their own."""
    place = columns.get("time_unit")
    texts = [row[columns["time"]] for _, row in rows if place is None or spellings.is_missing(row[place])]
    return [value for value in (spellings.number(text, decimal=decimal) for text in texts) if value is not None and value > 0]


class _RowReader:
    """Read the cells of one table and count those that could not be understood."""

    def __init__(
        self, columns: Mapping[str, int], unit: TimeUnit, *, column_unit: str | None, decimal: frozenset[str], edition: str, declared: Declared
    ) -> None:
        self.columns, self.unit, self.column_unit, self.decimal, self.edition = columns, unit, column_unit, decimal, edition
        self.declared = declared
        self.not_understood: Counter[str] = Counter()
        self.derived = 0

    def notes(self) -> list[str]:
        notes = [f"{count} values of {name} were not understood and count as missing." for name, count in self.not_understood.items()]
        return notes + ([f"{self.derived} overall stages were derived from TNM ({self.edition})."] if self.derived else [])

    def record(self, patient: str, row: Sequence[str]) -> ClinicalRecord:
        time, event = self._time(row), self._event(row)
        t = self._covariate(row, "t_stage", lambda text: tnm_category("T", text))
        n = self._covariate(row, "n_stage", lambda text: tnm_category("N", text))
        m = self._covariate(row, "m_stage", lambda text: tnm_category("M", text))
        reported = self._covariate(row, "overall_stage", stage_group)
        derived = None if reported else overall_stage(t, n, m, edition=self.edition)
        self.derived += derived is not None
        return ClinicalRecord(
            patient=patient,
            age=self._covariate(row, "age", self._age),
            sex=self._covariate(row, "sex", spellings.sex),
            histology=self._covariate(row, "histology", spellings.histology),
            t_stage=t,
            n_stage=n,
            m_stage=m,
            overall_stage=reported or derived,
            stage_edition=self.edition if derived else None,
            time=time,
            event=event,
        )

    def _text(self, row: Sequence[str], column: str) -> str | None:
        """The cell, or None where the column or the value is missing."""
        if column not in self.columns or spellings.is_missing(row[self.columns[column]]):
            return None
        return row[self.columns[column]]

    def _covariate(self, row: Sequence[str], column: str, understand: Callable[[str], Value | None]) -> Value | None:
        text = self._text(row, column)
        if text is None:
            return None
        value = understand(text)
        if value is None:
            self.not_understood[column] += 1
        return value

    def _age(self, text: str) -> float | None:
        years = spellings.number(text, decimal=self.decimal)
        return years if years is not None and 0 < years <= OLDEST_YEARS else None

    def _time(self, row: Sequence[str]) -> float:
        text = self._text(row, "time")
        if text is None:
            raise Refusal("survival_missing", "no survival time", "Send the days from the start of radiotherapy to death or last follow-up")
        value = spellings.number(text, decimal=self.decimal)
        if value is None:
            raise Refusal("time_a_number", "a survival time that is not one number", "Send a number, with a point as decimal sign and none for thousands")
        row_unit = self._text(row, "time_unit")
        unit = spellings.UNITS.get(row_unit.lower()) if row_unit else self.unit
        if unit is None:
            raise Refusal("time_unit", "a unit that is not days, months or years", "Correct the column of units")
        if row_unit and self.column_unit and unit != self.column_unit:
            raise Refusal("time_unit", f"a column in {self.column_unit} with a row in {unit}", "Correct the name of the column, or the column of units")
        days = value * spellings.DAYS_PER[unit]
        if days <= 0:
            raise Refusal("time_not_positive", f"a survival time of {value:g} {unit}", "Correct the dates behind it; time runs from the start of therapy")
        if days > LONGEST_DAYS:
            raise Refusal("time_plausible", f"a survival time of {value:g} {unit}", "Check the unit: cohort.time_unit in params.yaml")
        return days

    def _event(self, row: Sequence[str]) -> bool:
        text = self._text(row, "event")
        if text is None:
            raise Refusal("event_missing", "neither died nor censored", "Send 1 for death, 0 for alive at last follow-up")
        value = self.declared.died(text) if self.declared.event else spellings.event(text)
        if value is None and self.declared.event:
            raise Refusal("event_missing", "a code for not known", "Send 1 for death, 0 for alive at last follow-up")
        if value is None:
            raise Refusal("event_known", "an event that is neither 0 nor 1", "Send 1 for death, 0 for alive at last follow-up")
        return value
