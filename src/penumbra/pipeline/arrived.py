"""A folder of one patient as a version reads it: the scan on the version's grid, and every feature that its model and its refits need."""

import math
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from penumbra import imaging, radiomics, registry
from penumbra.base.blocks import CLINICAL, DEEP, GTV, block_and_feature, column, deep_names
from penumbra.base.refusal import Refusal
from penumbra.cohort.own_columns import typed_values
from penumbra.cohort.record import folder_digest, image_version
from penumbra.cohort.rois import roi_rules
from penumbra.imaging.folder import readable, understood
from penumbra.pipeline.covariates import of_version, typed
from penumbra.pipeline.dataset import STAGE_ORDINAL
from penumbra.pipeline.definition import require_same_features, required_margins
from penumbra.pipeline.networks import load as load_networks


@dataclass(frozen=True)
class Arrived:
    """One patient, read.

    Parameters
    ----------
    scan
        On the grid.
    table : each (1,)
        Column -> its value.
    networks : each (m,)
        Deep column -> what each of the version's networks says alone; empty where the model reads none, or there is one network.
    certificate
        "accepted" or "flagged".
    remarks
        What the certificate flagged, what the reader noted, and which clinical value is filled.
    """

    scan: imaging.Scan
    table: dict[str, np.ndarray]
    networks: dict[str, np.ndarray]
    image_version: str
    sha256: str
    certificate: str
    remarks: tuple[str, ...] = field(default=())


def read_folder(
    home: Path,
    loaded: registry.LoadedModel,
    folder: Path,
    center: str,
    *,
    age: float | None = None,
    stage: str | None = None,
    clinical: Mapping[str, str] | None = None,
) -> Arrived:
    """Read the DICOM or NIfTI folder of one patient as a version does.

    Parameters
    ----------
    center
        Whose synonyms name the GTV.
    age, stage
        For a version that reads them.
    clinical
        Likewise: column of features/clinical.yaml -> its value as text, as in clinical.csv.

    Raises
    ------
    Refusal
        A scan that cannot be used, a mask that its certificate refuses, a model that needs what a folder does not hold (a clinical column), or one that
        reads features of another definition than this program makes.
    """
    settings = loaded.settings
    required = required_blocks(loaded)
    covariates, missing = clinical_table(loaded, age, stage, clinical or {})
    require_same_features(loaded, required)
    rules = roi_rules(settings["rois"])
    names = rules.of(center)
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
    table, networks = measured(home, loaded, scan, rings, required)
    table |= covariates
    return Arrived(
        scan=scan,
        table=table,
        networks=networks,
        image_version=image_version(sha256, arrived.roi_name, grid_mm=grid_mm, **margins),
        sha256=sha256,
        certificate=certificate.status,
        remarks=(*(f"{finding.rule}: {finding.found}" for finding in certificate.findings), *arrived.notes, *missing),
    )


def required_blocks(loaded: registry.LoadedModel) -> set[str]:
    """The blocks that a version's model and its refits read; of the clinical columns only the model's own."""
    refits = loaded.refits.names if loaded.refits else ()
    return blocks_of((*loaded.model.columns, *(name for name in refits if not name.startswith(f"{CLINICAL}."))))


def measured(
    home: Path, loaded: registry.LoadedModel, scan: imaging.Scan, rings: Mapping[str, imaging.Mask], required: Collection[str]
) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """Every feature of the image that some blocks have, each (1,), and what each network says alone, each (m,)."""
    masks = {roi: mask for roi, mask in {GTV: scan.gtv, **rings}.items() if roi in required}
    extracted = radiomics.extract(scan, masks, loaded.settings["radiomics"], engine=loaded.settings["populate"]["engine"]) if masks else {}
    table = {column(roi, name): np.array([value]) for roi, values in extracted.items() for name, value in values.items()}
    if DEEP not in required:
        return table, {}
    deep, networks = _deep(home, loaded, scan)
    return table | deep, networks


def blocks_of(columns: Iterable[str]) -> set[str]:
    """The blocks of some columns."""
    return {block_and_feature(name)[0] for name in columns}


def clinical_table(loaded: registry.LoadedModel, age: float | None, stage: str | None, further: Mapping[str, str]) -> tuple[dict[str, np.ndarray], list[str]]:
    """The clinical columns that a version reads, nan where it fills what is not given, and a remark on each of these."""
    model, columns = loaded.model, of_version(loaded.settings)
    values = {"age": math.nan if age is None else age, "overall_stage": math.nan if stage is None else STAGE_ORDINAL[stage]}
    values |= typed(columns, typed_values(columns, further))
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


def _deep(home: Path, loaded: registry.LoadedModel, scan: imaging.Scan) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray]]:
    """The deep features, and those of each network alone where there are several."""
    from penumbra import network

    assert loaded.network_path is not None, "a version with deep features carries its network"
    trained = load_networks(home, loaded.network_path)
    cube = network.prepare(scan.image.values, scan.gtv.values, size=trained.network.input_size, masked=trained.network.masked_input)
    _, features = network.embed(trained, cube[None])
    names = [column(DEEP, name) for name in deep_names(features.shape[1])]
    table = {name: features[:, i].astype(float) for i, name in enumerate(names)}
    if len(trained.members) == 1:
        return table, {}
    each = network.embed_each(trained, cube)
    return table, {name: each[:, i].astype(float) for i, name in enumerate(names)}
