"""The stage that draws the report: from manifests, the store and the fitted models to the rows and arrays that the page shows."""

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from penumbra import cohort, imaging, registry, store
from penumbra.dataset import GTV, Dataset, read_dataset
from penumbra.evaluate import EXTERNAL, LEFT_OUT, TRAINING, ModelRisk
from penumbra.modelling import load_models, metric_rows, risks
from penumbra.params import project_root, read_yaml
from penumbra.progress import say
from penumbra.report import inputs as page
from penumbra.report import picture_of
from penumbra.report.page import write_report
from penumbra.work import Manifest, Work, read_manifest, write_manifest

POOLED = {TRAINING: "training centers", EXTERNAL: "external, pooled"}


def report(work: Work) -> Manifest:
    """One HTML page with its figures (SVG, PNG) and tables (CSV) beside, in reports/<registered version>/."""
    registered, evaluated = read_manifest(work.home, "register"), read_manifest(work.home, "evaluate")
    version = registered["version"]
    name = f"{registered['model']}-{version}" if version is not None else f"{work.settings.register.model}-unregistered"
    folder = work.home / "reports" / name
    key = store.version_key({"registered": registered, "evaluated": evaluated["key"], "ingest": read_manifest(work.home, "ingest"), "code": 1})
    path = folder / "index.html"
    done = (folder / ".key").read_text(encoding="utf-8") if (folder / ".key").is_file() else ""
    if done != key or not path.is_file():
        say("drawing the report")
        write_report(_inputs(work, registered, evaluated), folder)
        (folder / ".key").write_text(key, encoding="utf-8")
    return write_manifest(work.home, "report", {"page": str(path.relative_to(work.home)), "key": key})


def _inputs(work: Work, registered: Manifest, evaluated: Manifest) -> page.ReportInputs:
    data, settings = read_dataset(work), work.settings
    models = load_models(work, read_manifest(work.home, "fuse")["key"])
    combined = models[settings.register.served]
    risk = risks(models, data)[combined.name]
    rows = tuple(metric_rows(evaluated))
    columns = tuple(_columns(rows))
    notes = [f"{model.label}: no feature retained ({model.reason})." for model in models.values() if not model.retained]
    notes += [f"{model.label}: {remark}." for model in models.values() if model.retained for remark in model.training.remarks]
    if settings.profile == "quick":
        notes.append("Profile quick: a small network for a CPU, not the network of the paper. Its numbers are not the paper's method at full size.")
    return page.ReportInputs(
        title="Overall survival from planning CT",
        date=_date(work, registered),
        combined=combined.name,
        flow=tuple(_flow(work)),
        models=tuple(page.ModelRow(model.name, model.label, model.family, len(model.columns)) for model in models.values()),
        columns=columns,
        metrics=rows,
        paper=tuple(_paper()),
        survival=tuple(_panels(data, risk, columns)) if combined.retained else (),
        features=tuple(
            page.KeptFeature(model.name, column, coefficient)
            for model in models.values()
            for column, coefficient in zip(model.columns, model.coefficients, strict=True)
        ),
        slices=tuple(_slices(work, data, risk)) if combined.retained else (),
        card=_card(work, registered),
        next_commands=(
            page.NextCommand('penumbra sql "SELECT model, center, metric, value FROM model_metrics"', "every number of this page, by SQL"),
            page.NextCommand("penumbra compare", "registered versions side by side"),
            page.NextCommand("penumbra predict FOLDER", "one patient's risk from a DICOM or NIfTI folder"),
        ),
        window_hu=settings.report.window_hu,
        notes=tuple(notes),
    )


def _date(work: Work, registered: Manifest) -> str:
    """The day of registration, so that the same model gives the same page."""
    if registered["version"] is None:
        return "not registered"
    return registry.find(work.home, registered["version"], registered["model"]).created_at.date().isoformat()


def _flow(work: Work) -> Iterator[page.CenterFlow]:
    with store.connect(work.home, read_only=True) as lake:
        died = {row["patient"]: bool(row["event"]) for row in lake.rows("patients")}
    refused_later = set(read_manifest(work.home, "populate")["refused"])
    for center, facts in read_manifest(work.home, "ingest")["centers"].items():
        lost = len(refused_later & set(facts["accepted"]))
        excluded = [(rule.replace("_", " "), count) for rule, count in facts["rejected"].items()] + ([("features not computed", lost)] if lost else [])
        kept = set(facts["accepted"]) - refused_later
        yield page.CenterFlow(
            center=center,
            training=center in work.settings.cohort.train_centers,
            found=facts["found"],
            excluded=tuple(excluded),
            accepted=len(kept),
            events=sum(died[patient] for patient in kept),
            flagged=tuple((rule.replace("_", " "), count) for rule, count in facts["flagged"].items()),
        )


