"""What models/ and features/ declare, checked as a whole: each file by itself, and the names of one that another has to have.

`check` is for what a run reads (load_settings); `check_shown` for what the report and the benchmark of the network read.
"""

import csv
import io
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from penumbra import cohort, fusion, radiomics
from penumbra.base.blocks import CLINICAL, DEEP, deep_names, rois_of
from penumbra.base.clinical_columns import Columns
from penumbra.base.project import part_of
from penumbra.base.refusal import choose, nearest
from penumbra.base.yaml_files import ParamsError, in_file, read_yaml, shown, wrong
from penumbra.pipeline.covariates import check_covariates, with_levels

RULE = "model_declared"
BY_NAME = ("Volume", "Clinical", "DL")  # what a useful model has to beat, and the deep signature of the report
SURELY = 0.75  # share of letters
CLINICAL_FEATURES = ("age", "overall_stage")
PAPER = ("source", "metrics", "delong_p_test", "ablation_without_se", "kept_features", "cutoff", "median_survival_days")
PAPER_METRICS = ("harrell_c", "auc_1y", "auc_2y", "auc_3y", "hazard_ratio")
CHECKLIST = ("item", "question", "answer", "evidence")
CATALOGUE = ("feature", "family", "image", "name", "ibsi", "unit", "meaning")


@dataclass(frozen=True)
class Declared:
    """What a run reads.

    That is features/rois.yaml, features/radiomics.yaml with the engine that follows it, the models by file, how many deep features there are, and of
    the group register the name in the registry and the models of which one is served; and the columns of features/clinical.yaml.
    """

    rois: Mapping[str, Any]
    radiomics: Mapping[str, Any]
    engine: str
    models: Mapping[str, Mapping[str, Any]]
    deep: int
    name: str
    served: tuple[str, ...]
    clinical: Columns = field(default_factory=dict)


def check(root: Path, declared: Declared) -> dict[str, dict[str, Any]]:
    """Return the models by file, with the rings of features/rois.yaml (see fusion.rings).

    Refuse what no feature can be computed from, and a model that names a block or column that does not exist.

    Parameters
    ----------
    root
        The project's folder, for the lines of what is wrong.

    Raises
    ------
    ParamsError
        "features_declared", "roi_rules", "gtv_pattern", "model_declared", "known_at_prediction", "parameters".
    """
    with in_file(root / "features" / "rois.yaml"):
        rules = cohort.roi_rules(declared.rois)
    with in_file(root / "features" / "radiomics.yaml"):
        names = radiomics.feature_names(declared.radiomics, engine=declared.engine)
    raw_names = [str(name) for content in declared.models.values() for name in content]
    for name in BY_NAME:  # without them a run is possible, and less is compared; a name that is nearly theirs is a typing error
        near = nearest(name, raw_names, alike=SURELY) if name not in raw_names else ""
        file = next((file for file, content in declared.models.items() if near in content), "")
        if near:
            with in_file(root / "models" / f"{file}.yaml"):
                raise wrong(near, f"the model {near!r} has nearly the name {name}, by which the evaluation knows it", f"Call it {name}", RULE)
    fusion.declarations(declared.models, root / "models", filled=False)  # as they are written, for the lines of what is wrong
    filled = fusion.all_for_margins(declared.models, rules.margins_mm)
    models = fusion.declarations(filled, root / "models")
    rois = dict.fromkeys(rois_of(rules.margins_mm), names)
    blocks: dict[str, Collection[str]] = {**rois, DEEP: deep_names(declared.deep), CLINICAL: (*CLINICAL_FEATURES, *declared.clinical)}
    for file, content in declared.models.items():
        for written, entry in content.items():
            with in_file(root / "models" / f"{file}.yaml"), _as_written(str(written)):
                check_covariates(str(written), entry, declared.clinical)
                fusion.check_columns({name: models[name] for name in fusion.for_margins(str(written), entry, rules.margins_mm)}, blocks)
    with in_file(root / "params.yaml"):
        served, name = declared.served, declared.name
        unknown = next((each for each in served if each not in models), None)
        if unknown is not None:
            key = "register.served" if len(served) == 1 else "register.candidates"
            raise wrong(key, f"{key} {'is' if len(served) == 1 else 'names'} {unknown!r}, which no file of models/ declares", choose(unknown, models))
        declaring_file = next((file for file, content in filled.items() if name in content), None)
        if declaring_file is not None:
            fault = (
                f"register.model is {name!r}, which is also a fitted model of models/{declaring_file}.yaml: their rows in model_metrics could not be told apart"
            )
            raise wrong("register.model", fault, "Choose another name")
    return with_levels(filled, declared.clinical)


@contextmanager
def _as_written(name: str) -> Iterator[None]:
    """An error in a model that stands for one entry of a file names the line of that entry."""
    try:
        yield
    except ParamsError as error:
        suffix = re.search(r"\.(?:blocks|columns|log|impute|leave_out|residual|penalties)\b.*", error.key)
        error.key = name + (suffix[0] if suffix else "")
        raise


