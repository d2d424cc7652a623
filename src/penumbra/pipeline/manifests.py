"""What the stages leave in manifests/<name>.json, each as a frozen dataclass; DVC hashes these files, so the same content gives the same bytes.

A manifest of an earlier version is read: what it did not write is None here, and what is not known here any more is passed over.
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, TypeVar

from penumbra.base import project
from penumbra.base.documents import Document, DocumentError, left_out
from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import write_whole
from penumbra.evaluate.chosen import Choice
from penumbra.evaluate.gate import Evidence
from penumbra.evaluate.instability import Instability
from penumbra.evaluate.rows import MetricRow, PairedRow
from penumbra.evaluate.updating import UpdateEvidence
from penumbra.pipeline.made_from import Manifest as Manifest
from penumbra.pipeline.made_from import Origin as Origin
from penumbra.pipeline.stability_manifest import StabilityManifest

FOLDER = "manifests"
# decisions on a center that others than the gate take
SET_ASIDE: Final = "set aside"  # its retraining was killed too often
PROPOSED: Final = "propose"  # the gate's "promote" waits for a person
BY_HAND: Final = "promoted by hand"  # a person carried out a proposal
OVERTAKEN: Final = "overtaken"  # another version became champion while a proposal waited


@dataclass(frozen=True)
class ArrivedFiles(Document):
    """How many files a center's folder has, and one SHA-256 over all names and contents."""

    files: int
    sha256: str


@dataclass(frozen=True)
class ArrivalManifest(Document):
    """By center."""

    centers: Mapping[str, ArrivedFiles]


@dataclass(frozen=True)
class StoredMargins(Document):
    """What ingest kept around the GTV, in mm."""

    margin_mm: float
    periodic_mm: float


@dataclass(frozen=True, kw_only=True)
class IngestedCenter(Manifest):
    """What became of one center's patients.

    Parameters
    ----------
    accepted
        Patient -> image version.
    flagged, rejected, contradicted, alike
        Rule -> patients.
    kept
        None where no patient could be.
    clinical
        A key of the clinical records; None for a center that takes no part.
    refused
        Why none of its clinical table can be used, and so takes no part.
    stored
        Patient -> keys of the clinical record and the image that the store showed.
    """

    found: int
    accepted: Mapping[str, str]
    flagged: Mapping[str, int]
    rejected: Mapping[str, int]
    contradicted: Mapping[str, int] | None = left_out()
    alike: Mapping[str, int] | None = left_out()
    no_longer_sent: int | None = left_out()
    kept: StoredMargins | None = left_out()
    clinical: str | None = left_out()
    refused: str | None = left_out()
    stored: Mapping[str, str] | None = left_out()

    @property
    def remarks(self) -> dict[str, int]:
        """Rule -> patients: what was flagged, contradicted, like another's or left."""
        departures = {"no_longer_sent": self.no_longer_sent} if self.no_longer_sent else {}
        return {**self.flagged, **(self.contradicted or {}), **(self.alike or {}), **departures}


@dataclass(frozen=True)
class IngestManifest(Document):
    """By center."""

    centers: Mapping[str, IngestedCenter]

    @property
    def scans(self) -> dict[str, tuple[str, str]]:
        """Accepted patient -> center and image version."""
        return {patient: (center, version) for center, facts in self.centers.items() for patient, version in facts.accepted.items()}


@dataclass(frozen=True, kw_only=True)
class PopulateManifest(Manifest):
    """patients have every row of `version`, those refused do not. values: how many there are, and how many of them are not finite."""

    version: str
    rois: tuple[str, ...]
    features: int
    patients: tuple[str, ...]
    refused: tuple[str, ...]
    values: int | None = left_out()
    not_finite: int | None = left_out()
    digest: str | None = left_out()


@dataclass(frozen=True, kw_only=True)
class TrainManifest(Manifest):
    """version of the deep features of `patients`; network: digest of the weights; without_se: version of those of the network without SE."""

    version: str
    patients: tuple[str, ...]
    trained_on: int | None = left_out()
    networks: int | None = left_out()
    best_epochs: tuple[int, ...] | None = left_out()
    network: str | None = left_out()
    digest: str | None = left_out()
    without_se: str | None = left_out()


@dataclass(frozen=True, kw_only=True)
class FuseManifest(Manifest):
    """key: folder of the fitted models below fitted/. features, digests: of each model; not_retained: why those keep nothing that do.

    Parameters
    ----------
    store_commit
        That the training rows are first known from.
    training_sha256
        Over them.
    """

    key: str
    dataset: str
    training_sha256: str | None = left_out()
    store_commit: int | None = left_out()
    trained_on: int
    events: int
    features: Mapping[str, int]
    not_retained: Mapping[str, str]
    digests: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class EvaluateManifest(Manifest):
    """What evaluate measured.

    Parameters
    ----------
    kept
        Column -> share of the refits of the served model that keep it.
    choice
        Which model is served; None in a manifest from before it was chosen.
    instability
        Of the predictions over these refits; None where there are none.
    refits
        SHA-256 of the file of these refits; None where there is none.
    """

    key: str
    metrics: tuple[MetricRow, ...]
    kept: Mapping[str, float] = field(default_factory=dict)
    choice: Choice | None = left_out()
    instability: Instability | None = left_out()
    refits: str | None = left_out()


@dataclass(frozen=True, kw_only=True)
class RegisterManifest(Manifest):
    """The registered version; None where nothing was retained, with the reason. challenger: a second version, of a model that did not earn to be served."""

    model: str | None = left_out()
    version: int | None
    digest: str | None = left_out()
    train_centers: tuple[str, ...] | None = left_out()
    metrics: int | None = left_out()
    challenger: int | None = left_out()
    reason: str | None = left_out()


