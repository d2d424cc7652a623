"""All numbers of a run: params.yaml, features/ and models/ for one profile, each group as the frozen dataclass of the package that uses it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, Literal

from penumbra.base import ranges
from penumbra.base.params import PROFILES, ParamsError, build, missing, project_root, read_yaml, resolve
from penumbra.base.refusal import choose
from penumbra.base.yaml_files import in_file, shown, wrong
from penumbra.cohort import InclusionRules
from penumbra.evaluate import Evaluating, GateLimits
from penumbra.evaluate.settings import horizons_error
from penumbra.fusion import Fitting
from penumbra.imaging import CertificateLimits
from penumbra.network import Augment, EnsembleSettings, Network, Pretrain, Train
from penumbra.registry import older_names
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
    min_events
        Deaths that a new center must have to be trained on.
    max_rejected
        Share of a center's patients that may be refused at ingest.
    gate
        How sure the gate has to be.
    """

    promotion: Literal["automatic", "propose"]
    recalibrate_from: int | None
    min_events: int
    max_rejected: float
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
class ServeSql:
    """penumbra serve-sql: the port, and the limits of one statement (seconds, megabytes, rows) and of all (maximum concurrent statements)."""

    port: int
    timeout_s: float
    memory_mb: int
    max_rows: int
    at_once: int


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


@dataclass(frozen=True)
class Settings:
    """Everything, for one profile. `rois`, `radiomics` and the model declarations keep the form of their YAML files, these with every ring."""

    profile: str
    chosen_profile: str
    cohort: Cohort
    simulate_seed: int
    ingest: Ingest
    populate: Populate
    network: Network
    augment: Augment
    train: Train
    pretrain: Pretrain
    ensemble: EnsembleSettings
    ablation: Ablation
    fuse: Fitting
    crossfit: CrossFitting
    evaluate: Evaluating
    register: Register
    retrain: Retrain
    serve: Serve
    serve_sql: ServeSql
    drift: Drift
    report: Report
    rois: Mapping[str, Any]
    radiomics: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]]


GROUPS = {
    "cohort": Cohort, "ingest": Ingest, "populate": Populate, "network": Network, "augment": Augment, "train": Train,
    "pretrain": Pretrain, "ensemble": EnsembleSettings, "ablation": Ablation,
    "fuse": Fitting, "crossfit": CrossFitting, "evaluate": Evaluating, "register": Register,
    "retrain": Retrain, "serve": Serve, "serve_sql": ServeSql, "drift": Drift, "report": Report,
}  # fmt: skip


TIES = ("efron", "breslow")
CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # the range of each field
FIT_DECLARED = ("signatures", "combined", "controls", "late")


def load_settings(profile: str | None = None) -> Settings:
    """Settings of `profile`, by default the one that params.yaml names; what models/ and features/ declare is checked against each other.

    Raises
    ------
    ParamsError
        With file, line, key and value of a parameter or declaration that is unknown, missing, ill-typed or out of its range.
    """
    root = project_root()
    file, network = root / "params.yaml", root / "models" / "se_resnet.yaml"
    with in_file(file):
        declared = read_yaml(file)
        stated = declared.pop("profile", None)
        selected = profile or stated
        if stated is None:
            raise missing("profile", f"Add profile: and one of {', '.join(PROFILES)} to params.yaml")
        if stated not in PROFILES or selected not in PROFILES:
            raise wrong("profile", f"unknown profile {shown(stated if stated not in PROFILES else selected)}", choose(str(selected), PROFILES))
        groups_of_file = {*GROUPS, "simulate"}
        unknown = sorted(str(name) for name in set(declared) - groups_of_file)
        if unknown:
            raise wrong(unknown[0], f"unknown group {unknown[0]} in params.yaml", choose(unknown[0], ["profile", *sorted(groups_of_file)], what="groups"))
        lacking = sorted(groups_of_file - set(declared))
        if lacking:
            raise ParamsError("parameters", f"missing group {lacking[0]} in params.yaml", "Restore it from git")
        values = older_names.with_today_names(resolve(declared, selected))
        if isinstance(values["retrain"], Mapping) and "margins" in values["retrain"]:
            fault = "retrain.margins in params.yaml is not read any more, the gate decides on intervals"
            raise wrong("retrain.margins", fault, "Replace it with the group retrain.gate")
        ranges.check({name: entry for name, entry in values.items() if name != "network"})
        groups: dict[str, Any] = {name: build(kind, values[name], name) for name, kind in GROUPS.items() if name != "network"}
        _check_further(groups)
        simulate = build(Simulate, values["simulate"], "simulate")
        overrides = values["network"]
        if not isinstance(overrides, Mapping):
            raise wrong("network", f"network is {shown(overrides)}, not a group of parameters", "Restore the group from git")
    groups["network"] = _network(file, network, overrides, selected)
    rois, radiomics = (read_yaml(root / "features" / f"{name}.yaml") for name in ("rois", "radiomics"))
    declared_models = {name: read_yaml(root / "models" / f"{name}.yaml") for name in FIT_DECLARED}
    from penumbra.pipeline import declarations  # with scipy: half a second for who only wants the dataclasses

    served_model = groups["register"]
    declares = declarations.Declared(
        rois,
        radiomics,
        groups["populate"].engine,
        declared_models,
        groups["network"].filters[-1],
        served_model.model,
        served_model.candidates if served_model.served == AUTO else (served_model.served,),
    )
    return Settings(
        profile=selected,
        chosen_profile=str(stated),
        simulate_seed=simulate.seed,
        rois=rois,
        radiomics=radiomics,
        models=declarations.check(root, declares),
        **{name: groups[name] for name in GROUPS},
    )


