"""A cohort of three centers whose truth is known, written as hospitals send it: DICOM CT, RTSTRUCT and a clinical table.

The hazard depends on the tumor's volume, on the texture inside it, and on the texture of the shell around it; on nothing else.
Every patient is drawn from its own random stream, so that the same seed gives the same bytes whatever the order of work.
"""

import contextlib
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from threadpoolctl import threadpool_limits

from penumbra.base.refusal import Refusal
from penumbra.base.whole_files import whole_folder
from penumbra.base.workers import over
from penumbra.cohort import simulate_anatomy as anatomy
from penumbra.cohort.simulate_centers import CENTERS, CenterPlan
from penumbra.cohort.simulate_dicom import Contours, Identity, Study, write_study
from penumbra.cohort.simulate_outcomes import (
    COEFFICIENTS,
    MEDIAN_DAYS,
    WEIBULL_SHAPE,
    Course,
    draw_courses,
    draw_covariates,
    invent_identity,
    spell,
    write_clinical,
)

TRUTH_FILE = "truth.json"
DEPTH_MM = 110.0  # of the scan
MIXED_SLICE_MM = 3.0
# What the truth of a cohort did not say until it was written down, and was.
NOT_WRITTEN_BEFORE: Mapping[str, Any] = {"weibull_shape": 1.5, "median_days": 600.0, "factors": {"north": 1.0, "east": 1.15, "south": 0.9}}

# What is wrong with a patient that must be refused, and the rule that refuses it.
REFUSED_BY = {
    "no_gtv": "gtv_named",
    "empty_gtv": "gtv_not_empty",
    "foreign_frame": "frame_of_reference",
    "survival_missing": "survival_missing",
    "time_negative": "time_not_positive",
}


@dataclass(frozen=True)
class TruePatient:
    """A usable patient and what is true of them; `volume_mm3` is exact, `planimetric_mm3` is that of the contours drawn."""

    patient: str
    center: str
    volume_mm3: float
    planimetric_mm3: float
    course: Course


@dataclass(frozen=True)
class ExpectedRefusal:
    """A patient that must be refused, what is wrong, and by which rule."""

    patient: str
    center: str
    kind: str
    rule: str


@dataclass(frozen=True)
class Truth:
    """What a simulated cohort is made of; written next to the centers as `truth.json`.

    Parameters
    ----------
    seed
        Of all random numbers.
    coefficients
        Log hazard per standard deviation of each hidden cause.
    weibull_shape, median_days
        Of survival with average causes: S(t) = 0.5^((t / (median_days factor))^weibull_shape), to the power exp(log_hazard).
    factors
        Center -> factor on all its survival times.
    patients
        What each was drawn from.
    refusals
        What must be refused, and why.
    planted
        Identifying strings in the DICOM files, which must appear nowhere else.
    """

    seed: int
    coefficients: dict[str, float]
    weibull_shape: float
    median_days: float
    factors: dict[str, float]
    patients: tuple[TruePatient, ...]
    refusals: tuple[ExpectedRefusal, ...]
    planted: tuple[str, ...] = field(repr=False)


@dataclass(frozen=True)
class Draft:
    """One patient before it is drawn: everything that the pixels depend on."""

    patient: str
    plan: CenterPlan
    course: Course
    stream: tuple[int, ...]  # seed of the patient's own random numbers
    refused: str | None
    mixed_gaps: bool


@dataclass(frozen=True)
class SimulatedPatient:
    """What writing a patient leaves for the tables: the clinical row, the planted identity, the volume of the contours in mm3."""

    row: dict[str, str]
    identity: Identity
    planimetric_mm3: float


