"""The simulated cohort: reproducible, honest DICOM, and with the difficulties it promises."""

import hashlib
import json
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pydicom
import pytest

from penumbra.cohort import simulate_anatomy as anatomy
from penumbra.cohort.simulate import REFUSED_BY, Truth, draft_center, read_truth, redrawn_deaths, simulate
from penumbra.cohort.simulate_centers import CENTERS, small_cohort
from penumbra.cohort.simulate_outcomes import COEFFICIENTS, draw_courses

Cohort = tuple[Path, Truth]


def digest(folder: Path) -> dict[str, str]:
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest() for path in sorted(folder.rglob("*")) if path.is_file()}


def slices(folder: Path) -> list[pydicom.Dataset]:
    found = [pydicom.dcmread(path) for path in folder.rglob("*") if path.is_file()]
    return [dataset for dataset in found if dataset.Modality == "CT"]


def structure_set(folder: Path) -> pydicom.Dataset:
    return next(d for d in (pydicom.dcmread(path) for path in folder.rglob("*") if path.is_file()) if d.Modality == "RTSTRUCT")


@pytest.mark.slow
def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    plans = tuple(replace(plan, patients=1, refused=()) for plan in CENTERS)
    simulate(tmp_path / "a", seed=1, centers=plans)
    simulate(tmp_path / "b", seed=1, centers=plans, workers=2)
    simulate(tmp_path / "c", seed=2, centers=plans)
    assert digest(tmp_path / "a") == digest(tmp_path / "b")
    assert set(digest(tmp_path / "a").values()).isdisjoint(digest(tmp_path / "c").values())


def test_the_default_cohort_has_the_patients_it_promises() -> None:
    usable = {plan.name: plan.patients for plan in CENTERS}
    assert usable == {"north": 72, "east": 36, "south": 28}
    kinds = [kind for plan in CENTERS for kind in plan.refused]
    assert set(kinds) == set(REFUSED_BY)
    assert all(1 <= kinds.count(kind) <= 2 for kind in REFUSED_BY)
    for plan in CENTERS:
        drafts = draft_center(plan, seed=5)
        assert len({draft.patient for draft in drafts}) == plan.patients + len(plan.refused)
    assert sum(draft.mixed_gaps for draft in draft_center(CENTERS[0], seed=5)) == 1


def test_the_truth_is_written_beside_the_centers(cohort: Cohort) -> None:
    folder, truth = cohort
    assert read_truth(folder) == truth
    assert sorted(path.name for path in folder.iterdir()) == ["east", "north", "south", "truth.json"]
    for patient in truth.patients:
        course = patient.course
        assert course.log_hazard == pytest.approx(sum(COEFFICIENTS[name] * getattr(course, name) for name in COEFFICIENTS))


def test_an_existing_center_is_never_overwritten(cohort: Cohort) -> None:
    folder, _ = cohort
    with pytest.raises(FileExistsError, match="simulate writes into a new folder"):
        simulate(folder, seed=3, centers=small_cohort(2))


