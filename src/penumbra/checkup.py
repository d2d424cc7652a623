"""`penumbra doctor`: is everything installed, reachable and consistent?"""

import importlib.metadata
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from penumbra.params import ParamsError, project_root
from penumbra.refusal import Refusal

LEAST_FREE_GB = 5.0  # a cohort of 300 patients keeps about this much in images and features
ENGINES = ("SimpleITK", "pydicom", "pyradiomics", "numba", "jax", "flax", "duckdb", "duckdb-extension-ducklake", "mlflow", "prefect", "dvc")


@dataclass(frozen=True)
class Finding:
    """One thing looked at: whether it is as it should be, and what was found."""

    what: str
    ok: bool
    found: str


def examine(home: Path) -> list[Finding]:
    """Look at everything that a run needs; changes nothing."""
    return [*_packages(), *_parameters(), *_space(home), *_store(home), *_registry(home), *_retrainings(home)]


def _packages() -> Iterator[Finding]:
    pinned = dict(line.split(" ")[0].split("==") for line in (project_root() / "requirements.lock").read_text().splitlines() if "==" in line and line[0] != " ")
    for name in ENGINES:
        try:
            found = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            yield Finding(name, False, "not installed; run make setup")
            continue
        wanted = pinned.get(name.lower(), found)
        yield Finding(name, found == wanted, found if found == wanted else f"{found}, but requirements.lock pins {wanted}; run make setup")


def _parameters() -> Iterator[Finding]:
    from penumbra.params import PROFILES, read_yaml
    from penumbra.settings import load_settings

    root, unreadable = project_root(), []
    for path in sorted([*root.glob("*.yaml"), *root.glob("features/*.yaml"), *root.glob("models/*.yaml")]):
        try:
            read_yaml(path)
        except ParamsError as error:
            unreadable.append(Finding(path.relative_to(root).as_posix(), False, str(error)))
    if unreadable:
        yield from unreadable
        return
    for profile in PROFILES:
        try:
            load_settings(profile)
            yield Finding(f"params.yaml, profile {profile}", True, "every parameter known and of its type")
        except (ParamsError, ValueError) as error:
            yield Finding(f"params.yaml, profile {profile}", False, str(error))


def _space(home: Path) -> Iterator[Finding]:
    existing = next(path for path in (home, *home.parents) if path.exists())
    free = shutil.disk_usage(existing).free / 1e9
    yield Finding("disk", free > LEAST_FREE_GB, f"{free:.0f} GB free for state")


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


def _registry(home: Path) -> Iterator[Finding]:
    from penumbra import registry

    try:
        champion = registry.find(home)
        registry.verify(champion.folder, champion.digest)
        others = [name for name in registry.models(home) if name != champion.model]
        beside = f"; params.yaml does not name {', '.join(others)}, which is registered too" if others else ""
        yield Finding("registry", True, f"champion is {champion.model}/{champion.version}, files as registered{beside}")
    except ParamsError as error:
        yield Finding("registry", False, str(error))
    except Refusal as refusal:
        yield Finding("registry", refusal.rule == "model_registered", str(refusal))


def _retrainings(home: Path) -> Iterator[Finding]:
    from penumbra import retraining

    for center, reason in retraining.set_aside(home).items():
        yield Finding(f"retraining of {center}", False, reason)