def simulate(
    folder: Path,
    *,
    seed: int,
    centers: Sequence[CenterPlan] | None = None,
    workers: int = 1,
    progress: Callable[[int, int], None] | None = None,
) -> Truth:
    """Write a cohort below `folder`, one folder per center, and the ground truth next to them.

    Parameters
    ----------
    centers
        Default: CENTERS, 136 usable patients and 10 to be refused.
    workers
        Processes; the result is the same.
    progress
        Called with patients done and patients in all.

    Raises
    ------
    FileExistsError
        `<folder>/<center> exists; simulate writes into a new folder`.
    """
    plans = CENTERS if centers is None else tuple(centers)
    for plan in plans:
        if (folder / plan.name).exists():
            raise FileExistsError(f"{folder / plan.name} exists; simulate writes into a new folder")
    drafts = {plan.name: draft_center(plan, seed) for plan in plans}
    total = sum(map(len, drafts.values()))
    with contextlib.ExitStack() as whole:  # a run that is killed leaves no center that looks complete
        places = {plan.name: whole.enter_context(whole_folder(folder / plan.name, durable=False)) for plan in plans}
        tasks = [(places[plan.name], draft) for plan in plans for draft in drafts[plan.name]]
        by_patient: dict[tuple[str, str], SimulatedPatient] = {}
        results = over(write_patient, tasks, workers) if workers > 1 else ((task, write_patient(task)) for task in tasks)
        for done, ((_, draft), result) in enumerate(results, start=1):
            if isinstance(result, Refusal):
                raise result
            by_patient[draft.plan.name, draft.patient] = result
            if progress:
                progress(done, total)
        patients: list[TruePatient] = []
        refusals: list[ExpectedRefusal] = []
        for plan in plans:
            for draft in drafts[plan.name]:
                if draft.refused:
                    refusals.append(ExpectedRefusal(draft.patient, plan.name, draft.refused, REFUSED_BY[draft.refused]))
                else:
                    drawn_mm3 = by_patient[plan.name, draft.patient].planimetric_mm3
                    patients.append(TruePatient(draft.patient, plan.name, draft.course.volume_mm3, drawn_mm3, draft.course))
            rows = [by_patient[plan.name, draft.patient].row for draft in drafts[plan.name]]
            order = np.random.default_rng((seed, *plan.name.encode())).permutation(len(rows))
            write_clinical(places[plan.name] / "clinical.csv", plan.clinical_style, [rows[i] for i in order])
    planted = {word for result in by_patient.values() for word in result.identity.words()}
    factors = {plan.name: plan.baseline for plan in plans}
    truth = Truth(seed, dict(COEFFICIENTS), WEIBULL_SHAPE, MEDIAN_DAYS, factors, tuple(patients), tuple(refusals), tuple(sorted(planted)))
    (folder / TRUTH_FILE).write_text(json.dumps(asdict(truth), indent=1) + "\n", encoding="utf-8")
    return truth


def read_truth(folder: Path) -> Truth:
    """Read the truth that `simulate` wrote.

    Parameters
    ----------
    folder
        Of the simulated cohort.

    Returns
    -------
    Truth
        Its seed, coefficients, patients and refusals.
    """
    content = json.loads((folder / TRUTH_FILE).read_text(encoding="utf-8"))
    return Truth(
        seed=content["seed"],
        coefficients=content["coefficients"],
        **{name: content.get(name, before) for name, before in NOT_WRITTEN_BEFORE.items()},
        patients=tuple(TruePatient(**{**p, "course": Course(**p["course"])}) for p in content["patients"]),
        refusals=tuple(ExpectedRefusal(**r) for r in content["refusals"]),
        planted=tuple(content["planted"]),
    )


def redrawn_deaths(truth: Truth, patients: list[str], random: np.random.Generator) -> np.ndarray:
    """Draw days to death of some usable patients again from their true hazard.

    Parameters
    ----------
    patients
        Names, n of them.

    Returns
    -------
    array of shape (n,)
        Whole days; nobody is censored.
    """
    of = {person.patient: person for person in truth.patients}
    people = [of[patient] for patient in patients]
    scale = np.array([truth.factors[person.center] for person in people]) * truth.median_days / np.log(2) ** (1 / truth.weibull_shape)
    hazard = np.exp([person.course.log_hazard for person in people])
    return np.asarray(np.maximum(1.0, np.round(scale * (random.exponential(size=len(people)) / hazard) ** (1 / truth.weibull_shape))))


