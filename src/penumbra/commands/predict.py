"""One patient's folder through a registered version: the same path as training, with the version's own settings."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from penumbra import registry
from penumbra.fusion.applicability import UNKNOWN
from penumbra.fusion.resampled import NO_REFITS, Band, band_of
from penumbra.pipeline import applicability
from penumbra.pipeline.arrived import read_folder
from penumbra.pipeline.recalibration import Applied, applied
from penumbra.survival.horizons import horizon_name


@dataclass(frozen=True)
class Prediction:
    """What a version says of one patient.

    Parameters
    ----------
    model, version
        Name in the registry, and number.
    log_risk
        Higher = earlier death.
    cutoff
        What divides low from high: the median of the training centers.
    risk_group
        "high" above the cut-off, "low" at or below it.
    survival
        Time ("1y", "180d") -> probability to be alive then; None beyond the follow-up of the version's training patients.
    horizons_days
        The same times in days.
    unanswered
        Time -> why there is no survival.
    gtv_cm3
        Volume of the GTV on the grid.
    image_version
        Key of the scan on the grid, as at ingest.
    sha256
        Digest of the files it was read from.
    certificate
        Of the mask: "accepted" or "flagged".
    remarks
        What the certificate of the mask flagged, what the reader noted, which clinical value is filled, that the alias was moved outside penumbra, and that
        probabilities are recalibrated.
    recalibrated
        What fitted the probabilities to the center of the patient; None: they are those of the version. log_risk and risk_group always are.
    log_risk_lower, log_risk_upper
        Limits of log_risk; None where the version has none.
    survival_lower, survival_upper
        Likewise of `survival`, by the same times.
    limits
        What the limits cover; "none: " and the reason where there are none.
    applicability
        "inside", "edge" or "outside" what the version was made for, by the features and by the intended use; "unknown" of a version from before.
    applicability_reason
        One sentence, with what of the intended use is not known.
    applicability_share, applicability_distance
        Of the model's columns beyond the percentiles of training; to its training patients. None: not known, or not finite.
    applicability_columns
        Those columns, the farthest ten first.
    """

    model: str
    version: int
    log_risk: float
    cutoff: float
    risk_group: str
    survival: dict[str, float | None]
    horizons_days: dict[str, float]
    unanswered: dict[str, str]
    gtv_cm3: float
    image_version: str
    sha256: str
    certificate: str
    remarks: tuple[str, ...]
    recalibrated: Applied | None = None
    log_risk_lower: float | None = None
    log_risk_upper: float | None = None
    survival_lower: Mapping[str, float | None] = field(default_factory=dict)
    survival_upper: Mapping[str, float | None] = field(default_factory=dict)
    limits: str = NO_REFITS
    applicability: str = UNKNOWN
    applicability_reason: str = ""
    applicability_share: float | None = None
    applicability_distance: float | None = None
    applicability_columns: tuple[str, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain values, whether it applies before the risk.

        Returns
        -------
        dict
            What `penumbra predict --format json` writes.
        """
        document = asdict(self)
        return {name: document[name] for name in sorted(document, key=lambda name: not name.startswith("applicability"))}

    @property
    def band(self) -> Band:
        """The limits as arrays of one patient."""

        def row(values: Iterable[float | None]) -> np.ndarray:
            return np.array([math.nan if value is None else value for value in values])

        lower, upper = (row(limits.get(name) for name in self.survival)[None] for limits in (self.survival_lower, self.survival_upper))
        return Band(row([self.log_risk_lower]), row([self.log_risk_upper]), lower, upper, self.limits)


def predict(
    home: Path,
    folder: Path,
    which: str = "champion",
    center: str | None = None,
    *,
    age: float | None = None,
    stage: str | None = None,
    treatment: str | None = None,
    intent: str | None = None,
    clinical: Mapping[str, str] | None = None,
) -> Prediction:
    """Score the DICOM or NIfTI folder of one patient; nothing is written.

    Parameters
    ----------
    which
        Alias or version number of the model that params.yaml names; of another one with its name: nsclc-pfs/3.
    center
        Whose synonyms name the GTV, and to which the probabilities are fitted where they were (`retrain.recalibrate_from`); None: the folder above the
        patient's.
    age, stage
        In years, and the overall stage I, II, III or IV, for a version that reads them. What is not given becomes the median of the training patients, with a
        remark, where the version has one for missing values. Both are also held against the intended use.
    treatment, intent
        Of the patient, likewise; None: what the center declares.
    clinical
        Column of features/clinical.yaml -> its value as in clinical.csv, for a version that reads it; what is not given is filled like age.

    Raises
    ------
    Refusal
        No such version, a scan that cannot be used, a mask that its certificate refuses, a model that needs what a folder does not hold (a clinical
        column), or one that reads features of another definition than this program makes.
    """
    loaded = registry.load(home, which)
    place = center or folder.resolve().parent.name
    arrived = read_folder(home, loaded, folder, place, age=age, stage=stage, clinical=clinical)
    model, table = loaded.model, arrived.table
    log_risk = model.log_risk(table, centers=[place])
    within = applicability.of_person(home, loaded, table, place, applicability.Person(age, stage, treatment, intent))
    days = {horizon_name(day): float(day) for day in loaded.horizons_days}
    fitted = applied(home, loaded, place)
    survival = (fitted.survival(model, log_risk, list(days.values())) if fitted else model.survival(log_risk, list(days.values())))[0]
    recalibration = (fitted.intercept, fitted.slope) if fitted else (0.0, 1.0)
    band = band_of(loaded.refits, model, table, log_risk, list(days.values()), networks=arrived.networks, recalibration=recalibration)
    reasons = {name: model.baseline.why_not(day) for name, day in days.items()}
    moved = registry.outside(home, loaded.entry.model).sentences if not str(which).isdecimal() else ()
    recalibrated = (f"probabilities are recalibrated {fitted}; risk and group are those of the version",) if fitted else ()
    answer = Prediction(
        model=loaded.entry.model,
        version=loaded.entry.version,
        log_risk=float(log_risk[0]),
        cutoff=float(model.cutoff),
        risk_group=str(model.risk_group(log_risk)[0]),
        survival={name: None if reasons[name] else float(value) for name, value in zip(days, survival, strict=True)},
        horizons_days=days,
        unanswered={name: reason for name, reason in reasons.items() if reason},
        gtv_cm3=arrived.scan.gtv.volume_mm3 / 1000,
        image_version=arrived.image_version,
        sha256=arrived.sha256,
        certificate=arrived.certificate,
        remarks=(*arrived.remarks, *moved, *recalibrated),
        log_risk_lower=_number(band.lower[0]),
        log_risk_upper=_number(band.upper[0]),
        survival_lower={name: _number(value) for name, value in zip(days, band.survival_lower[0], strict=True)},
        survival_upper={name: _number(value) for name, value in zip(days, band.survival_upper[0], strict=True)},
        limits=band.covers,
        recalibrated=fitted,
    )
    return replace(answer, **applicability.columns(within))


def _number(value: float) -> float | None:
    return float(value) if math.isfinite(value) else None
