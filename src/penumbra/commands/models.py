"""`penumbra models`: every version with its aliases and the C-index of each center."""

import contextlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from penumbra import registry, store
from penumbra.base import tables
from penumbra.base.refusal import Refusal
from penumbra.commands.standing import VersionStanding, standings
from penumbra.evaluate import EXTERNAL, TRAINING
from penumbra.pipeline import experiments
from penumbra.registry import CHAMPION
from penumbra.registry.bundle import read_lineage

MAX_LETTERS = 40  # of a param in the terminal
APPARENT = "* fitted on this center: apparent"
SPLITS = ("cross_fitted", "test", "train")  # what is listed; live outcomes are those of `penumbra monitor`


def models(home: Path, name: str | None = None, *, as_of: str | None = None) -> str:
    """Every version of a model: when, its aliases, the C-index of each center, what it was made from, and the params that the champion has not.

    Those that somebody made in MLflow are shown as such; then follows which other models there are.

    Parameters
    ----------
    name
        Of the model; None: the one that params.yaml names.
    as_of
        A registered version or a commit: what was registered then; None: now.
    """
    entries = _entries(home, name, as_of)
    model = entries[0].model
    values = {(entry.version, row.center): row for entry in entries for row in entry.evidence if row.split in SPLITS[1:]}
    outside = {row.center for row in values.values() if row.split == "test"}
    pools = (EXTERNAL, TRAINING)  # each after its centers; a center that trained every version comes last
    centers = sorted({center for _, center in values}, key=lambda center: (center not in outside, center in pools, center))

    made = origins(home, model)

    def cell(version: int, center: str) -> str:
        row = values.get((version, center))
        return "-" if row is None else f"{row.c.value:.3f}" + (" *" if row.split == "train" else "")

    body = [
        [
            entry.version,
            ", ".join(entry.aliases) or "-",
            entry.registered_at,
            "-" if entry.inside is None else f"{entry.inside.c.value:.3f}",
            *(cell(entry.version, center) for center in centers),
            made[entry.version].shown if entry.version in made else "-",
        ]
        for entry in entries
    ]
    others = [other for other in registry.models(home) if other != model]
    listed = f"\nalso registered: {', '.join(others)} (penumbra models --model NAME)" if others else ""
    foreign = "".join(f"\n{entry.version}: not registered by penumbra, made in MLflow" for entry in entries if entry.foreign)
    header = ["version", "alias", "registered", "C inside", *(f"C {center}" for center in centers), "from"]
    unlike = "".join(f"\n{entry.version}: {made[entry.version].unlike}" for entry in entries if entry.version in made and made[entry.version].params)
    unlike = unlike and f"\n\nparams unlike the champion's (its own in parentheses)\n{unlike[1:]}"
    return tables.render(header, body, model) + f"\n\ninside: cross-fitted on the training centers. {APPARENT}{unlike}{foreign}{listed}"


@dataclass(frozen=True)
class MadeFrom:
    """What a version was made from.

    Parameters
    ----------
    revision
        Of the project in git, "" outside a repository.
    experiments
        Of DVC, that registered it.
    params
        Name -> value and the champion's, where they are different; None where one has no such param.
    """

    revision: str
    experiments: tuple[str, ...]
    params: Mapping[str, tuple[Any, Any]]

    @property
    def shown(self) -> str:
        """Revision and experiments in one cell."""
        return ", ".join([*([self.revision[:7]] if self.revision else []), *self.experiments]) or "-"

    @property
    def unlike(self) -> str:
        """The params in one line."""
        return ", ".join(f"{name} {_short(value)} ({_short(champion)})" for name, (value, champion) in self.params.items())


def origins(home: Path, model: str) -> dict[int, MadeFrom]:
    """Version -> what it was made from; of a version whose files are gone the params are not known, and nothing is said of them."""
    shelf, named = registry.shelf(home, model), experiments.names(home)
    params: dict[int, Mapping[str, Any]] = {}
    for entry in shelf.versions:
        with contextlib.suppress(FileNotFoundError):
            params[entry.version] = read_lineage(entry.folder).params
    champion = params.get(next((entry.version for entry in shelf.versions if CHAMPION in entry.aliases), 0))

    def differences(params_of: Mapping[str, Any] | None) -> dict[str, tuple[Any, Any]]:
        if champion is None or params_of is None:
            return {}
        return {
            name: (params_of.get(name), champion.get(name)) for name in sorted(params_of.keys() | champion.keys()) if params_of.get(name) != champion.get(name)
        }

    return {
        entry.version: MadeFrom(entry.code_commit, tuple(named.get((model, entry.version), ())), differences(params.get(entry.version)))
        for entry in shelf.versions
    }


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= MAX_LETTERS else f"{text[: MAX_LETTERS - 3]}..."


def model_rows(home: Path, name: str | None = None, *, as_of: str | None = None) -> tables.Answer:
    """The same for other programs: one row per version and center, with all digits; a version made in MLflow has a row without a center."""
    records: list[dict[str, object]] = []
    entries = _entries(home, name, as_of)
    made = origins(home, entries[0].model)
    for entry in entries:
        common: dict[str, object] = {
            "model": entry.model,
            "version": entry.version,
            "alias": ", ".join(entry.aliases) or None,
            "registered": entry.registered_at,
        }
        if (of := made.get(entry.version)) is not None:
            common |= {"revision": of.revision or None, "experiment": ", ".join(of.experiments) or None, "params": of.unlike or None}
        values = [
            {"center": row.center, "split": row.split, "harrell_c": row.c.value, "n": row.patients, "died": row.deaths}
            for row in entry.evidence
            if row.split in SPLITS
        ]
        records += [{**common, **value} for value in values or [{}]]
    return tables.Answer.of(
        records, ("model", "version", "alias", "registered", "center", "split", "harrell_c", "n", "died", "revision", "experiment", "params")
    )


def _entries(home: Path, name: str | None, as_of: str | None) -> list[VersionStanding]:
    """The versions, the earliest first."""
    commit = None if as_of is None else store.commit_of(home, as_of)
    shelf = registry.shelf(home, name)
    if not (shelf.versions or shelf.foreign):
        registry.find(home, model=name)  # says what there is
    with store.connect(home, read_only=True, as_of=commit) as lake:
        entries = sorted(standings(home, lake, name), key=lambda entry: entry.version)
    if not entries:
        raise Refusal("version_then", f"no version of {shelf.model} was registered as of commit {commit}", "leave --as-of out, or name a later commit")
    return entries


def comparison_of(home: Path, name: str | None = None) -> str:
    """The command that compares the champion with the newest other version of a model; where there is one alone, its card of metrics."""
    entries = registry.shelf(home, name).versions
    champion = next((entry for entry in entries if "champion" in entry.aliases), None)
    others = [entry for entry in entries if entry is not champion]
    of = f"{entries[0].model}/" if name and entries else ""
    if champion is not None and others:
        return f"penumbra compare {of}{champion.version} {of}{max(entry.version for entry in others)}"
    if len(others) > 1:
        return f"penumbra compare {of}{others[-2].version} {of}{others[-1].version}"
    return "penumbra compare"
