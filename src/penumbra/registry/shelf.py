"""What MLflow has under one registered model, told apart into versions that penumbra registered and others.

MLflow's pages let everyone rename, delete, copy and retag. So a version's facts come from its files, whose digest was recorded, and its tags are
only what MLflow shows; a version that penumbra did not register is listed as such and left alone.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from penumbra.base.params import model_name
from penumbra.base.refusal import Refusal
from penumbra.registry import noted, remote
from penumbra.registry.bundle import Lineage, read_lineage, read_manifest
from penumbra.registry.database import experiment_root, query
from penumbra.registry.remembered import remembered

BUNDLE_PATH = Path("artifacts") / "artifacts" / "bundle"  # MLflow's folder of a logged model, and in it the artifact named "bundle"
LOGGED_MODEL = re.compile(r"(?<![\w-])m-[0-9a-f]{32}(?![\w-])")  # MLflow's name of a logged model
TAGS = ("digest", "model_id", "train_centers", "store_commit", "store_digest", "code_commit")


@dataclass(frozen=True)
class RegisteredVersion:
    """One version that penumbra registered.

    Parameters
    ----------
    model, version
        Name and number.
    aliases
        Such as ("champion",); empty when none points here.
    digest
        SHA-256 of all that scores a patient, see `bundle.write_bundle`.
    run_id, model_id
        MLflow's names of the run and of the logged model.
    created_at
        UTC.
    train_centers, store_commit, store_digest, code_commit
        Lineage, see `bundle.Lineage`.
    folder
        The bundle's files.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    digest: str
    run_id: str
    model_id: str
    created_at: datetime
    train_centers: tuple[str, ...]
    store_commit: int
    store_digest: str
    code_commit: str
    folder: Path

    @property
    def label(self) -> str:
        """How people are shown it: "nsclc-os/2 (champion)"."""
        return f"{self.model}/{self.version}" + (f" ({', '.join(self.aliases)})" if self.aliases else "")

    @property
    def tags(self) -> dict[str, str]:
        """What MLflow shows of it."""
        return {
            "digest": self.digest,
            "model_id": self.model_id,
            "train_centers": json.dumps(list(self.train_centers)),
            "store_commit": str(self.store_commit),
            "store_digest": self.store_digest,
            "code_commit": self.code_commit,
        }


@dataclass(frozen=True)
class ForeignVersion:
    """A version that somebody made in MLflow: with Register model, mlflow.register_model, or a copy of another one.

    Parameters
    ----------
    model, version
        Name and number.
    aliases
        Such as ("champion",); empty when none points here.
    created_at
        UTC.
    """

    model: str
    version: int
    aliases: tuple[str, ...]
    created_at: datetime


@dataclass(frozen=True)
class Shelf:
    """Everything that MLflow has under one registered model.

    Parameters
    ----------
    model
        Name of the registered model.
    versions
        Registered by penumbra, oldest first.
    foreign
        By others.
    deleted
        Numbers of penumbra's versions that MLflow still knows as deleted (a server keeps them to itself).
    aliases
        Alias -> number.
    altered
        Number -> tags of penumbra that were changed or removed in MLflow.
    newest
        The highest number that was given; 0 before the first.
    created_at
        Of the registered model, UTC; None: MLflow has none of this name.
    """

    model: str
    versions: tuple[RegisteredVersion, ...] = ()
    foreign: tuple[ForeignVersion, ...] = ()
    deleted: tuple[int, ...] = ()
    aliases: Mapping[str, int] = field(default_factory=dict)
    altered: Mapping[int, tuple[str, ...]] = field(default_factory=dict)
    newest: int = 0
    created_at: datetime | None = None

    @property
    def state(self) -> str:
        """All that somebody can change outside, as text that is compared."""
        ours = [[entry.version, entry.digest, list(entry.aliases)] for entry in self.versions]
        others = [[entry.version, list(entry.aliases)] for entry in self.foreign]
        since = None if self.created_at is None else self.created_at.isoformat()
        return json.dumps({"versions": ours, "foreign": others, "deleted": list(self.deleted), "since": since}, sort_keys=True)


