"""`penumbra models`: every version with its aliases and the C-index of each center."""

from pathlib import Path

from penumbra import registry, store
from penumbra.base import tables
from penumbra.base.refusal import Refusal
from penumbra.commands.standing import VersionStanding, standings
from penumbra.evaluate import EXTERNAL, TRAINING

APPARENT = "* fitted on this center: apparent"
SPLITS = ("cross_fitted", "test", "train")  # what is listed; live outcomes are those of `penumbra monitor`


def models(home: Path, name: str | None = None, *, as_of: str | None = None) -> str:
    """Every version of a model: when, its aliases, and the C-index of each center.

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
        ]
        for entry in entries
    ]
    others = [other for other in registry.models(home) if other != model]
    listed = f"\nalso registered: {', '.join(others)} (penumbra models --model NAME)" if others else ""
    foreign = "".join(f"\n{entry.version}: not registered by penumbra, made in MLflow" for entry in entries if entry.foreign)
    header = ["version", "alias", "registered", "C inside", *(f"C {center}" for center in centers)]
    return tables.render(header, body, model) + f"\n\ninside: cross-fitted on the training centers. {APPARENT}{foreign}{listed}"


def model_rows(home: Path, name: str | None = None, *, as_of: str | None = None) -> tables.Answer:
    """The same for other programs: one row per version and center, with all digits; a version made in MLflow has a row without a center."""
    records: list[dict[str, object]] = []
    for entry in _entries(home, name, as_of):
        common = {"model": entry.model, "version": entry.version, "alias": ", ".join(entry.aliases) or None, "registered": entry.registered_at}
        values = [
            {"center": row.center, "split": row.split, "harrell_c": row.c.value, "n": row.patients, "died": row.deaths}
            for row in entry.evidence
            if row.split in SPLITS
        ]
        records += [{**common, **value} for value in values or [{}]]
    return tables.Answer.of(records, ("model", "version", "alias", "registered", "center", "split", "harrell_c", "n", "died"))


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
