"""One patient: scan, certificate, record with its history, risk under every version, features among those of the training patients."""

import math
import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from starlette.responses import Response

from penumbra import registry
from penumbra.base.cells import percent
from penumbra.base.refusal import Refusal
from penumbra.cohort.intended_use import NOT_KNOWN, Declaration, IntendedUse
from penumbra.commands import rules
from penumbra.console import viewing
from penumbra.console.features import unit
from penumbra.console.pages import Page
from penumbra.console.patients import TONES, listed, no_patient, typed
from penumbra.console.visit import Visit
from penumbra.pipeline import explain, feature_ranks, people, workspace
from penumbra.pipeline.applicability import intended_for
from penumbra.pipeline.feature_ranks import Ranks, Reference
from penumbra.pipeline.patient_page import between_words, page_of, signed
from penumbra.pipeline.patient_record import PatientRecord, Scored, patient_record
from penumbra.report import explained
from penumbra.report.explained import PatientPage, median_of
from penumbra.store.statements import literal
from penumbra.survival.horizons import DAYS_PER_YEAR, horizon_words

VIEW = ("at", "window", "hide", "image", "plane", "map")  # what the viewer writes into the address
MAX_VERSIONS = 20  # of the table of a page; the relation predictions has all
FEATURES = 25  # of a page of the list
MARKS = {"outside": "out of range", "unstable": "unstable", "used": "read by the model", "missing": "missing"}
WORD_TONES = {"inside": "good", "edge": "warn", "outside": "bad"}
FIELDS = {
    "age": "age",
    "sex": "sex",
    "histology": "histology",
    "t_stage": "T",
    "n_stage": "N",
    "m_stage": "M",
    "overall_stage": "stage",
    "time": "followed, days",
    "event": "died",
    "details": "details",
}


@dataclass(frozen=True)
class Bundle:
    """What a page needs of a registered version, without its model in memory.

    Parameters
    ----------
    crossed
        (patient, center) -> cross-fitted log_risk.
    """

    cutoff: float
    columns: frozenset[str]
    crossed: Mapping[tuple[str, str], float]
    intended: IntendedUse


@dataclass(frozen=True)
class Risk:
    """What a version says of the patient, as the page writes it; the cross-fitted one first where the version was fitted on the patient."""

    scored: Scored
    crossed: float | None
    crossed_group: str

    @property
    def word(self) -> str:
        """What the patient was to the version."""
        if self.scored.split == "train":
            return "was in the training of this version"
        if self.scored.split == "update":
            return "this version's probabilities were fitted on this patient's center"
        return "never seen by this version" if self.scored.prediction or self.scored.split else "not scored by this version"

    @property
    def value(self) -> float | None:
        """The risk to compare by."""
        return self.crossed if self.crossed is not None else self.scored.prediction["log_risk"] if self.scored.prediction else None


def patient(visit: Visit) -> Response:
    """The page of one patient, accepted or not."""
    record = _record(visit)
    if record.image is None:
        return visit.page(
            "patient_refused.html",
            title=record.patient,
            command=typed(f"FROM rejections WHERE patient = {literal(record.patient)}"),
            record=record,
            tones=TONES,
            known=rules.declared(),
            fault=rules.fault,
            clinical=_clinical(record),
        )
    risks = _risks(visit, record)
    shown = _shown(visit, risks)
    bundle = _bundle(visit, shown.scored) if shown is not None else None
    return visit.page(
        "patient.html",
        title=record.patient,
        command=_command(record, shown),
        record=record,
        tones=TONES,
        word_tones=WORD_TONES,
        known=rules.declared(),
        fault=rules.fault,
        clinical=_clinical(record),
        fields=FIELDS,
        viewing=viewing.of(visit, record.patient),
        risks=risks,
        further=len(record.versions) - len(risks),
        shown=shown,
        intended=_intended(record, bundle),
        explained=_kept_explanation(visit, record, shown),
        compared=_compared(visit, risks, shown),
        signed=signed,
        percent=percent,
        between=between_words,
        years=horizon_words,
        picked=_picked(visit),
        listing=_features(visit, record, bundle) if _is_at_hand(visit, record) else None,
    )


def patient_features(visit: Visit) -> Response:
    """The features of a patient among those of the training patients: read when the page of the patient is open, they take a second."""
    record = _record(visit)
    shown = _shown(visit, _risks(visit, record)) if record.image is not None else None
    return visit.page(
        "patient_features.html",
        title=f"{record.patient}, features",
        command=typed(f"FROM radiomics_long WHERE patient = {literal(record.patient)} AND center = {literal(record.center)}"),
        same="Its values",
        record=record,
        shown=shown,
        picked=_picked(visit),
        listing=_features(visit, record, _bundle(visit, shown.scored) if shown is not None else None),
    )


