"""What the features cost, paired in one run with PyRadiomics as a user runs it: `python -m penumbra.bench.radiomics`.

LUNG1-001 as the whole image on the 1 mm grid, and crops of real patients spread over the size of their tumors; the GTV and three rings of each; images
in memory, a warm process, one thread. Core-seconds. On LUNG1-001 PyRadiomics measures the GTV alone (about three minutes and 16 GB), which counts four
times: its filters, not its ROIs, take the time; and all four ROIs on crops, as a user who crops first. The last line is one JSON object.
"""

import argparse
import cProfile
import json
import os
import pstats
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from importlib.metadata import version
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from penumbra.base.blocks import GTV
from penumbra.base.params import project_root
from penumbra.bench.parity import relative_differences
from penumbra.bench.patients import crops, lung1_001, shared_data
from penumbra.bench.plain import plain_pyradiomics
from penumbra.imaging import Mask, Scan, Volume
from penumbra.radiomics import extract

Patient = tuple[Scan, dict[str, Mask]]
REFERENCE_GB = 18  # free memory that PyRadiomics needs for LUNG1-001
PARTS = {
    "shape": ("shape_features",),
    "gray levels": ("gray_levels",),
    "first order": ("first_order",),
    "GLCM, GLRLM counts": ("count_pairs",),
    "GLSZM, GLDM counts": ("compare", "join_zones"),
    "NGTDM counts": ("sum_of_27", "sum_differences"),
    "GLCM features": ("cooccurrence_features",),
    "other features": ("run_features", "zone_features", "dependence_features", "difference_features"),
    "LoG filters": ("laplacian_of_gaussian",),
    "wavelets": ("convolved",),
}


def parameter_file() -> Path:
    return project_root() / "features" / "radiomics.yaml"


def seconds(patient: Patient, repeats: int) -> float:
    """Core-seconds of one extraction by the own engine, the best of `repeats`: other work on the machine only ever adds."""
    best = float("inf")
    for _ in range(repeats):
        start = time.process_time()
        extract(*patient, parameter_file())
        best = min(best, time.process_time() - start)
    return best


def reference_seconds(patient: Patient) -> tuple[float, dict[str, dict[str, float]]]:
    """Core-seconds of PyRadiomics' extractor on the same, and the features it gave."""
    start = time.process_time()
    features = plain_pyradiomics(*patient, parameter_file())
    return time.process_time() - start, features


def cropped_seconds(patient: Patient) -> float:
    """Core-seconds of PyRadiomics on a crop around each ROI, normalized once for all."""
    start = time.process_time()
    extract(*patient, parameter_file(), engine="pyradiomics")
    return time.process_time() - start


def warm_up() -> None:
    """Loads or compiles every kernel, and PyRadiomics."""
    ball = ((np.indices((40, 40, 40)) - 20.0) ** 2).sum(axis=0) < 64
    mask = Mask(ball, (1.0, 1.0, 1.0))
    scan = Scan(Volume(np.random.default_rng(0).normal(0, 100, ball.shape).astype(np.int16), mask.spacing), mask)  # as scans are
    extract(scan, {GTV: mask}, parameter_file())
    plain_pyradiomics(scan, {GTV: mask}, parameter_file())


def by_part(patient: Patient) -> dict[str, float]:
    """Share of the time of one extraction that each part takes."""
    profile = cProfile.Profile(time.process_time)
    profile.runcall(extract, *patient, parameter_file())
    seconds_of: dict[str, float] = {}
    rows = pstats.Stats(profile).get_stats_profile()
    for part, functions in PARTS.items():
        seconds_of[part] = sum(rows.func_profiles[name].cumtime for name in functions if name in rows.func_profiles)
    total = rows.total_tt
    seconds_of["the rest"] = total - sum(seconds_of.values())
    return {part: value / total for part, value in seconds_of.items()}


def saved(patient: Patient, folder: Path) -> list[str]:
    """Writes a patient as plain arrays and returns the names of its ROIs: a fresh process then starts from the image alone."""
    scan, masks = patient
    np.save(folder / "image.npy", scan.image.values)
    for roi, mask in masks.items():
        np.save(folder / f"{roi}.npy", mask.values)
    return list(masks)


