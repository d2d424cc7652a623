"""The outcome of ingesting a patient: rows for the store, or the reasons for the rejection."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra.cohort.clinical import ClinicalTable
from penumbra.cohort.links import Roots
from penumbra.imaging import CertificateLimits, GtvNames


@dataclass(frozen=True)
class Arrival:
    """What a center sent, and how it is taken.

    Parameters
    ----------
    center
        Its name.
    folder
        One folder per patient, named like the patient in the clinical table.
    clinical
        The center's table, see `read_clinical`.
    roots
        Where links may lead; None: within the cohort.
    pseudonym_key
        Replaces every patient's name by a keyed hash, in rows and in folders.
    """

    center: str
    folder: Path
    clinical: ClinicalTable
    roots: Roots | None = None
    pseudonym_key: str | None = None


@dataclass(frozen=True)
class ImageRules:
    """What a patient's files become.

    Parameters
    ----------
    grid_mm
        Edge of the isotropic voxel.
    margin_mm
        Kept around the GTV: the widest ring and what the filters need beyond it.
    periodic_mm
        Distance to the scan's end below which an axis is kept whole, see `to_grid`.
    margins_mm
        Of the rings, for the certificate.
    names
        Of the GTV at this center.
    limits
        Of the certificate.
    """

    grid_mm: float
    margin_mm: float
    periodic_mm: float
    margins_mm: tuple[float, ...]
    names: GtvNames
    limits: CertificateLimits


@dataclass(frozen=True)
class Accepted:
    """A patient that can be used: rows of the relations `patients`, `images` and `rois`.

    Parameters
    ----------
    patient, center
        Names.
    image_version
        Of the scan.
    status
        "accepted" or "flagged", by the certificate.
    read
        False: nothing changed since the files were read the last time; the rows are those of then.
    clinical, image
        Rows of the relations `patients` and `images`.
    rois
        Rows of the relation `rois`.
    remarks
        Rows of the relation `rejections` that refuse nothing.
    values
        Rows of the relation `clinical_long`.
    """

    patient: str
    center: str
    image_version: str
    status: str
    read: bool
    clinical: Mapping[str, Any]
    image: Mapping[str, Any]
    rois: tuple[Mapping[str, Any], ...]
    remarks: tuple[Mapping[str, Any], ...] = ()
    values: tuple[Mapping[str, Any], ...] = ()


@dataclass(frozen=True)
class Rejected:
    """A patient that cannot be used.

    Parameters
    ----------
    patient, center
        Names.
    rejections
        Rows of the relation `rejections`, one for each rule.
    """

    patient: str
    center: str
    rejections: tuple[Mapping[str, Any], ...]
