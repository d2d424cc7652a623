"""`penumbra doctor`: checks that everything is installed, reachable and consistent."""

import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.base import project, resources
from penumbra.base.chained_log import ADVICE, OF_ACCESS, ChainedLog
from penumbra.base.params import ParamsError, project_root, state_home
from penumbra.base.refusal import Refusal
from penumbra.commands import packages

if TYPE_CHECKING:
    from penumbra.pipeline.settings import Settings

DECLARATIONS = (
    "params.yaml", "features/rois.yaml", "features/radiomics.yaml", "models/signatures.yaml", "models/combined.yaml", "models/controls.yaml",
    "models/late.yaml", "models/se_resnet.yaml", "models/paper.yaml", "models/checklist.yaml", "models/learning.yaml",
)  # fmt: skip
MIN_FREE_GB = 5.0  # a cohort of 300 patients keeps about this much in images and features


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is as it should be, and what was found; `waits`: nothing is broken, a stage has to be run again."""

    what: str
    ok: bool
    found: str
    waits: bool = False


def examine(home: Path | None = None, *parts: str) -> list[Finding]:
    """Look at everything that a run needs; changes nothing.

    Parameters
    ----------
    home
        The state folder; None: that of PENUMBRA_HOME. A project or a state folder that there is not is a finding.
    parts
        Of PARTS, to look at these alone.
    """
    try:
        project_root()
        home = home or state_home()
    except ParamsError as error:
        return [Finding("project" if error.rule == "project_folder" else "state folder", False, str(error))]
    return [finding for what in parts or PARTS for finding in _looked(what, home)]


def _looked(what: str, home: Path) -> list[Finding]:
    """What one part found; where the machine gives no more (a disk, a file, memory), that is what was found."""
    try:
        return list(PARTS[what](home))
    except ParamsError:  # has a line of its own
        return []
    except Exception as error:
        refusal = resources.refusal_of(error, home)
        if refusal is None:
            raise
        return [Finding(what, False, str(refusal))]


def _packages(home: Path) -> Iterator[Finding]:
    yield from (Finding(*looked) for looked in packages.installed())


def _project(home: Path) -> Iterator[Finding]:
    """Whether the project was made from the defaults of this penumbra; one of a checkout has none."""
    from penumbra.commands import init

    root = project_root()
    if not project.is_made(root):
        return
    try:
        changed = [change.path for change in init.compare(root).changes if change.shown]
        before = init.made_from(root).version
    except Refusal as refusal:
        yield Finding("project", False, str(refusal))
        return
    if changed:
        sentence = f"made from the defaults of penumbra {before}, which changed in {', '.join(changed)}; penumbra init --update shows how"
        yield Finding("project", False, sentence, waits=True)
    else:
        yield Finding("project", True, f"made from the defaults of this penumbra ({before})")


def _parameters(home: Path) -> Iterator[Finding]:
    from penumbra.base.clinical_columns import FILE, read_columns
    from penumbra.base.params import PROFILES, read_yaml
    from penumbra.pipeline.settings import load_settings, require_shown

    root, unreadable = project_root(), []
    paths = {root / name for name in DECLARATIONS}
    for path in sorted(paths.union(root.glob("*.yaml"), root.glob("features/*.yaml"), root.glob("models/*.yaml"))):
        try:
            read_columns(path.parent) if path.name == FILE else read_yaml(path)  # the first may hold comments alone
        except ParamsError as error:
            unreadable.append(Finding(path.relative_to(root).as_posix(), False, str(error)))
    if unreadable:
        yield from unreadable
        return
    errors: dict[str, list[str]] = {}  # what is wrong -> in which profiles
    for profile in PROFILES:
        try:
            load_settings(profile)
            yield Finding(f"params.yaml, profile {profile}", True, "every parameter known, of its type and in its range")
        except ParamsError as error:
            errors.setdefault(str(error), []).append(profile)
    for sentence, profiles in errors.items():
        yield Finding(f"settings, profile {', '.join(profiles)}", False, sentence)
    try:
        require_shown()
        yield Finding("report and benchmarks", True, "models/paper.yaml, checklist.yaml, learning.yaml and features/catalogue.csv can be read")
    except ParamsError as error:
        yield Finding("report and benchmarks", False, str(error))


def _training(home: Path) -> Iterator[Finding]:
    """Whether the centers that train have arrived."""
    from penumbra.pipeline import arrivals
    from penumbra.pipeline.settings import load_settings

    centers = load_settings().cohort.train_centers
    try:
        lacking = arrivals.require_training(home, centers)
        if lacking:
            yield Finding("training centers", True, lacking)
    except ParamsError as error:
        yield Finding("training centers", False, str(error))


def _space(home: Path) -> Iterator[Finding]:
    existing = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    if home.is_dir() and (reason := resources.unwritable(home)):
        yield Finding("state folder", False, f"it cannot be written{reason}; make it writable for this user, or set PENUMBRA_HOME to a folder that is")
    yield Finding("disk", free > MIN_FREE_GB, f"{free:.0f} GB free for state")


def _store(home: Path) -> Iterator[Finding]:
    from penumbra import store

    if not (home / "store").exists():
        yield Finding("store", True, "none yet; penumbra run fills it")
        return
    try:
        with store.connect(home, read_only=True) as lake:
            problems = store.check(lake)
            if store.unfinished(lake):
                problems.append("a forgotten patient may still be in files; run penumbra forget again")
            files = f"; files at {lake.lake.files}" if lake.lake.files else ""
    except Refusal as refusal:
        yield Finding("store", False, str(refusal))
        return
    for problem in problems:
        yield Finding("store", False, problem)
    if not problems:
        yield Finding("store", True, f"every key unique, every row has its commit{files}")


def _persons(home: Path) -> Iterator[Finding]:
    """Whether every person is one patient, under one kind of name, and whether live metrics rest on patients scored before their outcome."""
    from penumbra import store
    from penumbra.pipeline import persons, prospective, pseudonyms
    from penumbra.pipeline.settings import load_settings

    if not (home / "store").exists():
        return
    try:
        with store.connect(home, read_only=True) as lake:
            yield Finding("names of patients", *pseudonyms.examined(home, lake))
            doubled = persons.doubled(lake)
            if doubled:
                yield Finding("doubled patients", False, doubled)
            model = load_settings().register.model
            for version, center in prospective.unfounded(lake, model):
                problem = f"the live metrics of {model}/{version} at {center} were not measured on patients scored before their outcome was known"
                yield Finding("live metrics", False, f"{problem}; run penumbra monitor, which measures them again or takes them back")
            for remark in persons.waiting(lake):
                yield Finding("patients", True, remark)
    except ParamsError:
        return  # reported above
    except Refusal as refusal:
        yield Finding("patients", False, str(refusal))


def _live(home: Path) -> Iterator[Finding]:
    """Whether the deaths of live patients come as the champion expected, when penumbra monitor last looked; nothing is broken where they do not."""
    from penumbra.base.params import model_name
    from penumbra.pipeline import live

    try:
        for signal in live.signals(home, model_name(home)):
            yield Finding("live patients", False, str(signal), waits=True)
    except (ParamsError, Refusal):
        return  # the registry has its own line


def _registry(home: Path) -> Iterator[Finding]:
    from penumbra import registry

    try:
        shelf, changed = registry.shelf(home), registry.outside(home)
    except ParamsError as error:
        yield Finding("registry", False, str(error))
        return
    for sentence in changed.sentences:
        yield Finding("registry", False, sentence)
    for entry in shelf.foreign:
        yield Finding("registry", True, f"{entry.model}/{entry.version} was made in MLflow and not registered by penumbra, which leaves it alone")
    for version, tags in shelf.altered.items():
        advice = "penumbra goes by its files, and its next penumbra register or promote writes the tags again"
        yield Finding("registry", True, f"{shelf.model}/{version}: {', '.join(tags)} changed in MLflow; {advice}")
    try:
        champion = registry.find(home)
        registry.verify(champion.folder, champion.digest)
        others = [name for name in registry.models(home) if name != champion.model]
        remark = f"; params.yaml does not name {', '.join(others)}, which is registered too" if others else ""
        yield Finding("registry", True, f"champion is {champion.model}/{champion.version}, files as registered{remark}")
    except Refusal as refusal:
        if refusal.rule not in changed.rules:
            yield Finding("registry", refusal.rule == "model_registered", str(refusal))


def _versions(home: Path) -> Iterator[Finding]:
    """What was stored of registered versions under names or at days that do not hold, and versions that only MLflow has."""
    from penumbra import registry, store
    from penumbra.pipeline import recording, stored_predictions
    from penumbra.survival.horizons import horizon_name, horizon_words

    if not (home / "store").exists():
        return
    try:
        models = registry.models(home)
        with store.connect(home, read_only=True) as lake:
            problems = {model: (stored_predictions.misnamed(lake, home, model), stored_predictions.unfounded(lake, home, model)) for model in models}
        lacking = {model: recording.unrecorded(home, model) for model in models}
    except Refusal:  # the store or the registry has its own line
        return
    for model, (misnamed, unfounded) in problems.items():
        for version, days in misnamed.items():
            columns = ", ".join(f"survival_{place} is {horizon_words(day)}" for place, day in zip(stored_predictions.positions(days), days, strict=True))
            metrics = ", ".join(f"auc_{place} is auc_{horizon_name(day)}" for place, day in zip(stored_predictions.positions(days), days, strict=True))
            advice = "penumbra predict and compare read it by its days; penumbra run registers a version that is named by them"
            yield Finding(f"{model}/{version}", False, f"its columns and metrics are named by their position: {columns}; {metrics}. {advice}")
        for version, (followed, days) in unfounded.items():
            listed = ", ".join(f"{day:g}" for day in days)
            what = f"it gave survival at day {listed}, though its training patients were followed to day {followed:g}"
            advice = "do not use these values of predictions and model_metrics; penumbra run registers a version without them"
            yield Finding(f"{model}/{version}", False, f"{what}: {advice}")
    for model, versions in lacking.items():
        for version in versions:
            begun = recording.is_begun(home)
            other = "run penumbra register with the parameters of its run in MLflow, or delete the version there"
            advice = "its registration was interrupted; penumbra register completes it" if begun else other
            yield Finding(f"{model}/{version}", False, f"MLflow has this version, the store has nothing of it: {advice}")


def _stages(home: Path) -> Iterator[Finding]:
    """Whether every stage was made from what is there now, as far as they have run."""
    from penumbra.commands.verify import contradicted
    from penumbra.pipeline import manifests
    from penumbra.pipeline.dataset import read_dataset
    from penumbra.pipeline.evaluate import current_evaluate
    from penumbra.pipeline.fuse import current_fuse
    from penumbra.pipeline.manifests import PopulateManifest
    from penumbra.pipeline.origins import accepted_images, current, of_populate
    from penumbra.pipeline.register import current_register
    from penumbra.pipeline.stages import BY_NAME
    from penumbra.pipeline.workspace import Work

    ran = {stage for stage in BY_NAME if manifests.file_of(home, stage).is_file()}
    if "ingest" not in ran:
        return
    work = Work(home, _settings_of(home), "doctor")
    try:
        images = accepted_images(work)
        if "populate" in ran:
            current(work, PopulateManifest, of_populate(work, images))
        if {"populate", "train"} <= ran:
            data = read_dataset(work)
            fused = current_fuse(work, data) if "fuse" in ran else None
            evaluated = current_evaluate(work, data, fused) if fused and "evaluate" in ran else None
            if evaluated and "register" in ran:
                current_register(work, evaluated)
        yield Finding("stages", True, "what has run was made from what is there now")
    except Refusal as refusal:
        yield Finding("stages", False, str(refusal), waits=True)
    for label, reason in contradicted(home):
        yield Finding(label, False, reason)


def _settings_of(home: Path) -> "Settings":
    """Today's settings, of the profile and with the training centers that the network here was trained with."""
    from dataclasses import replace

    from penumbra.pipeline import manifests
    from penumbra.pipeline.manifests import TrainManifest
    from penumbra.pipeline.settings import load_settings

    trained = manifests.earlier(home, TrainManifest)
    made_from = trained.made_from if trained else None
    settings = load_settings(made_from.profile if made_from else None)
    if made_from and any((home / manifests.FOLDER).glob("retrain-*.json")):  # a retraining leaves its own training centers
        settings = replace(settings, cohort=replace(settings.cohort, train_centers=tuple(made_from.numbers["cohort.train_centers"])))
    return settings


