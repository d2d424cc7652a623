"""Patients as the report shows them: risk groups, panels with subgroups, pictures."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from penumbra import cohort, imaging
from penumbra.cohort.baseline import baseline_table
from penumbra.evaluate import CROSS_FITTED, EXTERNAL, TRAINING, Evaluating, ModelRisk, clipped
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import Dataset
from penumbra.pipeline.manifests import IngestManifest
from penumbra.pipeline.workspace import Work
from penumbra.report import inputs as page
from penumbra.report import picture_of


def risk_panels(
    data: Dataset, model_risks: Mapping[str, ModelRisk], crossed: Mapping[str, np.ndarray], columns: tuple[page.CenterColumn, ...], numbers: Evaluating
) -> Iterator[page.RiskPanel]:
    """Each model on each set: risks, probabilities and subgroups; a model that retained nothing, or refuses the center, has no panel.

    Parameters
    ----------
    crossed : each (draws, n)
        Model -> cross-fitted risks of the training patients: what a cross-fitted set is drawn with.
    """
    splits = subgroups(data.clinical, numbers.age_split)
    for model, risk in model_risks.items():
        if risk.baseline is None:
            continue
        for column in columns:
            rows = rows_of(data, column.center)
            days = clipped(data.event[rows], data.time[rows], numbers.horizons_days)
            here = _risks_on(risk, crossed.get(model), data.training, rows, column)
            if here is None or not np.isfinite(here[0]).all():
                continue  # a center that the model refuses: the tables say so; no cross-fitted risks
            log_risk, death = here[0], here[1](days)
            yield page.RiskPanel(
                column=column,
                model=model,
                event=data.event[rows],
                time=data.time[rows],
                log_risk=log_risk,
                days=days,
                death=death,
                unanswered=tuple(risk.why_not(day) for day in days),
                high_risk=log_risk > risk.cutoff,
                subgroups=tuple((split, level, member[rows]) for split, level, member in splits),
            )


def _risks_on(
    risk: ModelRisk, crossed: np.ndarray | None, training: np.ndarray, rows: np.ndarray, column: page.CenterColumn
) -> tuple[np.ndarray, Callable[[Sequence[float]], np.ndarray]] | None:
    """Risks (n,) of the patients `rows` of a set, and their probabilities of death; of a cross-fitted set the mean over the draws of the folds."""
    if column.split != CROSS_FITTED:
        here = risk.of(rows)
        return here.log_risk, here.death
    if crossed is None:
        return None
    draws = [replace(risk, log_risk=draw[rows[training]]) for draw in crossed]
    mean = np.mean([draw.log_risk for draw in draws], axis=0)
    return mean, lambda days: np.mean([draw.death(days) for draw in draws], axis=0)


def subgroups(records: tuple[dict[str, Any], ...], age_split: float) -> list[tuple[str, str, np.ndarray]]:
    """Split, level and members (n,) by sex, age, histology and stage; a level without any patient is left out."""
    age = np.array([np.nan if record["age"] is None else float(record["age"]) for record in records])
    stage = np.array([(record["overall_stage"] or "").rstrip("ABC") for record in records])
    named: list[tuple[str, str, np.ndarray]] = []
    for split in ("sex", "histology"):
        values = np.array([record[split] or "" for record in records])
        levels = [(split, str(level).replace("_", " "), values == level) for level in sorted(set(values.tolist()) - {""})]
        # age is between sex and histology, as in the paper
        named += levels if split == "sex" else [("age", f"age < {age_split:g}", age < age_split), ("age", f"age ≥ {age_split:g}", age >= age_split), *levels]
    named += [("stage", "stage I–II", np.isin(stage, ("I", "II"))), ("stage", "stage III", stage == "III")]
    return [entry for entry in named if entry[2].any()]


def rows_of(data: Dataset, center: str) -> np.ndarray:
    """Which patients, (n,) bool, a center or a pooled set holds."""
    pool = {TRAINING: data.training, EXTERNAL: ~data.training}
    return np.asarray(pool.get(center, data.centers == center))


def baseline_of(data: Dataset) -> page.Baseline:
    """The baseline table, training centers against all others."""
    groups = {
        f"{role}: {', '.join(sorted(set(data.centers[chosen].tolist())))}": [data.clinical[i] for i in np.flatnonzero(chosen)]
        for role, chosen in (("training", data.training), ("external test", ~data.training))
        if chosen.any()
    }
    return page.Baseline(tuple(groups), tuple(len(patients) for patients in groups.values()), baseline_table(groups))


def survival_panels(panels: Iterable[page.RiskPanel]) -> Iterator[page.SurvivalPanel]:
    """Both risk groups of each set."""
    for panel in panels:
        yield page.SurvivalPanel(panel.title, panel.event, panel.time, panel.high_risk, panel.column.apparent)


@dataclass(frozen=True)
class ShownPatient:
    """A patient whose picture is shown, with where the image is, the risk and its group."""

    patient: str
    center: str
    image_version: str
    log_risk: float
    risk_group: str


def shown_patients(work: Work, data: Dataset, risk: ModelRisk) -> tuple[ShownPatient, ...]:
    """The patients of highest and lowest risk of each center in turn."""
    images = manifests.read(work.home, IngestManifest).scans
    return tuple(
        ShownPatient(str(data.patients[i]), *images[str(data.patients[i])], float(risk.log_risk[i]), "high" if risk.log_risk[i] > risk.cutoff else "low")
        for i in _shown(data, risk, work.settings.report.patients)
    )


def slices(work: Work, shown: Iterable[ShownPatient]) -> Iterator[page.SlicePicture]:
    """Pictures of patients through the GTV's largest slice."""
    margins = cohort.roi_rules(work.settings.rois).margins_mm
    for each in shown:
        scan = cohort.load_patient(work.home / "images", {"center": each.center, "patient": each.patient, "image_version": each.image_version})
        yield picture_of(
            scan,
            imaging.rings(scan.gtv, margins),
            patient=each.patient,
            center=each.center,
            log_risk=each.log_risk,
            risk_group=each.risk_group,
            margin_mm=work.settings.report.slice_margin_mm,
        )


def _shown(data: Dataset, risk: ModelRisk, count: int) -> list[int]:
    """Indices: per center by turns its highest risk, its lowest, its second highest, ..."""
    queues = []
    for center in sorted(set(data.centers.tolist())):
        ranked = sorted(np.flatnonzero((data.centers == center) & np.isfinite(risk.log_risk)), key=lambda i: -risk.log_risk[i])
        queues.append([int(ranked[k // 2] if k % 2 == 0 else ranked[-1 - k // 2]) for k in range(len(ranked))])
    longest = max(len(queue) for queue in queues)
    return [queue[k] for k in range(longest) for queue in queues if k < len(queue)][:count]
