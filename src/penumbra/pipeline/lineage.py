"""Where a registered version comes from, as a graph: centers, the store's commit, features and network, fitted models, the version."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from penumbra import store
from penumbra.base.blocks import DEEP
from penumbra.registry import LoadedModel
from penumbra.report.lineage import Link, Node
from penumbra.report.words import count

_USES = "SELECT center, split, count(*) AS patients FROM model_uses WHERE model = ? AND version = ? GROUP BY ALL ORDER BY center"
_DIED = (
    "SELECT center, events FROM model_metrics WHERE model = ? AND version = ? AND split = 'train' AND metric = 'harrell_c'"
    " UNION ALL SELECT center, events FROM model_metrics WHERE model = ? AND version = ? AND split = 'cross_fitted' AND metric = 'harrell_c'"
)


@dataclass(frozen=True)
class Lineage:
    """Nodes by column, from the data on the left to the version on the right, and the links between them."""

    nodes: tuple[Node, ...]
    links: tuple[Link, ...]


def lineage(lake: "store.Store", loaded: LoadedModel) -> Lineage:
    """The graph of one version."""
    entry = loaded.entry
    named = [entry.model, str(entry.version)]
    patients = {(row["center"], row["split"]): row["patients"] for row in lake.sql(_USES, named).to_pylist()}
    died = {row["center"]: row["events"] for row in lake.sql(_DIED, [*named, *named]).to_pylist()}
    return Lineage(tuple(_nodes(loaded, patients, died)), tuple(_links(loaded)))


def _nodes(loaded: LoadedModel, patients: Mapping[tuple[str, str], int], died: Mapping[str, int]) -> Iterator[Node]:
    entry, origin = loaded.entry, loaded.lineage
    for center in origin.train_centers:
        number = patients.get((center, "train"))
        note = "" if number is None else count(number, "patient") + (f", {died[center]} died" if center in died else "")
        yield Node(f"center {center}", 0, center, note, "center", center)
    yield Node(
        "commit", 1, f"commit {origin.store_commit}", f"rows {origin.store_digest[:8]}" if origin.store_digest else "", "commit", str(origin.store_commit)
    )
    for name, version, rois in _features(loaded):
        yield Node(f"features {version}", 2, name, rois, "features", version)
    parts = loaded.model.parts
    if len(parts) > 1 or parts[0] is not loaded.model:
        for part in parts:
            yield Node(f"part {part.name}", 3, part.label, count(len(part.columns), "column"), "kept", part.name)
    training = loaded.model.training
    words = f"{loaded.model.kind}, {count(len(loaded.model.columns), 'column')}, fitted on {training.patients}, {training.events} died"
    yield Node("served", 4, loaded.model.label, words, "kept", loaded.served)
    code = f"code {origin.code_commit[:8]}" if origin.code_commit else ""
    yield Node("version", 5, f"{entry.model}/{entry.version}", ", ".join(filter(None, (*entry.aliases, code))), "version", str(entry.version))
    for center, update in loaded.updates.items():
        words = f"{update.step} there, by {update.deaths} deaths of {update.patients}"
        yield Node(f"update {center}", 4, f"update at {center}", words, "center", center)


def _features(loaded: LoadedModel) -> Iterator[tuple[str, str, str]]:
    """Each definition of features that the version reads: what it is, its version, and for which ROIs."""
    by_version: dict[str, list[str]] = {}
    for block, version in loaded.feature_versions.items():
        by_version.setdefault(version, []).append(block)
    for version, blocks in by_version.items():
        network = "network, deep features" if loaded.network_path is not None else "deep features"
        yield (network, version, version) if blocks == [DEEP] else ("radiomics", version, f"{version}: {', '.join(blocks)}")


def _links(loaded: LoadedModel) -> Iterator[Link]:
    yield from (Link(f"center {center}", "commit") for center in loaded.lineage.train_centers)
    parts = loaded.model.parts
    several = len(parts) > 1 or parts[0] is not loaded.model
    for version in dict.fromkeys(loaded.feature_versions.values()):
        blocks = {block for block, of in loaded.feature_versions.items() if of == version}
        yield Link("commit", f"features {version}")
        for part in parts if several else (loaded.model,):
            if any(column.partition(".")[0] in blocks for column in part.columns):
                yield Link(f"features {version}", f"part {part.name}" if several else "served")
    if several:
        yield from (Link(f"part {part.name}", "served") for part in parts)
    yield Link("served", "version")
    yield from (Link(f"update {center}", "version") for center in loaded.updates)