def _columns(rows: tuple[registry.MetricRow, ...]) -> Iterator[page.CenterColumn]:
    """Sets of patients in the order of the evaluation; the paper's training numbers stand beside training, its test numbers beside the pool."""
    seen: dict[str, str] = {}
    for row in (row for row in rows if row.split != LEFT_OUT):
        seen.setdefault(row.center, row.split)
    for center, split in seen.items():
        label = POOLED.get(center, f"{center} (training)" if split == "train" else center)
        beside = "train" if split == "train" else "test" if center == EXTERNAL else None
        yield page.CenterColumn(center, label, beside)


def _paper() -> Iterator[page.PaperValue]:
    for model, metrics in read_yaml(project_root() / "models" / "paper.yaml")["metrics"].items():
        for metric, splits in metrics.items():
            for split, numbers in splits.items():
                yield page.PaperValue(model, metric, split, *numbers)


def _panels(data: Dataset, risk: ModelRisk, columns: tuple[page.CenterColumn, ...]) -> Iterator[page.SurvivalPanel]:
    for column in columns:
        pool = {TRAINING: data.training, EXTERNAL: ~data.training}
        rows = pool.get(column.center, data.centers == column.center)
        yield page.SurvivalPanel(column.label, data.event[rows], data.time[rows], risk.log_risk[rows] > risk.cutoff)


def _slices(work: Work, data: Dataset, risk: ModelRisk) -> Iterator[page.SlicePicture]:
    """The patients of highest and lowest risk of each center in turn, through the GTV's largest slice."""
    margins = cohort.roi_rules(work.settings.rois).margins_mm
    images = {
        patient: (center, version) for center, facts in read_manifest(work.home, "ingest")["centers"].items() for patient, version in facts["accepted"].items()
    }
    for i in _shown(data, risk, work.settings.report.patients):
        patient = str(data.patients[i])
        center, version = images[patient]
        scan = cohort.load_patient(work.home / "images", {"center": center, "patient": patient, "image_version": version})
        yield picture_of(
            scan,
            imaging.rings(scan.gtv, margins),
            patient=patient,
            center=center,
            log_risk=float(risk.log_risk[i]),
            risk_group="high" if risk.log_risk[i] > risk.cutoff else "low",
            margin_mm=work.settings.report.slice_margin_mm,
        )


def _shown(data: Dataset, risk: ModelRisk, wanted: int) -> list[int]:
    """Indices: per center by turns its highest risk, its lowest, its second highest, ..."""
    queues = []
    for center in sorted(set(data.centers.tolist())):
        ranked = sorted(np.flatnonzero(data.centers == center), key=lambda i: -risk.log_risk[i])
        queues.append([int(ranked[k // 2] if k % 2 == 0 else ranked[-1 - k // 2]) for k in range(len(ranked))])
    longest = max(len(queue) for queue in queues)
    return [queue[k] for k in range(longest) for queue in queues if k < len(queue)][:wanted]


def _card(work: Work, registered: Manifest) -> page.ModelCard:
    settings = work.settings
    parameters: dict[str, Any] = {"profile": settings.profile}
    for group, values in (("fuse", settings.fuse), ("train", settings.train), ("evaluate", settings.evaluate)):
        parameters |= {f"{group}.{name}": value for name, value in vars(values).items()}
    facts = (
        ("Intended use", "research on retrospective cohorts; not a medical device, no decision on a patient rests on it"),
        ("Outcome", "overall survival in days from the start of radiotherapy"),
        ("Input", f"planning CT and GTV; ROIs {GTV} and rings"),
    )
    common: Mapping[str, Any] = {"parameters": tuple((name, str(value)) for name, value in parameters.items()), "facts": facts}
    if registered["version"] is None:
        return page.ModelCard(settings.register.model, 0, (), "", settings.cohort.train_centers, "", 0, "", "", **common)
    entry = registry.find(work.home, registered["version"], registered["model"])
    lineage = registry.load(work.home, entry.version, model=entry.model).lineage
    return page.ModelCard(
        model=entry.model,
        version=entry.version,
        aliases=entry.aliases,
        digest=entry.digest,
        train_centers=entry.train_centers,
        registered_at=entry.created_at.date().isoformat(),
        store_commit=entry.store_commit,
        store_digest=entry.store_digest,
        code_commit=entry.code_commit,
        environment=tuple(lineage.environment.items()),
        **common,
    )