def draft_center(plan: CenterPlan, seed: int) -> list[Draft]:
    """All patients of a center in the order of their names; who is to be refused is spread among them."""
    rng = np.random.default_rng((seed, 1, *plan.name.encode()))
    courses = draw_courses(plan.patients, rng, baseline=plan.baseline)
    fates: list[str | None] = [None] * plan.patients + list(plan.refused)
    if plan.refused:
        courses += draw_courses(len(plan.refused), rng, baseline=plan.baseline)
    order = rng.permutation(len(fates))
    mixed = next((place for place, i in enumerate(order) if fates[i] is None), None) if plan.mixed_gaps else None
    return [
        Draft(f"{plan.name[0].upper()}{place + 1:03d}", plan, courses[i], (seed, 2, *plan.name.encode(), int(i)), fates[i], place == mixed)
        for place, i in enumerate(order)
    ]


def slice_positions(slice_mm: float, *, mixed_gaps: bool) -> np.ndarray:
    """Centers of the slices along z in mm, around 0."""
    if not mixed_gaps:
        depth = round(DEPTH_MM / slice_mm)
        return np.asarray((np.arange(depth) - (depth - 1) / 2) * slice_mm)
    near, far = np.arange(0.0, DEPTH_MM / 2, slice_mm), np.arange(0.0, DEPTH_MM / 2, 2 * slice_mm)
    return np.concatenate([-near[:0:-1], far]) - 2.0  # the gap changes in the middle of the tumor


def write_patient(task: tuple[Path, Draft]) -> SimulatedPatient:
    """Draw one patient and write the folder below the center's.

    Parameters
    ----------
    task
        The center's folder, and the patient.
    """
    with threadpool_limits(limits=1, user_api="blas"):  # sums of several threads differ in their last bit, and a rounded voxel with it
        return _write_patient(*task)


def _write_patient(center_folder: Path, draft: Draft) -> SimulatedPatient:
    rng = np.random.default_rng(draft.stream)
    plan, course = draft.plan, draft.course
    slice_mm = MIXED_SLICE_MM if draft.mixed_gaps else float(rng.choice(plan.slice_mm))
    axes = (
        slice_positions(slice_mm, mixed_gaps=draft.mixed_gaps),
        (np.arange(plan.rows) - (plan.rows - 1) / 2) * plan.pixel_mm[0],
        (np.arange(plan.columns) - (plan.columns - 1) / 2) * plan.pixel_mm[1],
    )
    fine_axes: tuple[np.ndarray, ...] = tuple(np.arange(np.floor(a[0]) - 4, np.ceil(a[-1]) + 4.5, anatomy.FINE_MM) for a in axes)
    wall_side = int(rng.choice([-1, 1]))
    tumor = anatomy.grow_tumor(course.volume_mm3, rng, max_reach_mm=34.0)
    fine = anatomy.paint(
        tumor,
        (fine_axes[0], fine_axes[1], fine_axes[2]),
        inside_hu=course.inside_hu,
        shell_hu=course.shell_hu,
        wall_side=wall_side,
        rng=rng,
    )
    image = anatomy.acquire(
        fine,
        (fine_axes[0], fine_axes[1], fine_axes[2]),
        axes,
        slice_mm=slice_mm,
        noise_hu=float(rng.uniform(*plan.noise_hu)),
        offset_hu=plan.offset_hu,
        rng=rng,
    )
    outlines = anatomy.outlines(tumor, axes[0])
    planes_mm = np.gradient(axes[0])
    planimetric_mm3 = sum(abs(anatomy.polygon_area(line)) * planes_mm[k] for k, lines in enumerate(outlines) for line in lines)
    facts = draw_covariates(course.volume_mm3, rng)
    identity = invent_identity(*plan.institution, {"male": "M", "female": "F", None: "O"}[facts.sex], facts.age or 70.0, rng)
    table_origin = np.array([rng.uniform(-900, 900), rng.uniform(-250, -50), rng.uniform(-120, 120)]).round(1)  # where the couch stood
    study = Study(
        uid_entropy=f"{draft.stream}",
        image=image,
        axes=(axes[0] + table_origin[0], axes[1] + table_origin[1], axes[2] + table_origin[2]),
        slice_mm=slice_mm,
        pixels=plan.pixels,
        rois=list(structures(draft, outlines, axes, wall_side, table_origin, rng)),
        identity=identity,
        manufacturer=plan.scanner[0],
        model=plan.scanner[1],
        kernel=plan.scanner[2],
        study_date=f"20{rng.integers(8, 12):02d}{rng.integers(1, 13):02d}{rng.integers(1, 29):02d}",
        layout=plan.layout,
        foreign_frame=draft.refused == "foreign_frame",
    )
    write_study(center_folder / draft.patient, study, rng)
    time, event = str(course.time), str(int(course.event))
    if draft.refused == "survival_missing":
        time = ""
    elif draft.refused == "time_negative":
        time = str(-course.time)
    return SimulatedPatient(spell(plan.clinical_style, draft.patient, facts, time, event, rng), identity, float(planimetric_mm3))