def shelf(home: Path, model: str | None = None) -> Shelf:
    """Read what MLflow has under a registered model, from its database in the home or from the server.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    model
        None: the one that params.yaml names (register.model).

    Returns
    -------
    Shelf
        Without a version where MLflow has no model of this name.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import shelf
    >>> found = shelf(Path("home"))
    >>> [entry.version for entry in found.versions], dict(found.aliases), found.foreign
    ([1], {'champion': 1}, ())
    """
    model, address = model or model_name(home), remote.server()
    if address:
        created_ms, rows = remote.registered_model(address, model), remote.versions(address, model)
    else:
        models = query(home, "registered_model.sql", {"model": model})
        created_ms, rows = (int(models[0]["created_ms"]) if models else None), [dict(row) for row in query(home, "versions.sql", {"model": model})]
    if created_ms is None:
        return Shelf(model)
    memory = Memory(home, model, _at(created_ms))
    versions: list[RegisteredVersion] = []
    foreign: list[ForeignVersion] = []
    altered: dict[int, tuple[str, ...]] = {}
    live = [row for row in rows if not row["deleted"]]
    for row in live:
        tags = {name: str(value) for name, value in json.loads(row["tags"]).items() if name in TAGS}
        entry = _registered(home, model, row, tags, memory)
        if entry is None or entry.digest in {other.digest for other in versions}:  # penumbra never registers one digest twice: a copy
            foreign.append(ForeignVersion(model, int(row["version"]), _aliases(row), _at(row["created_ms"])))
            continue
        versions.append(entry)
        changed = tuple(name for name, value in entry.tags.items() if tags.get(name) != value)
        if changed:
            altered[entry.version] = changed
    aliases = {alias: int(row["version"]) for row in live for alias in _aliases(row)}
    deleted = tuple(int(row["version"]) for row in rows if row["deleted"] and "digest" in json.loads(row["tags"]))
    return Shelf(model, tuple(versions), tuple(foreign), deleted, aliases, altered, max((int(row["version"]) for row in rows), default=0), _at(created_ms))


def names_of(home: Path, digest: str) -> list[str]:
    """Under which names MLflow has a version of a digest."""
    address = remote.server()
    return remote.names_of(address, digest) if address else [str(row["name"]) for row in query(home, "names_of_digest.sql", {"digest": digest})]


class Memory:
    """What penumbra remembers of numbers in MLflow whose tags do not tell: what it noted, and only then the store, which costs more."""

    def __init__(self, home: Path, model: str, since: datetime) -> None:
        state = noted.read(home, model).state
        recorded = json.loads(state) if state else {}
        self.here = recorded.get("since") == since.isoformat()  # else MLflow has restarted its count since
        self.ours = {number: digest for number, digest, _ in recorded.get("versions", [])}
        self.others = {number for number, _ in recorded.get("foreign", [])}
        self.store = cache(lambda: remembered(home, model))

    def digest(self, row: Mapping[str, Any]) -> str | None:
        """What penumbra registered under a number; None: nothing."""
        number = int(row["version"])
        if self.here and (number in self.ours or number in self.others):
            noted_digest: str | None = self.ours.get(number)
            return noted_digest
        memory = self.store()
        return memory.digest(number) if memory.created_at(number) == _at(row["created_ms"]) else None


def _registered(home: Path, model: str, row: Mapping[str, Any], tags: Mapping[str, str], memory: Memory) -> RegisteredVersion | None:
    """A version by its files, or by its tags where the files are gone, or by the store where both are; None: penumbra did not register it."""
    number = int(row["version"])
    candidates = [*LOGGED_MODEL.findall(str(row["source"])), *LOGGED_MODEL.findall(tags.get("model_id", ""))]
    model_id = next((name for name in candidates if _folder(home, name).is_dir()), candidates[0] if candidates else "")
    folder = _folder(home, model_id)
    stored_digest, lineage = _own_words(folder)
    digest, tagged = tags.get("digest", ""), set(TAGS) <= tags.keys()
    if not (tagged and digest == stored_digest):  # somebody altered tags or files, or it is not penumbra's
        registered = memory.digest(row)
        if registered is None and not (tagged or (tags and stored_digest)):
            return None
        digest = registered or digest or stored_digest
    if lineage is None:
        lineage = _lineage_of(tags, {} if tagged else memory.store().versions.get(number, {}))
    return RegisteredVersion(
        model=model,
        version=number,
        aliases=_aliases(row),
        digest=digest,
        run_id=str(row["run_id"] or ""),
        model_id=model_id,
        created_at=_at(row["created_ms"]),
        train_centers=lineage.train_centers,
        store_commit=lineage.store_commit,
        store_digest=lineage.store_digest,
        code_commit=lineage.code_commit,
        folder=folder,
    )


def _own_words(folder: Path) -> tuple[str, Lineage | None]:
    """Digest and lineage as the bundle's files have them; "" and None where they are gone or spoiled."""
    try:
        return str(read_manifest(folder)["digest"]), read_lineage(folder)
    except (Refusal, OSError, ValueError, KeyError, TypeError):
        return "", None


def _lineage_of(tags: Mapping[str, str], stored: Mapping[str, Any]) -> Lineage:
    try:
        centers = tuple(str(center) for center in json.loads(tags["train_centers"]))
    except (KeyError, ValueError, TypeError):
        centers = tuple(stored.get("train_centers") or ())
    commit = tags.get("store_commit", "")
    number = int(commit) if commit.isdecimal() else int(stored.get("store_commit") or 0)
    return Lineage(centers, number, tags.get("store_digest", ""), tags.get("code_commit", ""))


def _folder(home: Path, model_id: str) -> Path:
    # from the home, not from the address MLflow stored: a home that was copied or restored elsewhere keeps working
    return experiment_root(home) / "models" / (model_id or "unknown") / BUNDLE_PATH


def _aliases(row: Mapping[str, Any]) -> tuple[str, ...]:
    return tuple(sorted(json.loads(row["aliases"])))


def _at(milliseconds: int) -> datetime:
    return datetime.fromtimestamp(milliseconds / 1000, UTC)
