"""`penumbra run`: the tables at its end, and a patient to try."""

from pathlib import Path

from penumbra import registry
from penumbra.base import tables
from penumbra.commands.ingest import cohort_flow
from penumbra.pipeline import arrivals, manifests
from penumbra.pipeline.manifests import EvaluateManifest, IngestManifest, RegisterManifest, ReportManifest
from penumbra.pipeline.workspace import Work

MEASURED = ("model", "center", "split", "metric", "value", "lower", "upper", "n", "events", "reason")  # of models at centers, for other programs


def summary(work: Work) -> str:
    """The tables at the end of a run: C of every model on every set of patients, the cohort, the version, the report."""
    rows = [row for row in manifests.read(work.home, EvaluateManifest).metrics if row.metric == "harrell_c"]
    sets = list(dict.fromkeys((row.center, row.split) for row in rows))
    sizes = {(row.center, row.split): (row.n, row.events) for row in rows}
    header = ["C-index (95 % CI)", *(f"{center}, {split}\nn {sizes[center, split][0]}, died {sizes[center, split][1]}" for center, split in sets)]
    by_place = {(row.model, row.center, row.split): row for row in rows}
    body = []
    for model in dict.fromkeys(row.model for row in rows):
        cells = [by_place[model, *place] for place in sets]
        body.append([model, *(f"{row.value:.2f} ({row.lower:.2f}-{row.upper:.2f})" if row.value == row.value else "-" for row in cells)])
    registered, page = manifests.read(work.home, RegisterManifest), manifests.read(work.home, ReportManifest).page
    lines = [tables.render(header, body, whole="the report"), "", cohort_flow(manifests.read(work.home, IngestManifest)), ""]
    if registered.version is None:
        lines.append(f"registered  nothing: {registered.reason}")
    else:
        entry = registry.find(work.home, registered.version, registered.model)
        aliases = f" ({', '.join(entry.aliases)})" if entry.aliases else ""
        lines.append(f"registered  {entry.model}/{entry.version}{aliases}, digest {entry.digest[:12]}, trained on {', '.join(entry.train_centers)}")
    return "\n".join([*lines, f"report      {work.home / page}"])


def example_patient(work: Work) -> str:
    """The folder of some accepted patient, to type after `penumbra predict`."""
    folders = arrivals.center_folders(work.home)
    for center, facts in sorted(manifests.read(work.home, IngestManifest).centers.items(), key=lambda item: item[0] in work.settings.cohort.train_centers):
        for patient in facts.accepted:
            place = folders[center].resolve() / patient
            if place.is_dir():
                return str(place.relative_to(Path.cwd())) if place.is_relative_to(Path.cwd()) else str(place)
    return "FOLDER"
