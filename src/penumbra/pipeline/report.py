"""Everything on one page, gathered."""

import math
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

from penumbra import registry, store
from penumbra.base.blocks import GTV
from penumbra.base.companion import Companion
from penumbra.base.faults import fault
from penumbra.base.params import project_root, read_yaml
from penumbra.base.progress import say
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, TRAINING, MetricRow
from penumbra.fusion import SurvivalModel
from penumbra.pipeline import decisions, looks, manifests
from penumbra.pipeline.ablation import DECLARED as WITHOUT_SE
from penumbra.pipeline.ablation import ablation
from penumbra.pipeline.dataset import Dataset, read_dataset
from penumbra.pipeline.evaluate import current_evaluate
from penumbra.pipeline.falsifiers import DEEP_SIGNATURE
from penumbra.pipeline.fuse import cross_fitted_by, current_fuse, load_models, risks
from penumbra.pipeline.guidelines import guidelines
from penumbra.pipeline.inside import served_by
from penumbra.pipeline.manifests import EvaluateManifest, FuseManifest, IngestManifest, PopulateManifest, RegisterManifest, ReportManifest
from penumbra.pipeline.model_card import model_card
from penumbra.pipeline.origins import PROGRAM, flat, origin
from penumbra.pipeline.register import current_register
from penumbra.pipeline.report_patients import baseline_of, risk_panels, shown_patients, survival_panels
from penumbra.pipeline.report_pictures import pictures_of
from penumbra.pipeline.report_stability import stability_of, stability_rows
from penumbra.pipeline.sample_size import demands_of, sample_of
from penumbra.pipeline.settings import require_shown
from penumbra.pipeline.workspace import Work
from penumbra.report import inputs as page
from penumbra.report import site
from penumbra.report.card import markdown
from penumbra.report.page import write_report
from penumbra.report.served import first_sentence
from penumbra.survival.horizons import horizon_words

REPORT_CODE = 10  # raise when the same manifests and numbers give another page than before
POOLED = {TRAINING: "training centers", EXTERNAL: "external, pooled"}


def report(work: Work) -> ReportManifest:
    """One HTML page with its figures (SVG, PNG) and tables (CSV), in reports/<registered version>/."""
    data = read_dataset(work)
    fused = current_fuse(work, data)
    evaluated = current_evaluate(work, data, fused)
    registered, ingested = current_register(work, evaluated), manifests.read(work.home, IngestManifest)
    version = registered.version
    name = f"{registered.model}-{version}" if version is not None else f"{work.settings.register.model}-unregistered"
    folder = work.home / "reports" / name
    require_shown()
    shown = {name: read_yaml(project_root() / "models" / f"{name}.yaml") for name in ("paper", "checklist")} | {"report": vars(work.settings.report)}
    arrived = [[decided.center, decided.decision] for decided in decisions.all_of(work.home)]
    stable = stability_rows(work, data.versions[GTV])
    made = {"registered": registered.to_json(), "evaluated": evaluated.key, "ingest": ingested.to_json(), "arrived": arrived} | (
        {"stability": stable} if stable else {}
    )
    key = store.version_key({**made, **shown, "code": REPORT_CODE})
    path = folder / "index.html"
    done = (folder / ".key").read_text(encoding="utf-8") if (folder / ".key").is_file() else ""
    if done != key or not path.is_file() or not _is_published(work, registered):
        say("drawing the report")
        with Companion() as others, TemporaryDirectory(prefix="penumbra-") as shared:
            inputs, completed = report_inputs(work, data, fused, registered, evaluated, stability_of(work, stable), others=others)
            write_report(inputs, folder, Path(shared), others=others, completed=completed)
            _publish(work, registered, inputs, Path(shared))
        site.link(work.home)
        (folder / ".key").write_text(key, encoding="utf-8")
        look = looks.Look("report", {"report": key}, registered.model, None if version is None else str(version))
        looks.count(work.home, work.run, look, data.centers, data.event, training=set(data.centers[data.training]))
    documents = {f"models/{name}.yaml": store.version_key(shown[name]) for name in ("paper", "checklist")}
    made_from = origin(
        work,
        {"register": store.version_key(registered.to_json()), "ingest": store.version_key(ingested.to_json())},
        {**flat("report", work.settings.report), **documents, PROGRAM: REPORT_CODE},
    )
    return manifests.write(work.home, ReportManifest(page=str(path.relative_to(work.home)), key=key, made_from=made_from))


def _is_published(work: Work, registered: RegisterManifest) -> bool:
    """Whether MLflow shows the report, or there is no version whose report it would be."""
    if registered.version is None or registered.model is None:
        return True
    return registry.is_published(work.home, registered.version, model=registered.model)


def _publish(work: Work, registered: RegisterManifest, inputs: page.ReportInputs, shared: Path) -> None:
    """Put the report without single patients, and the model card, among the artifacts that MLflow shows of the version."""
    if registered.version is None or registered.model is None:
        return
    (shared / "model_card.md").write_text(markdown(model_card(work, registered)), encoding="utf-8")
    registry.publish(work.home, registered.version, shared, [first_sentence(inputs)], model=registered.model)


