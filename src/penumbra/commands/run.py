"""`penumbra run`: the tables at its end, and a patient to try."""

from collections.abc import Sequence
from pathlib import Path

from penumbra import registry
from penumbra.base import tables
from penumbra.commands.ingest import cohort_flow
from penumbra.evaluate import CROSS_FITTED, TRAINING, MetricRow
from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.manifests import EvaluateManifest, IngestManifest, RegisterManifest, ReportManifest
from penumbra.pipeline.workspace import Work

MEASURED = ("model", "center", "split", "metric", "value", "lower", "upper", "n", "events", "reason")  # of models at centers, for other programs


def summary(work: Work) -> str:
    """The tables at the end of a run: C of every model on every set of patients, the cohort, the version, the report."""
    rows = [row for row in manifests.read(work.home, EvaluateManifest).metrics if row.metric == "harrell_c"]
    by_place = {(row.model, row.center, row.split): row for row in rows}
    sets = _sets(rows)
    sizes = {(row.center, row.split): f"n {row.n}, died {row.events}" for row in rows}
    header = ["C-index (95 % CI)", *(f"{words}\n{sizes[place]}" for place, words in sets.items())]
    body = [[model, *(_cell(by_place.get((model, *place))) for place in sets)] for model in dict.fromkeys(row.model for row in rows)]
    registered, page = manifests.read(work.home, RegisterManifest), manifests.read(work.home, ReportManifest).page
    lines = [tables.render(header, body, whole="the report"), "", cohort_flow(manifests.read(work.home, IngestManifest)), ""]
    if registered.version is None:
        lines.append(f"registered  nothing: {registered.reason}")
    else:
        entry = registry.find(work.home, registered.version, registered.model)
        aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
        lines.append(f"registered  {entry.model}/{entry.version}{aliases}, digest {entry.digest[:12]}, trained on {', '.join(entry.train_centers)}")
    return "\n".join([*lines, f"report      {work.home / page}"])


def _sets(rows: Sequence[MetricRow]) -> dict[tuple[str, str], str]:
    """Center and split of what is shown, with its heading: evidence inside first, then the external centers, what the fit saw itself last."""
    places = list(dict.fromkeys((row.center, row.split) for row in rows))
    inside = {place: "inside, cross-fitted" for place in places if place == (TRAINING, CROSS_FITTED)}
    outside = {place: f"{place[0]}, test" for place in places if place[1] == "test"}
    return {**inside, **outside, **{place: f"{place[0]}, apparent" for place in places if place[1] == "train"}}


def _cell(row: MetricRow | None) -> str:
    return "-" if row is None or row.value != row.value else f"{row.value:.2f} ({row.lower:.2f}-{row.upper:.2f})"


def example_patient(work: Work) -> str:
    """The folder of some accepted patient, to type after `penumbra predict`."""
    folders = arrivals.center_folders(work.home)
    for center, facts in sorted(manifests.read(work.home, IngestManifest).centers.items(), key=lambda item: item[0] in work.settings.cohort.train_centers):
        for patient in facts.accepted:
            place = folders[center].resolve() / patient
            if place.is_dir():
                return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)
    return "FOLDER"