def test_what_an_interrupted_run_left_is_replaced(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    left = tmp_path / f".south.{gone.pid}" / "S001"
    left.mkdir(parents=True)
    (left / "half.dcm").write_bytes(b"half")
    plans = (replace(CENTERS[2], patients=1, refused=()),)
    simulate(tmp_path, seed=1, centers=plans)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["south", "truth.json"]


def test_slices_are_valid_dicom_in_no_useful_order(cohort: Cohort) -> None:
    folder, truth = cohort
    seen = set()
    for plan in CENTERS:
        patient = next(p for p in truth.patients if p.center == plan.name and p.patient != mixed_patient())
        found = sorted(slices(folder / plan.name / patient.patient), key=lambda d: str(d.filename))
        positions = [float(d.ImagePositionPatient[2]) for d in found]
        assert positions != sorted(positions)
        assert positions != sorted(positions, reverse=True)
        assert float(found[0].SliceThickness) in plan.slice_mm
        assert np.allclose(np.diff(sorted(positions)), float(found[0].SliceThickness))
        assert tuple(float(v) for v in found[0].PixelSpacing) == plan.pixel_mm
        assert (found[0].Rows, found[0].Columns) == (plan.rows, plan.columns)
        hu = np.stack([d.pixel_array * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in found])
        assert -1100 < hu.min() < -800
        assert 100 < hu.max() < 900
        seen.add((found[0].PixelRepresentation, float(found[0].RescaleIntercept), float(found[0].RescaleSlope)))
    assert len(seen) == 3


def mixed_patient() -> str:
    return next(d.patient for d in draft_center(small_cohort(2)[0], seed=3) if d.mixed_gaps)


def test_one_patient_mixes_slice_gaps_within_the_tumor(cohort: Cohort) -> None:
    folder, _ = cohort
    place = folder / "north" / mixed_patient()
    heights = sorted(float(d.ImagePositionPatient[2]) for d in slices(place))
    assert set(np.diff(heights).round(3)) == {3.0, 6.0}
    rs = structure_set(place)
    number = next(roi.ROINumber for roi in rs.StructureSetROISequence if roi.ROIName == "GTV-1")
    drawn = next(item for item in rs.ROIContourSequence if item.ReferencedROINumber == number)
    planes = sorted({float(contour.ContourData[2]) for contour in drawn.ContourSequence})
    assert set(np.diff(planes).round(3)) == {3.0, 6.0}


def test_the_rois_stand_under_numbers_and_in_another_order_than_their_names(cohort: Cohort) -> None:
    folder, truth = cohort
    for plan in CENTERS:
        patient = next(p.patient for p in truth.patients if p.center == plan.name)
        rs = structure_set(folder / plan.name / patient)
        assert [roi.ROIName for roi in rs.StructureSetROISequence] == list(plan.roi_names)
        named = [int(roi.ROINumber) for roi in rs.StructureSetROISequence]
        assert [int(item.ReferencedROINumber) for item in rs.ROIContourSequence] == named[::-1]


def test_a_tumor_has_exactly_its_volume_and_stays_in_its_place() -> None:
    rng = np.random.default_rng(1)
    axis = np.arange(-45.0, 46.0)
    for volume_mm3 in (3000.0, 12000.0, 36000.0):
        tumor = anatomy.grow_tumor(volume_mm3, rng, max_reach_mm=34.0)
        inside = np.count_nonzero(tumor.outside_mm(axis, axis, axis) < 0)  # voxels of 1 mm3
        assert inside == pytest.approx(volume_mm3, rel=0.01)
        assert tumor.reach_mm() <= 34.0
        heights = np.arange(-40.0, 41.0)
        area = sum(abs(anatomy.polygon_area(line)) for plane in anatomy.outlines(tumor, heights) for line in plane)
        assert area == pytest.approx(volume_mm3, rel=0.01)
    with pytest.raises(ValueError, match="does not fit"):
        anatomy.grow_tumor(200000.0, rng, max_reach_mm=34.0)


def test_the_scanner_keeps_a_constant_and_averages_over_the_slice() -> None:
    fine = tuple(np.arange(-20.0, 20.5) for _ in range(3))
    axes = (np.arange(-3, 4) * 5.0, np.arange(-8, 9) * 1.0, np.arange(-8, 9) * 1.0)
    flat = np.full((41, 41, 41), -700.0, dtype=np.float32)
    seen = anatomy.acquire(flat, fine, axes, slice_mm=5.0, noise_hu=0.0, offset_hu=20.0, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert np.array_equal(seen, np.full((7, 17, 17), -680, dtype=np.int16))
    step = flat.copy()
    step[20:] = 300.0  # half of the slice at 0 and everything above
    seen = anatomy.acquire(step, fine, axes, slice_mm=5.0, noise_hu=0.0, offset_hu=0.0, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert seen[3, 8, 8] == pytest.approx(-100, abs=60)
    noisy = anatomy.acquire(flat, fine, axes, slice_mm=5.0, noise_hu=20.0, offset_hu=0.0, rng=np.random.default_rng(0))  # type: ignore[arg-type]
    assert noisy.std() == pytest.approx(20, rel=0.1)


@pytest.mark.parametrize("slice_mm", [2.0, 5.0])
def test_both_textures_survive_the_scanner(slice_mm: float) -> None:
    """The same tumor with weak and with strong textures, seen in thin and in thick slices."""
    fine = tuple(np.arange(-62.0, 62.5) for _ in range(3))
    axes = (np.arange(-50.0, 50.0, slice_mm), np.arange(-50.0, 51.0), np.arange(-50.0, 51.0))

    def seen(inside_hu: float, shell_hu: float) -> tuple[float, float, float]:
        rng = np.random.default_rng(5)
        tumor = anatomy.grow_tumor(9000.0, rng, max_reach_mm=34.0)
        painted = anatomy.paint(tumor, fine, inside_hu=inside_hu, shell_hu=shell_hu, wall_side=1, rng=rng)  # type: ignore[arg-type]
        image = anatomy.acquire(painted, fine, axes, slice_mm=slice_mm, noise_hu=15.0, offset_hu=0.0, rng=rng)  # type: ignore[arg-type]
        outside = tumor.outside_mm(*axes)
        ring = image[(outside > 1) & (outside < 6)]
        return float(image[outside < -2].std()), float(ring.std()), float(ring.mean())

    calm, inner, shell = seen(60.0, 100.0), seen(240.0, 100.0), seen(60.0, 400.0)
    assert inner[0] > 2 * calm[0]
    assert shell[1] > 1.5 * calm[1]
    assert shell[2] > calm[2] + 50
    assert inner[1] == pytest.approx(calm[1], rel=0.2)
    assert shell[0] == pytest.approx(calm[0], rel=0.2)


def test_outcomes_follow_the_hazard_and_a_third_is_censored() -> None:
    from penumbra.survival import concordance_index

    oracle, volume = [], []
    for seed in range(4):
        for plan in CENTERS:
            courses = draw_courses(plan.patients, np.random.default_rng((seed, 9)), baseline=plan.baseline)
            time = np.array([course.time for course in courses], dtype=float)
            event = np.array([course.event for course in courses])
            assert 0.30 <= 1 - event.mean() <= 0.40
            assert time.min() >= 1
            assert 400 < np.median(time) < 2600
            causes = np.array([[c.log_volume, c.inside, c.shell] for c in courses])
            assert np.abs(np.corrcoef(causes.T) - np.eye(3)).max() < 0.25
            oracle.append(concordance_index(event, time, np.array([c.log_hazard for c in courses])))
            volume.append(concordance_index(event, time, np.array([c.log_volume for c in courses])))
            assert all(2_000 < c.volume_mm3 < 40_000 for c in courses)
    assert np.mean(oracle) == pytest.approx(0.80, abs=0.025)
    assert np.mean(volume) == pytest.approx(0.62, abs=0.03)


def test_deaths_drawn_again_have_the_true_hazard(tmp_path: Path) -> None:
    truth = simulate(tmp_path / "c", seed=5, centers=small_cohort(2, refused=False))
    names = [person.patient for person in truth.patients]
    random = np.random.default_rng(0)
    days = np.stack([redrawn_deaths(truth, names, random) for _ in range(4000)])
    for place, person in enumerate(truth.patients):
        median = truth.factors[person.center] * truth.median_days * np.exp(-person.course.log_hazard / truth.weibull_shape)
        assert np.median(days[:, place]) == pytest.approx(median, rel=0.08)


def test_a_truth_from_before_it_said_how_survival_was_drawn_is_read(tmp_path: Path) -> None:
    truth = simulate(tmp_path / "c", seed=5, centers=small_cohort(1, refused=False))
    content = json.loads((tmp_path / "c" / "truth.json").read_text(encoding="utf-8"))
    for name in ("weibull_shape", "median_days", "factors"):
        del content[name]
    (tmp_path / "c" / "truth.json").write_text(json.dumps(content), encoding="utf-8")
    before = read_truth(tmp_path / "c")
    assert (before.weibull_shape, before.median_days, before.factors["east"]) == (1.5, 600.0, 1.15)
    assert before.patients == truth.patients
