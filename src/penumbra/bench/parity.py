"""The parity registry: for each feature the largest relative difference from PyRadiomics on real patients.

python -m penumbra.bench.parity [--patients 60] [--processes 1] [--out tests/reference/radiomics_parity.csv]
"""

import argparse
import csv
import sys
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

import numpy as np

from penumbra.bench.patients import crops, shared_data
from penumbra.bench.plain import plain_pyradiomics
from penumbra.imaging import Mask, Scan
from penumbra.params import project_root
from penumbra.radiomics import extract, feature_names

TOLERANCE = 1e-6
# Features whose value may come near zero by cancellation: the difference is a rounding, its ratio to the value is not.
NEAR_ZERO = {
    "firstorder_Mean": "a mean near zero is the difference of large sums",
    "firstorder_Median": "a median near zero inherits the rounding of the filtered image",
    "firstorder_Skewness": "a skewness near zero is the difference of large sums of cubes",
    "glcm_ClusterShade": "a shade near zero is the difference of large sums of cubes",
    "glcm_Imc1": "near zero it is the difference of two entropies",
    "glcm_Imc2": "the root of a difference of two entropies",
    "glcm_Correlation": "a correlation near zero is the difference of large sums",
    "glcm_MCC": "eigenvalues of a matrix with rare grey levels",
}
NEAR_ZERO_TOLERANCE = 1e-5


def differences(scan: Scan, masks: dict[str, Mask], parameter_file: Path) -> np.ndarray:
    """Relative differences, shape (ROI, feature), between the own engine and PyRadiomics on the whole image."""
    ours = extract(scan, masks, parameter_file)
    theirs = plain_pyradiomics(scan, masks, parameter_file)
    names = feature_names(parameter_file)
    for roi in masks:
        if tuple(theirs[roi]) != names:
            raise AssertionError(f"PyRadiomics names other features than `feature_names`, the first is {set(theirs[roi]) ^ set(names)}")
    a = np.array([[ours[roi][name] for name in names] for roi in masks])
    b = np.array([[theirs[roi][name] for name in names] for roi in masks])
    return np.where(a == b, 0.0, np.abs(a - b) / np.maximum(np.abs(b), np.finfo(float).tiny))


def tolerance(feature: str) -> tuple[float, str]:
    """The difference that is allowed, and why it is more than TOLERANCE where it is."""
    reason = NEAR_ZERO.get(feature.split("_", 1)[1])
    return (TOLERANCE, "") if reason is None else (NEAR_ZERO_TOLERANCE, reason)


def write_registry(path: Path, largest: np.ndarray, rois: int, names: tuple[str, ...]) -> int:
    """Writes the registry; returns how many features are outside their tolerance."""
    outside = 0
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["feature", "rois", "largest_relative_difference", "tolerance", "reason"])
        for name, value in zip(names, largest, strict=True):
            allowed, reason = tolerance(name)
            outside += value > allowed
            table.writerow([name, rois, f"{value:.1e}", f"{allowed:g}", reason])
    return outside


def main(arguments: list[str] | None = None) -> int:
    """Measures, writes the registry, prints the worst features; exit status 1 when one is outside its tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--out", type=Path, default=project_root() / "tests" / "reference" / "radiomics_parity.csv")
    chosen = parser.parse_args(arguments)
    parameter_file = project_root() / "features" / "radiomics.yaml"
    names = feature_names(parameter_file)
    largest, rois, outside = np.zeros(len(names)), 0, 0
    with ProcessPoolExecutor(chosen.processes, mp_context=get_context("spawn")) as pool:
        waiting = [(name, pool.submit(differences, scan, masks, parameter_file)) for name, scan, masks in crops(chosen.patients, chosen.data)]
        for done, (name, result) in enumerate(waiting, start=1):
            found = result.result()
            largest, rois = np.maximum(largest, found.max(axis=0)), rois + len(found)
            outside = write_registry(chosen.out, largest, rois, names)  # after each patient: a kill loses nothing
            print(f"{done}/{len(waiting)} {name}: largest {found.max():.1e} ({names[int(found.max(axis=0).argmax())]})", file=sys.stderr, flush=True)
    for place in np.argsort(-largest)[:10]:
        print(f"{largest[place]:.1e}  {names[place]}")
    print(f"{rois} ROIs, {len(names)} features, {outside} outside their tolerance; {int((largest > TOLERANCE).sum())} differ by more than {TOLERANCE:g}")
    return int(outside > 0)


if __name__ == "__main__":
    sys.exit(main())