def _sample_size(home: Path) -> Iterator[Finding]:
    """What the training patients here can carry, before and after a fit."""
    from penumbra.pipeline import manifests
    from penumbra.pipeline.manifests import EvaluateManifest
    from penumbra.pipeline.sample_size import demands_of, sample_of
    from penumbra.report.sample_size import sample_statement

    if not (home / "store").exists():
        return
    settings = _settings_of(home)
    try:
        sample = sample_of(home, settings)
    except Refusal:  # the store has its own line
        return
    if sample.patients:
        evaluated = manifests.earlier(home, EvaluateManifest)
        served = evaluated.choice.served if evaluated and evaluated.choice else settings.register.served
        yield Finding("sample size", True, sample_statement(sample, demands_of(home, settings, sample), served, settings.evaluate.sample_size_c))


def _access(home: Path) -> Iterator[Finding]:
    """Whether the log of who saw which patient in the console is as it was written."""
    log = ChainedLog(home / OF_ACCESS)
    if log.path.parent.is_dir():
        checked = log.check()
        good = f"{checked.entries} entries, none changed, removed or moved"
        yield Finding("log of access", not checked.fault, f"{checked.fault}; {ADVICE}" if checked.fault else good)


def _retrainings(home: Path) -> Iterator[Finding]:
    from penumbra.pipeline.decisions import proposals, set_aside

    for center, reason in set_aside(home).items():
        yield Finding(f"retraining of {center}", False, reason)
    for decided in proposals(home):
        yield Finding(f"retraining of {decided.center}", True, decided.reason)


PARTS: dict[str, Callable[[Path], Iterator[Finding]]] = {
    "packages": _packages,
    "project": _project,
    "parameters": _parameters,
    "space": _space,
    "training centers": _training,
    "store": _store,
    "sample size": _sample_size,
    "persons": _persons,
    "registry": _registry,
    "versions": _versions,
    "stages": _stages,
    "retrainings": _retrainings,
    "log of access": _access,
    "live patients": _live,
}