def report_inputs(
    work: Work,
    data: Dataset,
    fused: FuseManifest,
    registered: RegisterManifest,
    evaluated: EvaluateManifest,
    stability: tuple[page.StabilityOfRoi, ...] = (),
    *,
    others: Companion,
) -> tuple[page.ReportInputs, Callable[[page.ReportInputs], page.ReportInputs]]:
    """Everything that the page shows but the pictures of patients and networks, and what completes it by those: they are made in the other process."""
    settings = work.settings
    models = load_models(work, fused.key)
    combined = models[served_by(evaluated) or settings.register.candidates[0]]
    model_risks = risks(models, data)
    without_se = ablation(work, data)
    if without_se is not None:
        listed = list(models.items())
        listed.insert(list(models).index(DEEP_SIGNATURE) + 1, (WITHOUT_SE.name, without_se.model))  # next to what it is compared with
        models, model_risks = dict(listed), {**model_risks, WITHOUT_SE.name: without_se.risk}
    risk = model_risks[combined.name]
    selection_frequency = evaluated.kept
    pictures = others.start(partial(pictures_of, work, registered, shown_patients(work, data, risk) if combined.retained else ()))
    flow, card = tuple(_flow(work)), model_card(work, registered)
    deep = [model.name for model in models.values() if model.family == "deep"]
    rows = evaluated.metrics
    columns = tuple(columns_of(rows))
    shown = {name: model_risks[name] for name in dict.fromkeys((combined.name, *deep))}
    crossed = cross_fitted_by(work, fused.key)
    inside = {name: models[name].slope * crossed.log_risk(name) for name in shown if crossed.gives(name)}
    panels = tuple(risk_panels(data, shown, inside, columns, settings.evaluate))
    sample = sample_of(work.home, settings)
    notes = [f"{model.label}: no feature retained ({model.reason})." for model in models.values() if not model.retained]
    notes += _follow_up(combined, settings.evaluate.horizons_days)
    if settings.profile == "quick":
        notes.append("Profile quick: a small network for a CPU, not the network of the paper. Its numbers are not the paper's method at full size.")
    inputs = page.ReportInputs(
        title="Overall survival from planning CT",
        date=_date(work, registered),
        combined=combined.name,
        flow=flow,
        models=tuple(page.ModelRow(model.name, model.label, model.family, len(model.columns)) for model in models.values()),
        columns=columns,
        metrics=rows,
        paper=tuple(_paper()),
        survival=tuple(survival_panels(panel for panel in panels if panel.model == combined.name)),
        features=tuple(feature for model in models.values() for feature in _features_of(model, selection_frequency if model.name == combined.name else {})),
        slices=(),
        card=card,
        next_commands=(
            page.NextCommand('penumbra sql "SELECT model, center, metric, value FROM model_metrics"', "every number of this page, by SQL"),
            page.NextCommand("penumbra compare", "registered versions side by side"),
            page.NextCommand("penumbra card champion", "the model card, also for machines"),
            page.NextCommand("penumbra audit", "what could be wrong with this evidence, tried"),
            page.NextCommand("penumbra predict FOLDER", "one patient's risk from a DICOM or NIfTI folder"),
        ),
        window_hu=settings.report.window_hu,
        notes=tuple(notes),
        remarks=tuple(remarks_of(models.values())),
        baseline=baseline_of(data),
        measures=page.Measures.of(settings.evaluate),
        panels=panels,
        loadings=_loadings(combined),
        checklist=guidelines(work, data, card, flow, evaluated, combined, stability),
        choice=evaluated.choice,
        instability=evaluated.instability,
        stability=stability,
        sample=sample,
        demands=demands_of(work.home, settings, sample),
        shown_in_subgroups=sets_of_subgroups(columns),
        ablation=_ablation(settings.network.se, without_se is not None),
    )
    return inputs, lambda inputs: replace(inputs, **pictures())


def _follow_up(model: SurvivalModel, horizons_days: Sequence[float]) -> Iterator[str]:
    """A sentence on the horizons at which a model gives no survival."""
    lacking = [horizon_words(day) for day in horizons_days if model.retained and model.baseline.why_not(day)]
    if lacking:
        last, listed = model.baseline.last_day, ", ".join(lacking)
        yield f"{model.label}: survival is given up to day {last:g}, to which its training patients were followed; none at {listed}."


def remarks_of(models: Iterable[SurvivalModel]) -> Iterator[str]:
    """What was said of several models, once, with their names."""
    labels: dict[str, list[str]] = {}
    for model in models:
        for remark in model.training.remarks if model.retained else ():
            labels.setdefault(remark.replace("clinical.", "").replace("_", " "), []).append(model.label)
    for remark, of in labels.items():
        yield f"{remark[:1].upper()}{remark[1:].rstrip('.')} ({', '.join(of)})."


