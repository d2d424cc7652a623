"""One patient's answer, questioned: how sure, among whom, over time, made of what, who was alike, and whether the version is for this patient at all.

Everything about other people is looked up in the store at the time of asking; the version itself holds none of it.
"""

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import cohort, registry, store
from penumbra.base.refusal import Refusal
from penumbra.fusion.applicability import Applicability
from penumbra.fusion.contributions import Explained, contributions_of, explained
from penumbra.fusion.release import percentile
from penumbra.fusion.resampled import band_of
from penumbra.imaging import Scan
from penumbra.pipeline import applicability
from penumbra.pipeline.alike import Similar, Trained, nearest, version_table
from penumbra.pipeline.arrived import Arrived, read_folder
from penumbra.pipeline.recalibration import applied
from penumbra.pipeline.workspace import Work
from penumbra.registry import LoadedModel
from penumbra.survival.horizons import horizon_name

JSON_DIGITS = 6  # of contributions in JSON


@dataclass(frozen=True)
class Person:
    """Of whom an explanation is.

    Parameters
    ----------
    patient
        Name in the store, or of the folder.
    table : each (1,)
        Column -> value.
    networks : each (m,)
        Deep column -> what each network says alone; empty where that is not known.
    scan
        On the grid; None where the store has none.
    sha256
        Of the scan's files; None where it is not known.
    trained
        Whether the version was fitted on the patient.
    remarks
        On the reading of the folder.
    record
        What is known of the patient against the intended use.
    """

    patient: str
    center: str
    table: Mapping[str, np.ndarray]
    networks: Mapping[str, np.ndarray]
    scan: Scan | None
    sha256: str | None
    trained: bool
    remarks: tuple[str, ...]
    record: applicability.Person = applicability.Person()  # noqa: RUF009

    @property
    def named(self) -> tuple[str, str]:
        """Patient and center."""
        return self.patient, self.center

    def without_scan(self) -> "Person":
        """Return the same person without the voxels, which no answer needs."""
        return replace(self, scan=None)


@dataclass(frozen=True)
class Explanation:
    """What a version says of one patient, and why.

    Parameters
    ----------
    lower, upper
        Limits of log_risk; NaN where there are none, and `limits` begins with "none: ".
    percentiles
        Between which percentiles of the training patients' cross-fitted risks log_risk lies; None: not recorded.
    horizons : each (survival, lower, upper)
        Time -> what is answered there, NaN where there is nothing.
    horizons_days
        The same times in days.
    days : shape (k,), days
        Of the curve; survival and its limits (k,).
    contributions
        Rounded for people.
    exact
        The same, for JSON.
    similar
        The nearest first; `similar_reason` says whose they are, or why there are none.
    """

    person: Person
    model: str
    version: int
    served: str
    applicability: Applicability
    log_risk: float
    lower: float
    upper: float
    limits: str
    risk_group: str
    cutoff: float
    percentiles: tuple[float, float] | None
    horizons: Mapping[str, tuple[float, float, float]]
    horizons_days: Mapping[str, float]
    unanswered: Mapping[str, str]
    days: np.ndarray
    survival: np.ndarray
    survival_lower: np.ndarray
    survival_upper: np.ndarray
    contributions: Explained
    exact: Explained
    similar: tuple[Similar, ...]
    similar_reason: str
    remarks: tuple[str, ...]

    def to_dict(self) -> dict[str, Any]:
        """Return the same for JSON, null for what is not known."""
        curve = zip(self.days.tolist(), self.survival.tolist(), self.survival_lower.tolist(), self.survival_upper.tolist(), strict=True)
        document = {
            "patient": self.person.patient,
            "center": self.person.center,
            "applicability": self.applicability.to_dict(),
            "model": self.model,
            "version": self.version,
            "served": self.served,
            "log_risk": self.log_risk,
            "lower": self.lower,
            "upper": self.upper,
            "limits": self.limits,
            "risk_group": self.risk_group,
            "cutoff": self.cutoff,
            "percentiles": self.percentiles,
            "survival": {name: dict(zip(("survival", "lower", "upper"), values, strict=True)) for name, values in self.horizons.items()},
            "unanswered": dict(self.unanswered),
            "curve": [dict(zip(("days", "survival", "lower", "upper"), point, strict=True)) for point in curve],
            "contributions": self.exact.to_dict(),
            "similar": [asdict(each) for each in self.similar],
            "similar_reason": self.similar_reason,
            "remarks": list(self.remarks),
        }
        return {name: _or_null(value) for name, value in document.items()}