def explanation(visit: Visit) -> Response:
    """Why the version says what it says: curve, contributions, patients who are alike."""
    if visit.as_of is not None:
        raise Refusal("page_of_now", "an explanation is computed from the store as it is now", "leave as-of out of the address")
    record = _record(visit)
    shown = _shown(visit, _risks(visit, record)) if record.image is not None else None
    if shown is None:
        raise Refusal("patient_has_features", f"no registered version has scored {record.patient}", "run penumbra evaluate and penumbra register")
    kept = _explanations(visit)
    key = (record.patient, record.center, str(shown.scored))
    if key not in kept:
        work = workspace.Work(visit.home, visit.console.settings, "console")
        loaded = registry.load(visit.home, str(shown.scored))
        person = explain.of_store(work, loaded, record.patient, record.center, scan=False)
        kept[key] = page_of(work, explain.explain_person(work, loaded, person))
    return visit.page(
        "patient_explanation.html",
        title=f"{record.patient}, explained",
        command=_command(record, shown),
        record=record,
        shown=shown,
        signed=signed,
        **_drawn(visit, kept[key]),
    )


def _record(visit: Visit) -> PatientRecord:
    """The patient of the address.

    Raises
    ------
    Refusal
        "patient".
    """
    name, center = visit.path("patient"), visit.value("center")

    def read() -> PatientRecord | None:
        standings = listed(visit).people.rows("FROM people WHERE patient = ?", [name])
        if not standings:
            return None
        with visit.store() as lake:
            return patient_record(lake, standings, center)

    record = visit.console.kept.get(("patient", visit.as_of, name, center), read)
    if record is None:
        raise no_patient()
    return record


def _bundle(visit: Visit, version: Scored) -> Bundle | None:
    """What the registry has of a version; None where it has it no more, or its files were changed."""

    def read() -> Bundle | None:
        try:
            loaded = registry.load(visit.home, str(version))
        except Refusal:
            return None
        with visit.store() as lake:
            crossed = people.cross_fitted(visit.home, lake, loaded)
        return Bundle(loaded.model.cutoff, frozenset(loaded.model.columns), crossed, intended_for(loaded.settings))

    return visit.console.kept.get(("bundle", visit.as_of, str(version)), read)


def _risks(visit: Visit, record: PatientRecord) -> list[Risk]:
    """What the champion, the newest versions and those that the address names say, MAX_VERSIONS and two at most: each is read from its files."""
    risks, asked = [], {visit.value("version"), visit.value("against")}
    for place, scored in enumerate(record.versions):
        if place >= MAX_VERSIONS and not asked & {str(scored), scored.version}:
            continue
        bundle = _bundle(visit, scored) if scored.split == "train" else None
        crossed = bundle.crossed.get((record.patient, record.center)) if bundle is not None else None
        risks.append(Risk(scored, crossed, "" if crossed is None or bundle is None else "high" if crossed > bundle.cutoff else "low"))
    return risks


def _shown(visit: Visit, risks: list[Risk]) -> Risk | None:
    """The version that the page shows: the one of the address, else the champion, or the newest that scored the patient."""
    asked = visit.value("version")
    if asked:
        one = people.chosen(listed(visit).versions, asked)
        return next((risk for risk in risks if str(risk.scored) == str(one)), None)
    return next((risk for risk in risks if risk.scored.champion), next((risk for risk in risks if risk.scored.prediction), None))


def _compared(visit: Visit, risks: list[Risk], shown: Risk | None) -> dict[str, Any] | None:
    """Two versions side by side; None where there is no other one."""
    others = [risk for risk in risks if risk.scored.prediction is not None and (shown is None or str(risk.scored) != str(shown.scored))]
    if shown is None or shown.scored.prediction is None or not others:
        return None
    asked = visit.value("against")
    other = next((risk for risk in others if asked in (str(risk.scored), risk.scored.version)), others[0])
    days = sorted({*shown.scored.survival, *other.scored.survival})
    change = other.value - shown.value if shown.value is not None and other.value is not None else None
    return {"others": others, "other": other, "days": days, "change": change}


def _clinical(record: PatientRecord) -> list[tuple[str, Any]]:
    """The newest clinical record in words."""
    if record.clinical is None:
        return []
    row, details = record.clinical, people.details_of(dict(record.clinical))
    tnm = " ".join(f"{letter}{row[column]}" for letter, column in (("T", "t_stage"), ("N", "n_stage"), ("M", "m_stage")) if row[column])
    outcome = "" if row["time"] is None else f"{'died on' if row['event'] else 'alive on'} day {row['time']:,.0f} ({row['time'] / DAYS_PER_YEAR:.1f} years)"
    facts = [
        ("age", None if row["age"] is None else f"{row['age']:.0f} years"),
        ("sex", row["sex"]),
        ("histology", row["histology"]),
        ("TNM", tnm or None),
        ("stage", row["overall_stage"]),
        ("outcome", outcome or None),
        *((name.replace("_", " "), value) for name, value in record.values.items()),
        *((name.replace("_", " "), str(value)) for name, value in sorted(details.items())),
        *((name, record.declared.get(name)) for name in ("treatment", "intent", "imaging")),
    ]
    return [(name, NOT_KNOWN if value is None else value) for name, value in facts]