@dataclass(frozen=True, kw_only=True)
class ReportManifest(Manifest):
    """page, relative to the state folder."""

    page: str
    key: str


@dataclass(frozen=True)
class PendingRegistration(Document):
    """A registration under way: the versions known before, and what the store will be told of the new one, by relation."""

    model: str
    known: tuple[int, ...]
    rows: Mapping[str, list[dict[str, Any]]]


@dataclass(frozen=True, kw_only=True)
class DecisionManifest(Document):
    """What a retraining decided on a center.

    Parameters
    ----------
    key
        Of what was decided.
    key_after
        The same once it was carried out, None before.
    key_promoted
        Of a proposal: the same, were the challenger champion.
    model
        Name in the registry; None in a manifest of an earlier version, which did not write it.
    champion, challenger
        Versions; None where there is no challenger.
    comparison
        Of all models on patients that none was fitted on.
    paired
        Of champion and challenger.
    evidence
        What the gate decided on; None where it did not come so far, and of gates that did not write it down.
    update
        What the closed test chose; None where none was made.
    """

    center: str
    key: str
    decision: str
    reason: str
    champion: int
    challenger: int | None
    comparison: tuple[MetricRow, ...]
    paired: tuple[PairedRow, ...] = ()
    evidence: Evidence | None = None
    key_after: str | None = left_out()
    key_promoted: str | None = left_out()
    model: str | None = left_out()
    update: UpdateEvidence | None = left_out()


@dataclass(frozen=True, kw_only=True)
class RecalibrationManifest(Document):
    """A registered version's probabilities, fitted to one center by its patients alone.

    Parameters
    ----------
    model, version, digest
        Of the version.
    at
        When, UTC, ISO 8601.
    patients, deaths
        That it was fitted on, up to the last day that the version answers for.
    intercept, slope
        Survival is that of the log_risk intercept + slope x log_risk.
    reason
        Why the slope was not fitted though there are deaths enough; else "".
    before, after
        Calibration and Brier score of the version there, as it is, and recalibrated by the other folds of the center.
    """

    model: str
    version: int
    digest: str
    center: str
    at: str
    patients: int
    deaths: int
    intercept: float
    slope: float
    reason: str
    before: tuple[MetricRow, ...]
    after: tuple[MetricRow, ...]


@dataclass(frozen=True)
class Attempts(Document):
    """How the attempts at one center's retraining ended.

    Parameters
    ----------
    key
        What was retrained: another key is another retraining.
    step
        The first step that was not finished when the last attempt began.
    killed
        How often the retraining was killed before, without coming beyond `step`.
    error
        What the last attempt raised; "" while it is under way, and after a kill.
    final
        Whether another try would end in the same error.
    pid
        Of the process that is, or was, at work.
    """

    key: str
    step: str
    killed: int
    error: str = ""
    final: bool = False
    pid: int = 0


AnyDocument = TypeVar("AnyDocument", bound=Document)
NAMES: Mapping[type[Document], str] = {
    ArrivalManifest: "arrivals",
    IngestManifest: "ingest",
    PopulateManifest: "populate",
    StabilityManifest: "stability",
    TrainManifest: "train",
    FuseManifest: "fuse",
    EvaluateManifest: "evaluate",
    RegisterManifest: "register",
    ReportManifest: "report",
    PendingRegistration: "registering",
}


OF_STAGES = frozenset(NAMES.values()) - {NAMES[PendingRegistration]}


def file_of(home: Path, name: str) -> Path:
    """The file of a manifest; what a stage leaves is in the copy of the project, where DVC runs an experiment in one."""
    experiment = project.experiment() if name in OF_STAGES else None
    return (home if experiment is None else experiment.copy / "data") / FOLDER / f"{name}.json"


def write(home: Path, manifest: AnyDocument, name: str | None = None) -> AnyDocument:
    """Leave a manifest, whole or not at all; returns it.

    Parameters
    ----------
    name
        Of the file; None: that of its class.
    """
    path = file_of(home, name or NAMES[type(manifest)])
    write_whole(path, json.dumps(manifest.to_json(), sort_keys=True, indent=1, allow_nan=False) + "\n")
    return manifest


def read(home: Path, kind: type[AnyDocument], name: str | None = None) -> AnyDocument:
    """What a stage left.

    Parameters
    ----------
    name
        Of the file; None: that of its class.

    Raises
    ------
    Refusal
        "stages_in_order" when it has not run, "manifest_readable" when its file is damaged.
    """
    stage = name or NAMES[kind]
    path = file_of(home, stage)
    if not path.is_file():
        raise Refusal("stages_in_order", f"{stage} has not run here", f"run penumbra {stage}, or penumbra run for all stages")
    try:
        return kind.from_json(json.loads(path.read_text(encoding="utf-8")))
    except DocumentError as error:
        fault = f"manifests/{path.name} cannot be read ({error})"
    except ValueError:
        fault = f"manifests/{path.name} cannot be read (it is not JSON)"
    raise Refusal("manifest_readable", fault, _advice(stage))


def _advice(name: str) -> str:
    """How a manifest that cannot be read is written again."""
    kind, _, center = name.partition("-")
    if kind in ("pending", "retrain"):
        return f"remove it and run penumbra retrain --center {center}"
    if kind == "recalibration":
        return f"remove it and run penumbra retrain --center {center.rpartition('-')[0]}"
    if kind in ("registering", "registered"):
        return "remove it and run penumbra register"
    return f"run penumbra {name}, which writes it again"


def earlier(home: Path, kind: type[AnyDocument], name: str | None = None) -> AnyDocument | None:
    """What the stage left before; None where it has not run, or left what cannot be read."""
    try:
        return read(home, kind, name)
    except Refusal:
        return None
