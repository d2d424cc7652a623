"""The groups of params.yaml that belong to no package below: each as a frozen dataclass that refuses what does not hold together."""

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from penumbra.base.yaml_files import wrong
from penumbra.cohort import InclusionRules
from penumbra.evaluate import GateLimits
from penumbra.evaluate.settings import horizons_error
from penumbra.imaging import CertificateLimits
from penumbra.survival.horizons import unfit_horizons

AUTO = "auto"  # register.served: the evidence inside chooses
MODEL_NAME = re.compile(r"[A-Za-z][A-Za-z0-9_.-]*")


@dataclass(frozen=True)
class Cohort:
    """Who trains, who is included, and how a clinical table is read.

    Parameters
    ----------
    train_centers
        Centers that the models are fitted on; every other center that arrived is external test.
    time_unit
        Of the survival column where the table does not say.
    staging_edition
        TNM edition for an overall stage that is missing.
    """

    train_centers: tuple[str, ...]
    time_unit: Literal["days", "months", "years"]
    staging_edition: Literal["ajcc7", "ajcc8"]
    inclusion: InclusionRules


@dataclass(frozen=True)
class Ingest:
    """How a center is taken in.

    Parameters
    ----------
    grid_mm
        Edge of the isotropic voxel.
    batch
        Patients written in one transaction.
    certificate
        Requirements a mask must meet.
    roots
        Folders outside of the cohort to which links in a center's folder may lead, absolute paths.
    outcome_backwards
        Of a clinical record that contradicts the stored one: "hold" keeps the stored one, "remark" takes the new one.
    age_tolerance_years
        Ages further apart contradict each other.
    """

    grid_mm: float
    batch: int
    certificate: CertificateLimits
    roots: tuple[str, ...] = ()
    outcome_backwards: Literal["hold", "remark"] = "hold"
    age_tolerance_years: float = 1.0

    def __post_init__(self) -> None:
        for root in self.roots:
            if not Path(root).is_absolute() or root == "/":
                raise wrong("ingest.roots", f"ingest.roots has {root!r}", "Give absolute paths of folders, such as /archive/export")


@dataclass(frozen=True)
class Populate:
    """How features are extracted.

    Parameters
    ----------
    engine
        "penumbra" (this project's) or "pyradiomics" (the reference).
    batch
        Patients written in one transaction.
    memory_share
        Of the free memory that the patients at work may need together.
    """

    engine: Literal["penumbra", "pyradiomics"]
    batch: int
    memory_share: float


@dataclass(frozen=True)
class Stability:
    """How stable features are: a sample of training patients, measured again under perturbations.

    Parameters
    ----------
    patients
        At most so many; None: every training patient.
    seed
        Draws them, and the noise of each.
    rois
        None: the GTV and every ring.
    noise
        Multiples of the scan's own noise.
    thickness_mm
        Of the slices.
    shift_voxels, rotation_voxels
        By how much image and mask move together.
    mask_mm
        By how much the mask grows, or shrinks where it is negative.
    """

    patients: int | None
    seed: int
    rois: tuple[str, ...] | None
    noise: tuple[float, ...]
    thickness_mm: tuple[float, ...]
    shift_voxels: tuple[float, ...]
    rotation_voxels: tuple[float, ...]
    mask_mm: tuple[float, ...]

    @property
    def levels(self) -> dict[str, tuple[float, ...]]:
        """Perturbation -> its levels; those that have none are not measured."""
        every = {"noise": self.noise, "thickness": self.thickness_mm, "shift": self.shift_voxels, "rotation": self.rotation_voxels, "mask": self.mask_mm}
        return {name: levels for name, levels in every.items() if levels}


@dataclass(frozen=True)
class Ablation:
    """without_se: the network is trained a second time, without squeeze-and-excitation, for comparison alone."""

    without_se: bool


@dataclass(frozen=True)
class CrossFitting:
    """The evidence inside the training centers.

    Parameters
    ----------
    folds
        Each is left out in turn; drawn within center and outcome.
    repeats
        Draws of the folds.
    seed
        Of the draws.
    calibrate
        Whether slope and baseline of the probabilities come from cross-fitted risks; else from the fit that saw the patients.
    """

    folds: int
    repeats: int
    seed: int
    calibrate: bool


@dataclass(frozen=True)
class Register:
    """What is registered.

    Parameters
    ----------
    model
        Name in the registry.
    served
        Which fitted model answers; AUTO: the one that the evidence inside chooses.
    candidates
        For AUTO, the simplest first.
    noise
        A model named in `served` must beat the controls inside: the lower limit of the one-sided interval at 1 - noise must be above 0.

    Raises
    ------
    ParamsError
        For a name that cannot be told from a version, an alias or a folder.
    """

    model: str
    served: str
    candidates: tuple[str, ...]
    noise: float

    def __post_init__(self) -> None:
        if not MODEL_NAME.fullmatch(self.model):
            raise wrong("register.model", f"register.model is {self.model!r}", "Use letters, digits, '_', '-' and '.', and begin with a letter")


