"""All numbers of a run: params.yaml, features/ and models/ for one profile, each group as the frozen dataclass of the package that uses it."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

from penumbra.base import ranges
from penumbra.base.clinical_columns import Columns
from penumbra.base.params import PROFILES, ParamsError, build, missing, project_root, read_yaml, resolve
from penumbra.base.refusal import choose
from penumbra.base.yaml_files import in_file, shown, wrong
from penumbra.cohort.intended_use import IntendedUse, read_intended_use
from penumbra.cohort.own_columns import own_columns
from penumbra.evaluate import Evaluating
from penumbra.fusion import Applying, Fitting
from penumbra.network import Augment, EnsembleSettings, Network, Pretrain, Train
from penumbra.pipeline.groups import (
    AUTO,
    Ablation,
    Audit,
    Cohort,
    CrossFitting,
    Drift,
    Explain,
    Ingest,
    Monitor,
    Populate,
    Register,
    Report,
    Retrain,
    Serve,
    Simulate,
    Stability,
)  # fmt: skip
from penumbra.pipeline.servers import Console, ServeModel, ServeSql
from penumbra.registry import older_names


@dataclass(frozen=True)
class Settings:
    """Everything, for one profile.

    `rois`, `radiomics` and the model declarations keep the form of their YAML files, these with every ring and one column per level of a category.
    """

    profile: str
    chosen_profile: str
    cohort: Cohort
    simulate_seed: int
    ingest: Ingest
    populate: Populate
    stability: Stability
    network: Network
    augment: Augment
    train: Train
    pretrain: Pretrain
    ensemble: EnsembleSettings
    ablation: Ablation
    fuse: Fitting
    crossfit: CrossFitting
    applicability: Applying
    evaluate: Evaluating
    register: Register
    retrain: Retrain
    serve: Serve
    serve_sql: ServeSql
    serve_model: ServeModel
    console: Console
    monitor: Monitor
    drift: Drift
    audit: Audit
    explain: Explain
    report: Report
    rois: Mapping[str, Any]
    radiomics: Mapping[str, Any]
    models: Mapping[str, Mapping[str, Any]]
    intended_use: IntendedUse
    clinical_columns: Columns


GROUPS = {
    "cohort": Cohort, "ingest": Ingest, "populate": Populate, "stability": Stability, "network": Network, "augment": Augment, "train": Train,
    "pretrain": Pretrain, "ensemble": EnsembleSettings, "ablation": Ablation,
    "fuse": Fitting, "crossfit": CrossFitting, "applicability": Applying, "evaluate": Evaluating, "register": Register,
    "retrain": Retrain, "serve": Serve, "serve_sql": ServeSql, "serve_model": ServeModel, "console": Console,
    "monitor": Monitor, "drift": Drift, "audit": Audit, "explain": Explain,
    "report": Report,
}  # fmt: skip


TIES = ("efron", "breslow")
CRON = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 7))  # the range of each field
FIT_DECLARED = ("signatures", "combined", "controls", "late")


def load_settings(profile: str | None = None, home: Path | None = None) -> Settings:
    """Settings of `profile`, by default the one that params.yaml names; what models/ and features/ declare is checked against each other.

    Parameters
    ----------
    home
        The state folder, whose project is read; None: PENUMBRA_HOME, or the project here.

    Raises
    ------
    ParamsError
        With file, line, key and value of a parameter or declaration that is unknown, missing, ill-typed or out of its range.
    """
    root = project_root(home)
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
            raise ParamsError("parameters", f"missing group {lacking[0]} in params.yaml", "Restore it from git; of a newer penumbra, penumbra init --update")
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

    served_model, further = groups["register"], own_columns(root / "features")
    declares = declarations.Declared(
        rois,
        radiomics,
        groups["populate"].engine,
        declared_models,
        groups["network"].filters[-1],
        served_model.model,
        served_model.candidates if served_model.served == AUTO else (served_model.served,),
        further,
    )
    return Settings(
        profile=selected,
        chosen_profile=str(stated),
        simulate_seed=simulate.seed,
        rois=rois,
        radiomics=radiomics,
        models=declarations.check(root, declares),
        intended_use=read_intended_use(root / "models"),
        clinical_columns=further,
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
    stable, measured = groups["fuse"].stability, tuple(groups["stability"].levels)
    for name in () if stable is None else stable.under:
        if name not in measured:
            raise wrong("fuse.stability.under", f"fuse.stability.under names {name!r}, which the group stability does not measure", choose(name, measured))
    if stable is not None and not stable.under:
        raise wrong("fuse.stability.under", "fuse.stability.under names no perturbation", f"Name some of {', '.join(measured)}, or set fuse.stability: null")
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
