"""Experiments of `dvc exp run`, and every other git revision, resolved to the version that each registered, to be compared like any two versions.

dvc.lock of a revision holds the hash of the manifest that the stage register left. The manifest itself is kept under that hash in the state folder.
"""

import hashlib
import re
import subprocess
from pathlib import Path
from typing import Any

from penumbra import registry
from penumbra.base.params import project_root
from penumbra.base.refusal import Refusal
from penumbra.pipeline import manifests
from penumbra.pipeline.manifests import RegisterManifest
from penumbra.registry import RegisteredVersion

REGISTER = "register"
MANIFEST_NAME = "registered-{}"
REFERENCE = re.compile(r"refs/exps/[0-9a-f]{2}/[0-9a-f]{38}/([^/]+)")  # DVC's: the commit that an experiment began with, and its name


def keep(home: Path, manifest: RegisterManifest) -> RegisterManifest:
    """Write the manifest of the stage register, and keep it under its hash for revisions that name it later."""
    manifests.write(home, manifest)
    digest = hashlib.md5(manifests.file_of(home, REGISTER).read_bytes(), usedforsecurity=False).hexdigest()  # as dvc.lock has it
    return manifests.write(home, manifest, MANIFEST_NAME.format(digest))


def find(home: Path, which: str, model: str | None = None) -> RegisteredVersion:
    """The version that an alias or a number names, or the one that an experiment or another git revision of the project registered.

    Parameters
    ----------
    model
        Of a name without one, as in registry.find.

    Raises
    ------
    Refusal
        "model_registered" or "version_registered" as registry.find, and "experiment_registered" for a revision without a version here.
    """
    try:
        return registry.find(home, which, model)
    except Refusal as refusal:
        if refusal.rule != "version_registered" or (digest := _registered_by(home, which)) is None:
            raise
    advice = "only versions registered in this state folder can be compared: dvc exp run in the workspace, or penumbra run on that revision"
    if not manifests.file_of(home, MANIFEST_NAME.format(digest)).is_file():
        raise Refusal("experiment_registered", f"what the revision {which} registered is not in this state folder", advice)
    made = manifests.read(home, RegisterManifest, MANIFEST_NAME.format(digest))
    if made.version is None:
        raise Refusal("experiment_registered", f"the revision {which} registered nothing: {made.reason}", "penumbra report shows why")
    entry = registry.find(home, made.version, made.model)
    if entry.digest != made.digest:
        raise Refusal("experiment_registered", f"version {entry.version} is not the one that the revision {which} registered", advice)
    return entry


def names(home: Path) -> dict[tuple[str, int], list[str]]:
    """Model and version -> the experiments of the project that registered it, in the order of their names."""
    listed = (line.rsplit(" ", 1) for line in _git(home, "for-each-ref", "--format=%(refname) %(objectname)", "refs/exps").splitlines())
    by_version: dict[tuple[str, int], list[str]] = {}
    for ref, commit in listed:
        name = REFERENCE.fullmatch(ref)
        digest = _registered_at(home, commit) if name else None
        made = None if name is None or digest is None else manifests.earlier(home, RegisterManifest, MANIFEST_NAME.format(digest))
        if name and made is not None and made.model is not None and made.version is not None:
            by_version.setdefault((made.model, made.version), []).append(name[1])
    return {version: sorted(set(called)) for version, called in by_version.items()}


def _registered_by(home: Path, revision: str) -> str | None:
    """Hash of the manifest that the stage register left at a revision of the project; None where there is no such revision, or no dvc.lock in it."""
    commit = _commit(home, revision)
    return _registered_at(home, commit) if commit else None


def _registered_at(home: Path, commit: str) -> str | None:
    import yaml

    lock = _git(home, "show", f"{commit}:./dvc.lock")
    loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it is there
    outs = yaml.load(lock, loader).get("stages", {}).get(REGISTER, {}).get("outs", []) if lock else []
    return next((str(out["md5"]) for out in outs if out["path"].endswith(f"/{REGISTER}.json")), None)


def _commit(home: Path, revision: str) -> str:
    """The commit of a revision as git names it, or of the experiment of that name, which DVC keeps in refs/exps/<where it began>/<name>; "" for none.

    Raises
    ------
    Refusal
        "experiment_found" for several of one name.
    """
    revision_commit = _git(home, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{revision}^{{commit}}")
    named = (line.split(" ", 1) for line in _git(home, "for-each-ref", "--format=%(objectname) %(refname)", "refs/exps").splitlines())
    commits = [revision_commit] if revision_commit else sorted({commit for commit, ref in named if ref.split("/", 4)[-1] == revision})
    if len(commits) > 1:
        raise Refusal(
            "experiment_found", f"{len(commits)} experiments are called {revision}", f"name one by its commit: {', '.join(each[:12] for each in commits)}"
        )
    return commits[0] if commits else ""


def _git(home: Path, *arguments: str) -> str:
    """What git says in the project's folder; "" when it fails."""
    done = subprocess.run(["git", *arguments], cwd=project_root(home), capture_output=True, text=True, check=False)
    return done.stdout.strip() if done.returncode == 0 else ""
