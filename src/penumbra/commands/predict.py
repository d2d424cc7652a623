"""One patient's folder through a registered version: the same path as training, with the version's own settings."""

import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from penumbra import imaging, radiomics, registry
from penumbra.base.blocks import CLINICAL, DEEP, GTV, block_and_feature, column, deep_names
from penumbra.base.refusal import Refusal
from penumbra.cohort.record import folder_digest, image_version
from penumbra.cohort.rois import roi_rules
from penumbra.fusion import SurvivalModel
from penumbra.imaging.folder import readable, understood
from penumbra.pipeline.dataset import STAGE_ORDINAL
from penumbra.pipeline.definition import require_same_features, required_margins
from penumbra.pipeline.recalibration import Applied, applied
from penumbra.survival.horizons import horizon_name


@dataclass(frozen=True)
class Prediction:
    """What a version says of one patient.

    Parameters
    ----------
    log_risk
        Higher = earlier death; `cutoff` divides low from high (the median of the training centers).
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
    remarks
        What the certificate of the mask flagged, what the reader noted, which clinical value is filled, that the alias was moved outside penumbra, and that
        probabilities are recalibrated.
    recalibrated
        What fitted the probabilities to the center of the patient; None: they are those of the version. log_risk and risk_group always are.
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


def predict(home: Path, folder: Path, which: str = "champion", center: str | None = None, *, age: float | None = None, stage: str | None = None) -> Prediction:
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
        remark, where the version has one for missing values.

    Raises
    ------
    Refusal
        No such version, a scan that cannot be used, a mask that its certificate refuses, a model that needs what a folder does not hold (a clinical
        column), or one that reads features of another definition than this program makes.
    """
    loaded = registry.load(home, which)
    settings, model = loaded.settings, loaded.model
    required = {block_and_feature(name)[0] for name in model.columns}
    clinical, missing = _clinical(model, age, stage)
    require_same_features(loaded, required)
    rules = roi_rules(settings["rois"])
    place = center or folder.resolve().parent.name
    names = rules.of(place)
    grid_mm = settings["ingest"]["grid_mm"]
    margins = required_margins(rules, settings["radiomics"], grid_mm)
    with readable(), understood():
        sha256 = folder_digest(folder)
        arrived = imaging.read_patient(folder, names=names)
        scan = imaging.to_grid(arrived, grid_mm, **margins)
    rings = imaging.rings(scan.gtv, rules.margins_mm)
    certificate = imaging.certify(arrived, scan, rings, imaging.CertificateLimits.of(settings["ingest"]["certificate"]))
    if certificate.status == "refused":
        worst = certificate.findings[0]
        raise Refusal(worst.rule, worst.found, worst.advice)

    masks = {roi: mask for roi, mask in {GTV: scan.gtv, **rings}.items() if roi in required}
    table = {
        column(roi, name): np.array([value])
        for roi, values in radiomics.extract(scan, masks, settings["radiomics"], engine=settings["populate"]["engine"]).items()
        for name, value in values.items()
    }
    table |= clinical
    if DEEP in required:
        table |= _deep(loaded, scan)
    log_risk = model.log_risk(table, centers=[place])
    days = {horizon_name(day): float(day) for day in loaded.horizons_days}
    fitted = applied(home, loaded, place)
    survival = (fitted.survival(model, log_risk, list(days.values())) if fitted else model.survival(log_risk, list(days.values())))[0]
    reasons = {name: model.baseline.why_not(day) for name, day in days.items()}
    moved = registry.outside(home, loaded.entry.model).sentences if not str(which).isdecimal() else ()
    recalibrated = (f"probabilities are recalibrated {fitted}; risk and group are those of the version",) if fitted else ()
    return Prediction(
        model=loaded.entry.model,
        version=loaded.entry.version,
        log_risk=float(log_risk[0]),
        cutoff=float(model.cutoff),
        risk_group=str(model.risk_group(log_risk)[0]),
        survival={name: None if reasons[name] else float(value) for name, value in zip(days, survival, strict=True)},
        horizons_days=days,
        unanswered={name: reason for name, reason in reasons.items() if reason},
        gtv_cm3=scan.gtv.volume_mm3 / 1000,
        image_version=image_version(sha256, arrived.roi_name, grid_mm=grid_mm, **margins),
        sha256=sha256,
        certificate=certificate.status,
        remarks=(*(f"{finding.rule}: {finding.found}" for finding in certificate.findings), *arrived.notes, *missing, *moved, *recalibrated),
        recalibrated=fitted,
    )


def _clinical(model: SurvivalModel, age: float | None, stage: str | None) -> tuple[dict[str, np.ndarray], list[str]]:
    """The clinical columns that a version reads, nan where it fills what is not given, and a remark on each of these."""
    values = {"age": math.nan if age is None else age, "overall_stage": math.nan if stage is None else STAGE_ORDINAL[stage]}
    table, remarks = {}, []
    for each in model.inputs:
        block, feature = block_and_feature(each.name)
        if block != CLINICAL:
            continue
        value = values.get(feature, math.nan)
        if math.isnan(value) and each.fill is None:
            raise Refusal("images_only", f"{model.name} needs clinical columns", "choose a version whose model reads images alone")
        if math.isnan(value):
            remarks.append(f"{feature.replace('_', ' ')} is not given: taken as {each.fill:g}, the median of the training patients")
        table[each.name] = np.array([value])
    return table, remarks


def _deep(loaded: registry.LoadedModel, scan: imaging.Scan) -> dict[str, np.ndarray]:
    from penumbra import network

    assert loaded.network_path is not None, "a version with deep features carries its network"
    trained = network.load(loaded.network_path)
    cube = network.prepare(scan.image.values, scan.gtv.values, size=trained.network.input_size, masked=trained.network.masked_input)
    _, features = network.embed(trained, cube[None])
    return {column(DEEP, name): features[:, i].astype(float) for i, name in enumerate(deep_names(features.shape[1]))}
