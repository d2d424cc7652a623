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

from penumbra.base.params import project_root
from penumbra.bench.patients import crops, shared_data
from penumbra.bench.plain import plain_pyradiomics
from penumbra.imaging import Mask, Scan
from penumbra.radiomics import extract, feature_names

TOLERANCE = 1e-6  # relative, for every feature; none needs an exception


def differences(scan: Scan, masks: dict[str, Mask], parameter_file: Path) -> np.ndarray:
    """Relative differences, shape (ROI, feature), between the own engine and PyRadiomics on the whole image."""
    ours = extract(scan, masks, parameter_file)
    theirs = plain_pyradiomics(scan, masks, parameter_file)
    names = feature_names(parameter_file)
    for roi in masks:
        if tuple(theirs[roi]) != names:
            raise AssertionError(f"PyRadiomics names other features than `feature_names`, the first is {set(theirs[roi]) ^ set(names)}")
    return np.array([relative_differences(ours[roi], theirs[roi]) for roi in masks])


def relative_differences(ours: dict[str, float], theirs: dict[str, float]) -> np.ndarray:
    """|ours - theirs| / |theirs| of each feature, in the order of `theirs`."""
    a, b = np.array([ours[name] for name in theirs]), np.array(list(theirs.values()))
    return np.where(a == b, 0.0, np.abs(a - b) / np.maximum(np.abs(b), np.finfo(float).tiny))


def write_registry(path: Path, largest: np.ndarray, rois: int, names: tuple[str, ...]) -> int:
    """Writes the registry; returns how many features are outside the tolerance."""
    with path.open("w", newline="", encoding="utf-8") as stream:
        table = csv.writer(stream, lineterminator="\n")
        table.writerow(["feature", "rois", "largest_relative_difference", "tolerance"])
        table.writerows([name, rois, f"{value:.1e}", f"{TOLERANCE:g}"] for name, value in zip(names, largest, strict=True))
    return int((largest > TOLERANCE).sum())


def main(arguments: list[str] | None = None) -> int:
    """Measures, writes the registry, prints the worst features; exit status 1 when one is outside the tolerance."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--patients", type=int, default=60)
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--data", type=Path, default=shared_data())
    parser.add_argument("--out", type=Path, default=project_root() / "tests" / "reference" / "radiomics_parity.csv")
    options = parser.parse_args(arguments)
    parameter_file = project_root() / "features" / "radiomics.yaml"
    names = feature_names(parameter_file)
    largest, rois, outside = np.zeros(len(names)), 0, 0
    with ProcessPoolExecutor(options.processes, mp_context=get_context("spawn")) as pool:
        waiting = [(name, pool.submit(differences, scan, masks, parameter_file)) for name, scan, masks in crops(options.patients, options.data)]
        for count, (name, result) in enumerate(waiting, start=1):
            deviations = result.result()
            largest, rois = np.maximum(largest, deviations.max(axis=0)), rois + len(deviations)
            outside = write_registry(options.out, largest, rois, names)  # after each patient: a kill loses nothing
            print(f"{count}/{len(waiting)} {name}: largest {deviations.max():.1e} ({names[int(deviations.max(axis=0).argmax())]})", file=sys.stderr, flush=True)
    for place in np.argsort(-largest)[:10]:
        print(f"{largest[place]:.1e}  {names[place]}")
    print(f"{rois} ROIs, {len(names)} features, {outside} differ by more than {TOLERANCE:g}")
    return int(outside > 0)


if __name__ == "__main__":
    sys.exit(main())