def _or_null(value: Any) -> Any:
    """A value for JSON: null for a number that is none, at any depth."""
    if isinstance(value, Mapping):
        return {name: _or_null(entry) for name, entry in value.items()}
    if isinstance(value, list | tuple):
        return [_or_null(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def explain(
    work: Work,
    patient: str,
    which: str = "champion",
    center: str | None = None,
    *,
    features: int | None = None,
    age: float | None = None,
    stage: str | None = None,
    clinical: Mapping[str, str] | None = None,
) -> Explanation:
    """Explain what a version says of a patient in the store, or of a patient's folder; nothing is written.

    Parameters
    ----------
    patient
        A name in the store, or the path of a folder.
    which
        Alias or version number of the model that params.yaml names; of another one with its name: nsclc-pfs/3.
    center
        Of the patient; None: the only one that the name is known from, or the folder above.
    features
        Shown of each block; None: explain.features of params.yaml.
    age, stage, clinical
        Of a folder, for a version that reads them, as `penumbra predict` takes them.

    Raises
    ------
    Refusal
        "patient_stored", "patient_of_one_center", "patient_has_features", and what `penumbra predict` raises.
    """
    loaded = registry.load(work.home, which)
    folder = Path(patient)
    if folder.is_dir():
        arrived = read_folder(work.home, loaded, folder, center or folder.resolve().parent.name, age=age, stage=stage, clinical=clinical)
        person = of_scan(arrived, folder.resolve().name, center or folder.resolve().parent.name, applicability.Person(age, stage))
    else:
        person = of_store(work, loaded, patient, center)
    return explain_person(work, loaded, person, features)


def explain_each(work: Work, patients: Sequence[tuple[str, str]], which: str) -> Iterator[Explanation]:
    """Explain what a version says of several patients in the store, by name and center, as `explain` does of one: what all need is read once."""
    loaded = registry.load(work.home, which)
    with store.connect(work.home, read_only=True) as now, store.connect(work.home, as_of=loaded.entry.store_commit) as then:
        trained = Trained(then)
        for patient, center in patients:
            yield explain_person(work, loaded, of_store(work, loaded, patient, center, lake=now), lake=now, trained=trained)


def explain_person(
    work: Work,
    loaded: LoadedModel,
    person: Person,
    features: int | None = None,
    *,
    lake: store.Store | None = None,
    trained: Trained | None = None,
    similar: bool = True,
) -> Explanation:
    """Explain what a version says of a person that was read; see `explain`.

    Parameters
    ----------
    lake
        The store, open; None: it is opened.
    trained
        The training patients, where several persons are explained; None: they are read.
    similar
        False: name nobody else.
    """
    model, numbers = loaded.model, work.settings.explain
    log_risk = model.log_risk(person.table, centers=[person.center])
    fitted = applied(work.home, loaded, person.center)
    days = np.concatenate([[0.0], model.baseline.on_grid(loaded.horizons_days).times])
    moved = fitted.shifted(log_risk) if fitted else log_risk
    recalibration = (fitted.intercept, fitted.slope) if fitted else (0.0, 1.0)
    at, count = [*loaded.horizons_days, *days.tolist()], len(loaded.horizons_days)
    survival = model.survival(moved, at)[0]
    band = band_of(loaded.refits, model, person.table, log_risk, at, networks=person.networks, recalibration=recalibration)
    lower, upper = band.survival_lower[0], band.survival_upper[0]
    parts = contributions_of(model, person.table, centers=[person.center])
    top = numbers.features if features is None else features
    alike, alike_reason = (
        nearest(work, loaded, person.named, person.table, person.sha256, lake=lake, trained=trained) if similar else ((), "none: nobody else is named here")
    )
    reasons = {horizon_name(day): model.baseline.why_not(day) for day in loaded.horizons_days}
    answers = zip(survival[:count].tolist(), lower[:count].tolist(), upper[:count].tolist(), strict=True)
    recalibrated = (f"probabilities are recalibrated {fitted}; risk and group are those of the version",) if fitted else ()
    seen = ("the version was fitted on this patient: its answer is not a prediction",) if person.trained else ()
    return Explanation(
        person=person,
        model=loaded.entry.model,
        version=loaded.entry.version,
        served=loaded.served,
        applicability=applicability.of_person(work.home, loaded, person.table, person.center, person.record, lake=lake),
        log_risk=float(log_risk[0]),
        lower=float(band.lower[0]),
        upper=float(band.upper[0]),
        limits=band.covers,
        risk_group=str(model.risk_group(log_risk)[0]),
        cutoff=model.cutoff,
        percentiles=percentile(model, float(log_risk[0])),
        horizons=dict(zip(reasons, answers, strict=True)),
        horizons_days={horizon_name(day): day for day in loaded.horizons_days},
        unanswered={name: reason for name, reason in reasons.items() if reason},
        days=days,
        survival=survival[count:],
        survival_lower=lower[count:],
        survival_upper=upper[count:],
        contributions=explained(parts, person.table, top=top, digits=numbers.digits),
        exact=explained(parts, person.table, top=top, digits=JSON_DIGITS),
        similar=alike,
        similar_reason=alike_reason,
        remarks=(*seen, *person.remarks, *recalibrated),
    )


def of_scan(arrived: Arrived, patient: str, center: str, record: applicability.Person) -> Person:
    """A patient whose folder was read, under a name; `record` is what is known of the patient against the intended use."""
    return Person(patient, center, arrived.table, arrived.networks, arrived.scan, arrived.sha256, False, arrived.remarks, record)


def of_store(work: Work, loaded: LoadedModel, patient: str, center: str | None, *, scan: bool = True, lake: store.Store | None = None) -> Person:
    """A patient in the store as a version reads it.

    Parameters
    ----------
    scan
        False: leave the image, which no answer needs.
    lake
        The store, open; None: it is opened.
    """
    with store.connect(work.home, read_only=True) if lake is None else contextlib.nullcontext(lake) as lake:
        is_stored = center is not None and lake.sql("SELECT patient FROM patients WHERE patient = ? AND center = ?", [patient, center]).num_rows
        place = (center if is_stored else store.traces(lake, patient, center).center) or ""
        names, table = version_table(lake, loaded, place, [patient])
        uses = "SELECT count(*) AS n FROM model_uses WHERE model = ? AND version = ? AND patient = ? AND center = ? AND split = 'train'"
        trained = lake.sql(uses, [loaded.entry.model, str(loaded.entry.version), patient, place]).column("n")[0].as_py() > 0
        records = lake.sql("SELECT age, overall_stage FROM patients WHERE patient = ? AND center = ?", [patient, place]).to_pylist()
        images = lake.sql("SELECT image_version, sha256 FROM images WHERE patient = ? AND center = ?", [patient, place]).to_pylist()
    if not names:
        fault = f"{patient} of {place} lacks features that {loaded.entry.model}/{loaded.entry.version} reads"
        raise Refusal("patient_has_features", fault, "run penumbra populate and penumbra train, or give the patient's folder")
    record = applicability.Person(records[0]["age"], records[0]["overall_stage"]) if records else applicability.Person()
    image = {"center": place, "patient": patient, **images[0]} if images else None
    has_scan = scan and image is not None and (work.home / "images" / place / patient).is_dir()
    saved = cohort.load_patient(work.home / "images", image) if has_scan and image is not None else None
    return Person(patient, place, table, {}, saved, str(image["sha256"]) if image else None, trained, (), record)