def peak_gb(folder: str, rois: list[str], spacing: tuple[float, float, float]) -> float:
    """Peak memory of an extraction above that of the process with image and masks in memory; runs in a process of its own."""
    masks = {roi: Mask(np.load(Path(folder) / f"{roi}.npy"), spacing) for roi in rois}
    scan = Scan(Volume(np.load(Path(folder) / "image.npy"), spacing), masks[GTV])
    warm_up()
    baseline = _memory_kb("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # the peak so far was that of loading
    extract(scan, masks, parameter_file())
    return (_memory_kb("VmHWM") - baseline) / 2**20


def _memory_kb(entry: str) -> int:
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith(entry)).split()[1])


def _available_gb() -> float:
    lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
    return int(next(line for line in lines if line.startswith("MemAvailable")).split()[1]) / 2**20


def work_through(data: Path, count: int, rounds: int) -> float:
    """Wall seconds to extract `count` crops `rounds` times, all in memory before."""
    patients = [(scan, masks) for _, scan, masks in crops(count, data)]
    warm_up()
    start = time.perf_counter()
    for _ in range(rounds):
        for patient in patients:
            extract(*patient, parameter_file())
    return time.perf_counter() - start


def scaling(data: Path, count: int = 8, rounds: int = 3) -> float:
    """Throughput of two processes over that of one."""
    with ProcessPoolExecutor(2, mp_context=get_context("spawn")) as pool:
        alone = pool.submit(work_through, data, count, rounds).result()
        together = [pool.submit(work_through, data, count, rounds) for _ in range(2)]
        return 2 * alone / max(job.result() for job in together)


def measure_lung1(data: Path, repeats: int, *, reference: bool) -> dict[str, float | None]:
    """Prints and returns the figures of LUNG1-001."""
    scan, masks, ingest_seconds = lung1_001(data)
    lung1 = scan, masks
    ours = seconds(lung1, repeats)
    parts = by_part(lung1)
    with tempfile.TemporaryDirectory() as folder:
        rois = saved(lung1, Path(folder))
        with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
            peak = pool.submit(peak_gb, folder, rois, scan.image.spacing).result()
    shape = " x ".join(map(str, scan.image.values.shape))
    print(f"LUNG1-001 ({shape} voxels)  own {ours:.2f} s, with ingest from DICOM {ingest_seconds + ours:.2f} s, peak {peak:.2f} GB above the image")
    print("    " + ", ".join(f"{part} {share:.0%}" for part, share in parts.items()), flush=True)
    figures: dict[str, float | None] = {
        "lung1_seconds": round(ours, 3),
        "lung1_speedup": None,
        "lung1_speedup_cropped": None,
        "lung1_from_dicom_seconds": round(ingest_seconds + ours, 2),
        "lung1_peak_gb": round(peak, 3),
        "lung1_largest_difference": None,
    }
    if not reference:
        print("    PyRadiomics left out, as asked\n", flush=True)
        return figures
    cropped = cropped_seconds(lung1)
    figures["lung1_speedup_cropped"] = round(cropped / ours, 1)
    print(f"    PyRadiomics {cropped:.0f} s for the four ROIs with cropping first: {cropped / ours:.0f} times", flush=True)
    if _available_gb() < REFERENCE_GB:
        print(f"    PyRadiomics on the whole image left out: it needs {REFERENCE_GB} GB of free memory, {_available_gb():.0f} are there\n", flush=True)
        return figures
    gtv = {GTV: masks[GTV]}
    one, theirs = reference_seconds((scan, gtv))
    difference = float(relative_differences(extract(scan, gtv, parameter_file())[GTV], theirs[GTV]).max())
    figures |= {"lung1_speedup": round(4 * one / ours, 1), "lung1_largest_difference": difference}
    print(f"    PyRadiomics {one:.0f} s for the GTV alone: {4 * one / ours:.0f} times; largest relative difference {difference:.1e}\n", flush=True)
    return figures


