"""What stability leaves in manifests/stability.json."""

from dataclasses import dataclass

from penumbra.base.documents import Document
from penumbra.pipeline.made_from import Manifest


@dataclass(frozen=True)
class Perturbed(Document):
    """The features of one ROI under one perturbation, all its levels together.

    Parameters
    ----------
    patients, refused
        That were measured; and that could not be, since the perturbed ROI was refused.
    median_icc
        Over the features that have one.
    above_75, above_90
        Share of these whose lower limit is at least 0.75 and 0.9.
    """

    roi: str
    perturbation: str
    levels: tuple[float, ...]
    patients: int
    refused: int
    median_icc: float
    above_75: float
    above_90: float


@dataclass(frozen=True, kw_only=True)
class StabilityManifest(Manifest):
    """What stability measured: key of features, perturbations and sample, the version of the features, and how many rows of feature_stability it has."""

    key: str
    version: str
    rois: tuple[str, ...]
    patients: int
    perturbations: tuple[Perturbed, ...]
    rows: int