def _intended(record: PatientRecord, bundle: Bundle | None) -> list[tuple[str, str, str, str]]:
    """(name, what is intended, of this patient, tone)."""
    if bundle is None:
        return []
    clinical = record.clinical or {}
    declared = Declaration(**{name: record.declared.get(name) for name in ("treatment", "intent", "imaging")})
    use = bundle.intended.of(declared, age=clinical.get("age"), stage=clinical.get("overall_stage"))
    own = {**record.declared, "stage": clinical.get("overall_stage"), "age": f"{clinical['age']:.0f} years" if clinical.get("age") is not None else None}
    contrary = {phrase.split(" ")[0] for phrase in use.contrary}
    return [
        (name, intended, own.get(name) or NOT_KNOWN, "bad" if name in contrary else "quiet" if name in use.unknown else "good")
        for name, intended in bundle.intended.rows
    ]


def _reference(visit: Visit) -> Reference:
    """The features of the training patients: of the centers that params.yaml names, or that the champion was fitted on."""

    def read() -> Reference:
        trains = visit.console.settings.cohort.train_centers
        used = listed(visit).people.rows("SELECT patient, center FROM people WHERE status IN ('accepted', 'remarked') ORDER BY patient")
        with visit.store() as lake:
            return feature_ranks.reference(lake, [(row["patient"], row["center"]) for row in used if row["center"] in trains])

    return visit.console.kept.get(("reference", visit.as_of), read)


def _ranks(visit: Visit, record: PatientRecord, bundle: Bundle | None) -> tuple[Ranks, Reference]:
    among, limits = _reference(visit), visit.console.settings.applicability
    used = bundle.columns if bundle is not None else frozenset[str]()

    def read() -> Ranks:
        with visit.store() as lake:
            return feature_ranks.ranked(lake, record.patient, record.center, among, low=limits.low, high=limits.high)

    ranks = visit.console.kept.get(("ranks", visit.as_of, record.patient, record.center), read)
    return Ranks(ranks.rois, ranks.stability, used), among


def _is_at_hand(visit: Visit, record: PatientRecord) -> bool:
    """Whether the features were read since the last commit, or somebody asks for some of them."""
    asked = any(visit.value(name) for name in ("q", "family", "roi", "mark", "page"))
    return asked or visit.console.kept.peek(("ranks", visit.as_of, record.patient, record.center)) is not None


def _picked(visit: Visit) -> dict[str, str]:
    """What a form of one part of the page keeps of the others."""
    return {name: visit.value(name) for name in ("q", "family", "roi", "version", "against", "center", *VIEW)}


def _features(visit: Visit, record: PatientRecord, bundle: Bundle | None) -> dict[str, Any]:
    """One page of the list of features, as the address filters it."""
    ranks, among = _ranks(visit, record, bundle)
    page, marks = visit.number("page", 1, least=1, most=10**6), [mark for mark in MARKS if mark in visit.values("mark")]
    matching = ranks.matching(visit.value("q")[:200], family=visit.value("family"), roi=visit.value("roi"), marks=marks)
    return {
        "features": matching[(page - 1) * FEATURES : page * FEATURES],
        "total": len(matching),
        "page": page,
        "size": FEATURES,
        "rois": [block.roi for block in ranks.rois],
        "families": feature_ranks.families(),
        "marks": MARKS,
        "marked": marks,
        "unit": unit,
        "among": among,
        "limits": visit.console.settings.applicability,
        "good_icc": feature_ranks.GOOD_ICC,
        "pages": -(-len(matching) // FEATURES),
        "address": lambda number: visit.url(
            "patient", patient=record.patient, page=number, mark=marks, **{name: value for name, value in _picked(visit).items() if value}
        ),
    }


def _explanations(visit: Visit) -> dict[tuple[str, str, str], PatientPage]:
    """Those of this commit."""
    kept: dict[tuple[str, str, str], PatientPage] = visit.console.kept.get("explanations", dict)
    if len(kept) > 500:
        kept.clear()
    return kept


def _kept_explanation(visit: Visit, record: PatientRecord, shown: Risk | None) -> dict[str, Any] | None:
    """The explanation with its figures where it was made since the last commit; None: the page asks for it when it is open."""
    if shown is None:
        return None
    page = _explanations(visit).get((record.patient, record.center, str(shown.scored)))
    return None if page is None else _drawn(visit, page)


def _drawn(visit: Visit, page: PatientPage) -> dict[str, Any]:
    median = median_of(page.days, page.curve)
    words = (
        f"{median / DAYS_PER_YEAR:.1f} years" if math.isfinite(median) else f"beyond {page.days[-1] / DAYS_PER_YEAR:.1f} years, as far as the version answers"
    )
    return {
        "why": page,
        "median": words,
        "curve": visit.console.drawing.draw(explained.survival, page),
        "waterfall": visit.console.drawing.draw(explained.waterfall, page),
    }


def _command(record: PatientRecord, shown: Risk | None) -> str:
    if shown is None:
        return typed(f"FROM cohort WHERE patient = {literal(record.patient)}")
    return f"penumbra explain {shlex.quote(record.patient)} --model {shown.scored}"


ROUTES = (
    Page("/patients/{patient}", patient, "patient"),
    Page("/patients/{patient}/features", patient_features, "patient_features", costly=True),
    Page("/patients/{patient}/explanation", explanation, "patient_explanation", costly=True),
)