def structures(
    draft: Draft,
    outlines: Sequence[Sequence[np.ndarray]],
    axes: tuple[np.ndarray, np.ndarray, np.ndarray],
    wall_side: int,
    table_origin: np.ndarray,
    rng: np.random.Generator,
) -> Iterator[Contours]:
    """The ROIs of the structure set: GTV unless the patient lacks it, then what planning systems draw as well."""
    gtv, ptv, lung, cord, body = draft.plan.roi_names
    shift = np.array([table_origin[2], table_origin[1]])
    planes = range(0, len(axes[0]), 3)
    numbers = [int(n) for n in rng.permutation(np.arange(3, 20))[:5]]  # planning systems number as they please

    def placed(line: np.ndarray) -> np.ndarray:
        return np.asarray((line if rng.random() < 0.5 else line[::-1]) + shift)  # either winding

    if draft.refused != "no_gtv":
        gtv_lines = {} if draft.refused == "empty_gtv" else {k: [placed(line) for line in lines] for k, lines in enumerate(outlines) if lines}
        yield Contours(gtv, numbers[0], (255, 0, 0), "GTV", gtv_lines)
    target = {k: [placed(line.mean(0) + 1.35 * (line - line.mean(0))) for line in lines] for k, lines in enumerate(outlines) if lines}
    yield Contours(ptv, numbers[1], (0, 0, 255), "PTV", target)
    height, width = axes[1][-1] - 4.0, axes[2][-1] - 1.0
    edge = np.linspace(-height, height, 24)
    wall = wall_side * (anatomy.WALL_MM - (edge / 16.0) ** 2 / 2)
    middle = -wall_side * (anatomy.WALL_MM + 1.0 + 2.0 * np.sin(edge / 14.0))
    lung_line = np.concatenate([np.column_stack([wall, edge]), np.column_stack([middle, edge])[::-1]])
    yield Contours(lung, numbers[2], (0, 255, 255), "ORGAN", {k: [placed(lung_line)] for k in planes})
    angle = np.linspace(0, 2 * np.pi, 20, endpoint=False)
    cord_line = np.column_stack([-wall_side * 54.0 + 4.0 * np.cos(angle), 30.0 + 4.0 * np.sin(angle)])
    yield Contours(cord, numbers[3], (255, 255, 0), "ORGAN", {k: [placed(cord_line)] for k in planes})
    box = np.array([[-width, -height], [width, -height], [width, height], [-width, height]])
    yield Contours(body, numbers[4], (0, 255, 0), "EXTERNAL", {k: [placed(box)] for k in planes})
