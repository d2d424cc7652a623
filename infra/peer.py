"""One engine of radiomics, in its own environment, asked line by line: PYTHON peer.py ENGINE. Only that engine, numpy and SimpleITK are there.

A line on standard input names an image and a mask; the answer is one line of JSON: processor seconds, and the values by the engine's own names. An engine that
works longer than a minute is ended by who asks.
"""

import json
import logging
import os
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMBA_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[name] = "1"

BIN_HU = 25.0
Run = Callable[[Any, Any], Mapping[str, Any]]


def penumbra() -> Run:
    """The engine of penumbra."""
    from penumbra.radiomics import FeatureExtractor

    return FeatureExtractor(binWidth=BIN_HU).execute


def pyradiomics() -> Run:
    """PyRadiomics, and pyradiomics-cuda, which has its names."""
    import radiomics
    from radiomics import featureextractor

    radiomics.setVerbosity(60)
    run: Run = featureextractor.RadiomicsFeatureExtractor(binWidth=BIN_HU).execute
    return run


def flash() -> Run:
    """flash-radiomics on the processor."""
    from flash_radiomics.featureextractor import RadiomicsFeatureExtractor

    run: Run = RadiomicsFeatureExtractor(binWidth=BIN_HU, backend="cpu", output_dir=tempfile.mkdtemp()).execute
    return run


def fastrad() -> Run:
    """The engine fastrad on the processor."""
    import numpy as np
    import SimpleITK as sitk
    import torch
    from fastrad import FeatureExtractor, FeatureSettings, Mask, MedicalImage

    torch.set_num_threads(1)
    extractor = FeatureExtractor(FeatureSettings(bin_width=BIN_HU, device="cpu"))

    def run(image: Any, mask: Any) -> Mapping[str, Any]:
        values, inside = sitk.GetArrayFromImage(image).astype(np.float32), sitk.GetArrayFromImage(mask)
        answer: Mapping[str, Any] = extractor.extract(MedicalImage(torch.from_numpy(values)), Mask(torch.from_numpy(inside)))
        return answer

    return run


ENGINES = {"penumbra": penumbra, "pyradiomics": pyradiomics, "pyradiomics-cuda": pyradiomics, "flash-radiomics": flash, "fastrad": fastrad}


def main() -> None:
    """Answer until standard input ends."""
    import SimpleITK as sitk

    warnings.filterwarnings("ignore")
    logging.disable(logging.CRITICAL)
    sitk.ProcessObject.SetGlobalDefaultNumberOfThreads(1)
    answers, sys.stdout = sys.stdout, sys.stderr  # what an engine prints is no answer
    run = ENGINES[sys.argv[1]]()
    for line in sys.stdin:
        image, mask = (sitk.ReadImage(str(Path(line.strip()) / name)) for name in ("image.nrrd", "mask.nrrd"))
        began = time.process_time()
        result = run(image, mask)
        seconds = time.process_time() - began
        print(json.dumps({"seconds": seconds, "values": dict(_numbers(result))}), file=answers, flush=True)


def _numbers(result: Mapping[str, Any]) -> list[tuple[str, float]]:
    numbers = []
    for name, value in result.items():
        try:
            numbers.append((str(name), float(value)))
        except (TypeError, ValueError):  # diagnostics
            continue
    return numbers


if __name__ == "__main__":
    main()