def measure_crops(data: Path, count: int, repeats: int, plot: Path | None) -> dict[str, float | None]:
    """Prints and returns the figures of the crops; draws core-seconds over ROI voxels."""
    print(f"{'patient':12} {'GTV cm3':>8} {'voxels':>8} {'own s':>7} {'PyRadiomics s':>14} {'times':>6}")
    ours, reference, sizes = [], [], []
    for name, scan, masks in crops(count, data):
        ours.append(seconds((scan, masks), repeats))
        reference.append(reference_seconds((scan, masks))[0])
        sizes.append(sum(int(np.count_nonzero(mask.values)) for mask in masks.values()))
        row = f"{name:12} {masks[GTV].volume_mm3 / 1000:8.1f} {sizes[-1]:8d} {ours[-1]:7.3f} {reference[-1]:14.2f} {reference[-1] / ours[-1]:6.1f}"
        print(row, flush=True)
    ratios = np.array(reference) / np.array(ours)
    for label, values in (("own", ours), ("PyRadiomics", reference)):
        print(f"{label:12} median {np.median(values):.3f}, p95 {np.quantile(values, 0.95):.3f}, maximum {max(values):.3f} s a patient")
    slope, constant = np.polyfit(sizes, ours, 1)
    r = float(np.corrcoef(sizes, ours)[0, 1])
    print(f"own time = {constant:.3f} s + {slope * 1e6:.2f} s a million ROI voxels (r {r:.3f})")
    if plot is not None:
        draw(plot, np.array(sizes), np.array(ours), np.array(reference), slope, constant)
    return {
        "crops": len(ours),
        "crops_seconds_median": round(float(np.median(ours)), 3),
        "crops_seconds_p95": round(float(np.quantile(ours, 0.95)), 3),
        "crops_speedup_median": round(float(np.median(ratios)), 2),
        "crops_speedup_p95": round(float(np.quantile(reference, 0.95) / np.quantile(ours, 0.95)), 2),
        "crops_speedup_worst_5_percent": round(float(np.quantile(ratios, 0.05)), 2),
        "crops_linear_r": round(r, 4),
    }


def draw(path: Path, sizes: np.ndarray, ours: np.ndarray, reference: np.ndarray, slope: float, constant: float) -> None:
    """Core-seconds over ROI voxels as SVG: both programs on logarithmic axes, and the straight line through the own engine's."""
    from matplotlib import rc_context
    from matplotlib.figure import Figure

    with rc_context({"svg.hashsalt": "penumbra", "svg.fonttype": "none"}):
        figure = Figure(figsize=(6, 4), layout="constrained")
        axes = figure.add_subplot(xscale="log", yscale="log", xlabel="voxels of the four ROIs", ylabel="core-seconds per patient")
        line = np.geomspace(sizes.min(), sizes.max(), 50)
        axes.plot(line, constant + slope * line, color="C0", linewidth=1, label=f"{constant:.2f} s + {slope * 1e6:.2f} s a million voxels")
        axes.plot(sizes, ours, "o", color="C0", markersize=4, label="penumbra")
        axes.plot(sizes, reference, "s", color="C1", markersize=4, label="PyRadiomics 3.0.1")
        axes.legend(frameon=False)
        figure.savefig(path, format="svg", metadata={"Date": None})


def main(arguments: list[str] | None = None) -> int:
    """Prints a table and one line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m penumbra.bench.radiomics", description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--patients", type=int, default=30, help="crops to measure (default 30)")
    parser.add_argument("--repeats", type=int, default=3, help="runs of the own engine, of which the best counts (default 3)")
    parser.add_argument("--no-lung1-reference", action="store_true", help="leave out PyRadiomics on LUNG1-001")
    parser.add_argument("--plot", type=Path, help="where to draw core-seconds over ROI voxels (SVG)")
    parser.add_argument("--data", type=Path, default=shared_data(), help="folder with nsclc/ and LUNG1-001.tar.xz")
    options = parser.parse_args(arguments)
    warm_up()
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyradiomics", "numpy", "numba", "SimpleITK"))
    print(f"radiomics, {time.strftime('%Y-%m-%d')}, {os.cpu_count()} cores, {packages}; core-seconds for four ROIs x 1316 features\n", flush=True)
    figures = measure_lung1(options.data, options.repeats, reference=not options.no_lung1_reference)
    figures |= measure_crops(options.data, options.patients, options.repeats, options.plot)
    figures["scaling_2"] = round(scaling(options.data), 2)
    print(f"two processes: {figures['scaling_2']} times the throughput of one\n")
    print(json.dumps(figures))
    return 0


if __name__ == "__main__":
    sys.exit(main())