@dataclass(frozen=True)
class Retrain:
    """The center-arrival protocol.

    Parameters
    ----------
    promotion
        "automatic": the gate's verdict is carried out; "propose": it waits for a person.
    recalibrate_from
        Deaths at a new center from which the champion's probabilities are fitted to it; None: never.
    update
        "closed_testing": a closed test chooses how much of the champion changes; "refit": everything does.
    update_alpha
        Of its tests.
    min_events
        Deaths that a new center must have to be trained on.
    max_rejected
        Share of a center's patients that may be refused at ingest.
    max_outside
        Share of a center's accepted patients that may be outside what the champion is for.
    gate
        How sure the gate has to be.
    """

    promotion: Literal["automatic", "propose"]
    recalibrate_from: int | None
    update: Literal["closed_testing", "refit"]
    update_alpha: float
    min_events: int
    max_rejected: float
    max_outside: float
    gate: GateLimits


@dataclass(frozen=True)
class Serve:
    """The watch on incoming/ and the schedules.

    Parameters
    ----------
    look_s : seconds
        Between polls.
    quiet_s : seconds
        Without a change after which a center is complete.
    announce_s : seconds
        Without an active worker after which a center is announced again to a Prefect server: its worker died.
    max_kills
        Times that a retraining may be killed in one step before its center is set aside.
    retrain_cron, check_cron
        Of the weekly retraining and the nightly check, in the zone `timezone` (an IANA name).
    notification_block
        Prefect notification block that receives every decision, such as slack-webhook/clinic; None: file only.
    """

    look_s: float
    quiet_s: float
    announce_s: float
    max_kills: int
    notification_block: str | None
    retrain_cron: str
    check_cron: str
    timezone: str = "UTC"  # a params.yaml from before it could be chosen

    def __post_init__(self) -> None:
        from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

        try:
            ZoneInfo(self.timezone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            fault = f"serve.timezone is {self.timezone!r}, which is not an IANA time zone"
            raise wrong("serve.timezone", fault, "Use a name such as UTC or Europe/Amsterdam") from None


@dataclass(frozen=True)
class Monitor:
    """When the deaths of patients who were scored before them differ from those that were expected.

    Parameters
    ----------
    hazard_ratios
        That the two charts look for: below 1 fewer deaths than expected, above 1 more.
    false_alarms
        Share of centers where the model is right and a chart signals before `expected_deaths` are expected there.
    runs, seed
        Of the simulation of their limits.
    """

    hazard_ratios: tuple[float, float]
    false_alarms: float
    expected_deaths: float
    runs: int
    seed: int

    def __post_init__(self) -> None:
        fewer, more = self.hazard_ratios
        if not fewer < 1 < more:
            fault = f"monitor.hazard_ratios is [{fewer:g}, {more:g}]: the first is below 1, and the second above"
            raise wrong("monitor.hazard_ratios", fault, "Name one for fewer deaths than expected and one for more, such as [0.5, 2.0]")


@dataclass(frozen=True)
class Drift:
    """bins of the stability index; alpha: q below it is counted, psi: an index above it; horizon_days at which survival is compared."""

    bins: int
    alpha: float
    psi: float
    horizon_days: float

    def __post_init__(self) -> None:
        problem = unfit_horizons([self.horizon_days])
        if problem:
            raise horizons_error("drift.horizon_days", f"{self.horizon_days:g}", problem)


@dataclass(frozen=True)
class Audit:
    """What penumbra audit tries.

    Parameters
    ----------
    permutations
        Of the outcomes within centers, each through the whole cross-fit.
    panels
        Random panels of as many columns as the served model reads.
    networks
        Permutations through which networks are trained again, where the served model reads deep features.
    draws
        Of the folds behind each permutation and panel.
    near
        Correlation of the z-scored features of the GTV above which patients of two centers may be one person.
    seed
        Of permutations and panels.
    """

    permutations: int
    panels: int
    networks: int
    draws: int
    near: float
    seed: int


@dataclass(frozen=True)
class Explain:
    """penumbra explain.

    Parameters
    ----------
    other_centers
        Whether similar patients of other training centers are shown as well.
    similar
        How many.
    features
        Contributions that are shown of each block.
    digits
        Decimals of contributions.
    """

    other_centers: bool
    similar: int
    features: int
    digits: int


@dataclass(frozen=True)
class Report:
    """How the report shows patients.

    Parameters
    ----------
    patients
        How many are shown as pictures.
    slice_margin_mm
        Shown around the GTV.
    window_hu
        Center and width.
    occlusion_edge, occlusion_stride
        Of the cube that is hidden from the network, and between two of them, voxels of its input.
    """

    patients: int
    slice_margin_mm: float
    window_hu: tuple[float, float]
    occlusion_edge: int
    occlusion_stride: int


@dataclass(frozen=True)
class Simulate:
    """seed of the simulated cohort."""

    seed: int