def _features_of(model: SurvivalModel, selection_frequency: Mapping[str, float]) -> Iterator[page.KeptFeature]:
    """What a model uses: coefficient, p and adjusted p of the univariate step, and how often refits keep it."""
    tested = {
        column: (p, q) for selection in model.selections for column, p, q in zip(selection.kept, selection.univariate_p, selection.univariate_q, strict=True)
    }
    for column in model.inputs:
        p, q = tested.get(column.name, (math.nan, math.nan))
        share = selection_frequency.get(column.name, 0.0) if selection_frequency and column.name in tested else math.nan
        yield page.KeptFeature(model.name, column.name, column.coefficient, p, q, share)


def _loadings(model: SurvivalModel) -> page.Loadings | None:
    """The principal components of a model that has some."""
    if not model.components:
        return None
    return page.Loadings(
        tuple(column.name for column in model.inputs), np.array(model.components), model.explained[: len(model.components)], model.cox_coef, model.cox_p
    )


def sets_of_subgroups(columns: tuple[page.CenterColumn, ...]) -> tuple[str, ...]:
    """The pools, and a single center that is all of its pool: other single centers have too few in a subgroup to draw."""
    return tuple({column.center: None for column in columns if column.center in POOLED or column.paper is not None})


def _ablation(squeezes: bool, compared: bool) -> str:
    """Whether this network squeezes and excites, and what the paper found without."""
    numbers = read_yaml(project_root() / "models" / "paper.yaml")["ablation_without_se"]
    words = {"harrell_c": "C", "auc_1y": "AUC at 1 year", "auc_2y": "2 years", "auc_3y": "3 years"}
    results = "; ".join(f"{words[metric]} {', '.join(f'{split} {values[0]:g}' for split, values in splits.items())}" for metric, splits in numbers.items())
    ours = "with" if squeezes else "without"
    if compared:
        return f"Below, the network {ours} squeeze-and-excitation, then the same trained without it. The paper's without it: {results}."
    more = "ablation.without_se in params.yaml trains both and draws both here"
    return f"This network is {ours} squeeze-and-excitation (models/se_resnet.yaml, se); {more}. The paper's without it: {results}."


def _date(work: Work, registered: RegisterManifest) -> str:
    """The day of registration, so that the same model gives the same page."""
    if registered.version is None:
        return "not registered"
    return registry.find(work.home, registered.version, registered.model).created_at.date().isoformat()


def _flow(work: Work) -> Iterator[page.CenterFlow]:
    with store.connect(work.home, read_only=True) as lake:
        died = {row["patient"]: bool(row["event"]) for row in lake.rows("patients")}
    refused_later = set(manifests.read(work.home, PopulateManifest).refused)
    for center, facts in manifests.read(work.home, IngestManifest).centers.items():
        lost = len(refused_later & set(facts.accepted))
        excluded = [(fault(rule), count) for rule, count in facts.rejected.items()] + ([("features not computed", lost)] if lost else [])
        accepted = set(facts.accepted) - refused_later
        yield page.CenterFlow(
            center=center,
            training=center in work.settings.cohort.train_centers,
            total=facts.found,
            excluded=tuple(excluded),
            accepted=len(accepted),
            events=sum(died[patient] for patient in accepted),
            flagged=tuple((fault(rule), count) for rule, count in facts.flagged.items()),
        )


def columns_of(rows: tuple[MetricRow, ...]) -> Iterator[page.CenterColumn]:
    """Sets of patients: cross-fitted ones first, then the centers that did not train, and last the training patients as the fit saw them.

    The paper's training numbers are apparent ones, and are shown next to those; its test numbers next to the pool.
    """
    for split, words in ((CROSS_FITTED, ", cross-fitted"), ("test", ""), ("train", ", apparent")):
        centers = list(dict.fromkeys(row.center for row in rows if row.split == split))
        single = [center for center in centers if center != TRAINING]
        if split == CROSS_FITTED and len(single) == 1:
            centers = [TRAINING]  # it alone is the pool
        if split == "test" and len([center for center in single if center != EXTERNAL]) == 1:
            centers = [center for center in centers if center != EXTERNAL]  # so is the only center outside
        for center in centers:
            label = single[0] if center == TRAINING and len(single) == 1 else POOLED.get(center, center)
            paper = "train" if split == "train" else "test" if split == "test" and (center == EXTERNAL or EXTERNAL not in centers) else None
            yield page.CenterColumn(center, f"{label}{words}", paper, split)


def _paper() -> Iterator[page.PaperValue]:
    paper = read_yaml(project_root() / "models" / "paper.yaml")
    for model, metrics in {**paper["metrics"], WITHOUT_SE.name: paper["ablation_without_se"]}.items():
        for metric, splits in metrics.items():
            for split, numbers in splits.items():
                yield page.PaperValue(model, metric, split, *numbers)