def check_shown(root: Path, parameters: Mapping[str, Collection[str]]) -> None:
    """Refuse what the report cannot show: models/paper.yaml and models/checklist.yaml; and models/chai.yaml, models/learning.yaml, features/catalogue.csv.

    Parameters
    ----------
    parameters
        The groups of params.yaml with their names, which learning.yaml changes.

    Raises
    ------
    ParamsError
        "model_declared", "features_declared".
    """
    for file, look in (("paper", _paper), ("checklist", _checklist), ("chai", _chai), ("learning", lambda content: _learning(content, parameters))):
        path = root / "models" / f"{file}.yaml"
        with in_file(path):
            look(read_yaml(path))
    _catalogue(part_of(root / "features", "catalogue.csv"))


def _paper(content: Mapping[str, Any]) -> None:
    _check_keys(content, PAPER, "")
    for group in ("metrics", "ablation_without_se"):
        if not isinstance(content.get(group), Mapping):
            raise wrong(group, f"{group} is {shown(content.get(group))}, not a mapping of names to values", "Restore it from git", RULE)
    for model, metrics in {**content["metrics"], "": content["ablation_without_se"]}.items():
        key = f"metrics.{model}" if model else "ablation_without_se"
        _check_keys(metrics, PAPER_METRICS, key)
        for metric, splits in metrics.items():
            _check_keys(splits, ("train", "test"), f"{key}.{metric}")
            for split, numbers in splits.items():
                fits = isinstance(numbers, list) and len(numbers) in (1, 3) and all(isinstance(n, int | float) and not isinstance(n, bool) for n in numbers)
                if not fits:
                    where = f"{key}.{metric}.{split}"
                    raise wrong(where, f"{where} is {shown(numbers)}", "Give [value] or [value, lower, upper]", RULE)


def _chai(content: Mapping[str, Any]) -> None:
    _check_keys(content, ("namespace", "fields"), "")
    for path, answer in content["fields"].items():
        if not (answer is None or isinstance(answer, str)):
            raise wrong(f"fields.{path}", f"fields.{path} is {shown(answer)}, not a text", "Write the answer in quotes, or null where it is not known", RULE)


def _checklist(content: Mapping[str, Any]) -> None:
    for guideline, items in content.items():
        if not isinstance(items, list):
            raise wrong(str(guideline), f"{guideline} is {shown(items)}, not a list of items", "Write one item per line: - {item: ..., question: ...}", RULE)
        for i, item in enumerate(items):
            key = f"{guideline}[{i}]"
            _check_keys(item, CHECKLIST, key)
            lacking = [name for name in ("item", "question") if not isinstance(item.get(name), str)]
            if lacking:
                raise wrong(key, f"item {i + 1} of {guideline} has no {lacking[0]}", f"Add {lacking[0]}: and a text", RULE)
            if not isinstance(item.get("answer"), str | None):
                raise wrong(f"{key}.answer", f"answer of item {i + 1} of {guideline} is {shown(item['answer'])}", "Give a text, or null", RULE)


def _learning(content: Mapping[str, Any], parameters: Mapping[str, Collection[str]]) -> None:
    _check_keys(content, ("from", "rows"), "")
    rows = content.get("rows")
    if not isinstance(rows, Mapping) or not all(isinstance(changes, Mapping) for changes in rows.values()):
        raise wrong("rows", "rows is not a mapping of names to changed parameters", "Write name: {group.parameter: value}", RULE)
    every = [f"{group}.{name}" for group, names in parameters.items() for name in names]
    for name, changes in rows.items():
        unknown = [str(each) for each in changes if each not in every]
        if unknown:
            raise wrong(f"rows.{name}.{unknown[0]}", f"the row {name!r} changes {unknown[0]}, which is not a parameter", choose(unknown[0], every), RULE)


def _check_keys(content: Any, keys: Collection[str], where: str) -> None:
    if not isinstance(content, Mapping):
        raise wrong(where, f"{where} is {shown(content)}, not a mapping of names to values", "Restore it from git", RULE)
    unknown = [str(name) for name in content if name not in keys]
    if unknown:
        key = f"{where}.{unknown[0]}" if where else unknown[0]
        raise wrong(key, f"unknown key {key}", choose(unknown[0], keys), RULE)


def _catalogue(path: Path) -> None:
    advice = "Write it again: python -m penumbra.radiomics.catalogue"
    try:
        text = path.read_bytes().decode("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        fault = "there is no features/catalogue.csv" if isinstance(error, FileNotFoundError) else "features/catalogue.csv cannot be read as UTF-8 text"
        raise ParamsError("features_declared", fault, advice) from None
    header, *rows = csv.reader(io.StringIO(text))
    if tuple(header) != CATALOGUE or any(len(row) != len(CATALOGUE) for row in rows):
        line = 1 if tuple(header) != CATALOGUE else next(i for i, row in enumerate(rows, 2) if len(row) != len(CATALOGUE))
        raise ParamsError("features_declared", f"features/catalogue.csv, line {line}: not the columns {', '.join(CATALOGUE)}", advice)