def require_shown() -> None:
    """Refuse files of the project that only the report and the benchmarks read, before a run that ends with the report.

    Raises
    ------
    ParamsError
        As load_settings.
    """
    from penumbra.pipeline import declarations

    declarations.check_shown(project_root(), {name: [field.name for field in fields(kind)] for name, kind in GROUPS.items()})


def _check_further(groups: Mapping[str, Any]) -> None:
    """What no type and no range says."""
    centers, ties, serve = groups["cohort"].train_centers, groups["train"].ties, groups["serve"]
    if not centers:
        raise wrong("cohort.train_centers", "cohort.train_centers is empty, so that no center trains", "Name at least one center")
    twice = next((name for i, name in enumerate(centers) if name in centers[:i]), None)
    if twice is not None:
        raise wrong("cohort.train_centers", f"cohort.train_centers names {twice!r} twice", "Name every center once")
    if ties not in TIES:
        raise wrong("train.ties", f"train.ties is {ties!r}", choose(ties, TIES, what="allowed"))
    for name in ("retrain_cron", "check_cron"):
        expression = getattr(serve, name)
        fields_given = expression.split()
        if len(fields_given) != len(CRON) or not all(_fits(field, low, high) for field, (low, high) in zip(fields_given, CRON, strict=True)):
            advice = 'Give minute, hour, day, month and weekday, such as "0 3 * * 0" for Sundays at 3'
            raise wrong(f"serve.{name}", f"serve.{name} is {shown(expression)}, not the five fields of cron", advice)


def _fits(field: str, low: int, high: int) -> bool:
    """Whether a field of cron is stars, names of days or months, and numbers in their range, with steps."""
    numbers = re.findall(r"\d+", re.sub(r"/\d+", "", field))
    return bool(re.fullmatch(r"(?:\*|\d|[A-Za-z]{3}\b)[\w*/,#-]*", field)) and all(low <= int(number) <= high for number in numbers)


def _network(file: Path, declared: Path, overrides: Mapping[str, Any], profile: str) -> Network:
    """The network as models/se_resnet.yaml declares it, with what params.yaml adds (`overrides`); errors name the file."""
    content = read_yaml(declared)
    with in_file(declared):
        strange = [str(name) for name in content if name != "network"]
        if strange or not isinstance(content.get("network"), Mapping):
            key = strange[0] if strange else "network"
            raise wrong(key, f"unknown group {key}" if strange else "no group network", "The file has one group, network")
        architecture = resolve(content["network"], profile, "network")
    try:
        ranges.check({"network": architecture | overrides})
        return build(Network, architecture | overrides, "network")
    except ParamsError as error:
        place = file if error.key.removeprefix("network.").partition("[")[0] in overrides else declared
        raise error.located(place) from None
