"""What one patient costs from DICOM to certified grid and rings, compared with SimpleITK's whole-image resampling: python -m penumbra.bench.imaging FOLDER."""

import json
import resource
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from penumbra.imaging import Scan


def measure(folder: Path) -> dict[str, float]:
    """Seconds of each step and peak memory in GB; then the seconds of SimpleITK's route, and the largest difference of its HU from ours.

    Ours are rounded to whole HU, SimpleITK's are not: half a HU is all that rounding may add.
    """
    from penumbra.cohort import roi_rules
    from penumbra.imaging import certify, read_patient, rings, to_grid
    from penumbra.pipeline.definition import required_margins
    from penumbra.pipeline.settings import load_settings

    settings = load_settings()
    rules, grid_mm = roi_rules(settings.rois), settings.ingest.grid_mm
    margin_mm = required_margins(rules, settings.radiomics, grid_mm)["margin_mm"]
    began = time.perf_counter(), time.process_time()
    native = read_patient(folder)
    read_at = time.perf_counter()
    grid = to_grid(native, grid_mm, margin_mm=margin_mm)
    gridded_at = time.perf_counter()
    certificate = certify(native, grid, rings(grid.gtv, rules.margins_mm), settings.ingest.certificate)
    end = time.perf_counter(), time.process_time()
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1e6
    theirs, difference = _by_simpleitk(native)
    return {
        "read_s": read_at - began[0],
        "grid_and_moments_s": gridded_at - read_at,
        "rings_and_certificate_s": end[0] - gridded_at,
        "total_s": end[0] - began[0],
        "cpu_s": end[1] - began[1],
        "peak_gb": peak,
        "simpleitk_grid_and_moments_s": theirs,
        "largest_difference_hu": difference,
        "volume_mm3": certificate.grid_mm3,
        "planimetric_mm3": certificate.planimetric_mm3 or float("nan"),
    }


def _by_simpleitk(native: "Scan") -> tuple[float, float]:
    """Seconds for the same grid and moments with ResampleImageFilter, and the largest difference of the whole images."""
    import SimpleITK as sitk

    from penumbra.imaging import to_grid
    from penumbra.imaging.nifti import to_sitk

    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    image = to_sitk(native.image)
    began = time.perf_counter()
    size = [round(count * step) for count, step in zip(image.GetSize(), image.GetSpacing(), strict=True)]
    grid = sitk.Resample(image, size, sitk.Transform(), sitk.sitkBSpline, image.GetOrigin(), (1.0, 1.0, 1.0), image.GetDirection(), 0.0, sitk.sitkFloat32)
    values = sitk.GetArrayFromImage(grid)
    rounded = np.rint(values)
    rounded.mean(dtype=np.float64), rounded.std(dtype=np.float64)
    seconds = time.perf_counter() - began
    ours = to_grid(native).image.values
    # SimpleITK fills planes more than half a voxel beyond the scan with a constant
    inside = tuple(slice(0, int(np.floor((n - 0.5) * step - 1e-9)) + 1) for n, step in zip(native.image.values.shape, native.image.spacing, strict=True))
    return seconds, float(np.abs(values[inside] - ours[inside]).max())


if __name__ == "__main__":
    print(json.dumps(measure(Path(sys.argv[1]))))
