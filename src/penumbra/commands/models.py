"""`penumbra models`: every version with its aliases and the C-index of each center."""

from pathlib import Path

from penumbra import registry, store
from penumbra.base import tables
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, TRAINING

APPARENT = "* fitted on this center: apparent"
_MEASURED = (  # cross-fitted first, apparent last
    "SELECT model, version, center, split, value, n, events FROM model_metrics WHERE metric = 'harrell_c' AND split IN ('cross_fitted', 'train', 'test')"
    " ORDER BY split = 'train', split = 'test', center"
)


def models(home: Path, name: str | None = None) -> str:
    """Every version of a model: when, its aliases, and the C-index of each center.

    Those that somebody made in MLflow are shown as such; then follows which other models there are.

    Parameters
    ----------
    name
        Of the model; None: the one that params.yaml names.
    """
    shelf = registry.shelf(home, name)
    entries: list[registry.RegisteredVersion | registry.ForeignVersion] = sorted((*shelf.versions, *shelf.foreign), key=lambda entry: entry.version)
    if not entries:
        registry.find(home, model=name)  # says what there is
    metrics = store.query(home, _MEASURED).to_pylist()
    model = entries[0].model
    mine = [row for row in metrics if row["model"] == model]
    inside = {row["version"]: row["value"] for row in mine if (row["split"], row["center"]) == (CROSS_FITTED, TRAINING)}
    values = {(row["version"], row["center"]): row for row in mine if row["split"] != CROSS_FITTED}
    outside = {row["center"] for row in values.values() if row["split"] == "test"}
    pools = (EXTERNAL, TRAINING)  # each after its centers; a center that trained every version comes last
    centers = sorted({center for _, center in values}, key=lambda center: (center not in outside, center in pools, center))

    def cell(version: str, center: str) -> str:
        row = values.get((version, center))
        if row is None or row["value"] is None:
            return "-"
        return f"{row['value']:.3f}" + (" *" if row["split"] == "train" else "")

    def cross_fitted(version: str) -> str:
        return "-" if inside.get(version) is None else f"{inside[version]:.3f}"

    body = [
        [
            entry.version,
            ", ".join(entry.aliases) or "-",
            entry.created_at,
            *(
                ["-"] * (len(centers) + 1)
                if isinstance(entry, registry.ForeignVersion)
                else [cross_fitted(str(entry.version)), *(cell(str(entry.version), center) for center in centers)]
            ),
        ]
        for entry in entries
    ]
    others = [other for other in registry.models(home) if other != model]
    listed = f"\nalso registered: {', '.join(others)} (penumbra models --model NAME)" if others else ""
    foreign = "".join(f"\n{entry.version}: not registered by penumbra, made in MLflow" for entry in shelf.foreign)
    header = ["version", "alias", "registered", "C inside", *(f"C {center}" for center in centers)]
    return tables.render(header, body, model) + f"\n\ninside: cross-fitted on the training centers. {APPARENT}{foreign}{listed}"


def model_rows(home: Path, name: str | None = None) -> tables.Answer:
    """The same for other programs: one row per version and center, with all digits; a version made in MLflow has a row without a center."""
    shelf = registry.shelf(home, name)
    if not (shelf.versions or shelf.foreign):
        registry.find(home, model=name)  # says what there is
    measured = store.query(home, _MEASURED).to_pylist()
    entries: list[registry.RegisteredVersion | registry.ForeignVersion] = sorted((*shelf.versions, *shelf.foreign), key=lambda entry: entry.version)
    records: list[dict[str, object]] = []
    for entry in entries:
        common = {"model": entry.model, "version": entry.version, "alias": ", ".join(entry.aliases) or None, "registered": entry.created_at}
        mine = [row for row in measured if (row["model"], row["version"]) == (entry.model, str(entry.version))]
        values = [{"center": row["center"], "split": row["split"], "harrell_c": row["value"], "n": row["n"], "died": row["events"]} for row in mine]
        records += [{**common, **value} for value in values or [{}]]
    return tables.Answer.of(records, ("model", "version", "alias", "registered", "center", "split", "harrell_c", "n", "died"))


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
