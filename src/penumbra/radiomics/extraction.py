"""A patient's features: every ROI at once, by one of two engines that agree value for value."""

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from penumbra.base.extras import require
from penumbra.base.params import ParamsError
from penumbra.base.refusal import Refusal, choose
from penumbra.imaging.volume import Mask, Scan
from penumbra.radiomics.engine import VERSION, extract_with_penumbra
from penumbra.radiomics.reference import extract_with_pyradiomics
from penumbra.radiomics.settings import load_settings

ENGINES = {"penumbra": extract_with_penumbra, "pyradiomics": extract_with_pyradiomics}
DEFAULT_ENGINE = "penumbra"
REPRODUCED = "3.0.1"  # the PyRadiomics whose values the own engine gives
# Names of definitions, and not versions that are required: they stay, whatever is installed, or every home would compute its features again.
COMPARED_WITH = {
    "penumbra": {"PyWavelets": "1.9.0", "numba": "0.68.1", "numpy": "2.4.6"},
    "pyradiomics": {"PyWavelets": "1.9.0", "SimpleITK": "2.5.7", "numpy": "2.4.6"},
}

# Peak memory of a process that loads a scan, makes its rings and extracts: measured up to 250 x 250 x 250 voxels, and for PyRadiomics on LUNG1-001.
PROCESS_BYTES = 300 * 2**20  # the libraries
BYTES_A_VOXEL = {"penumbra": 32, "pyradiomics": 170}


def extract(
    scan: Scan, masks: Mapping[str, Mask], settings: Path | str | Mapping[str, Any] | None = None, *, engine: str = DEFAULT_ENGINE
) -> dict[str, dict[str, float]]:
    """Compute the features of every ROI of a patient, named as PyRadiomics names them.

    Parameters
    ----------
    scan : image and GTV (z, y, x), HU
        Normalized by `scan.moments` when it is a crop of a larger image, else by its own moments.
    masks : each (z, y, x)
        ROI name -> mask on the grid of `scan.image`.
    settings
        A PyRadiomics parameter file, or a mapping of its form; None: features/radiomics.yaml, 1316 features.
    engine
        "penumbra", or "pyradiomics" for PyRadiomics itself.

    Returns
    -------
    dict
        ROI name -> feature name -> value.

    Raises
    ------
    Refusal
        `roi_not_empty: ring_3mm has no voxel. ...`, likewise roi_on_grid, roi_dimensions, roi_size, image_varies, voxels_finite, image_large_enough,
        grey_levels, resegmentation, and features_finite when a value is NaN or infinite. `found` names the ROI.
    ParamsError
        The settings hold something unknown, or something that this engine does not offer; or the engine is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from penumbra.imaging import Mask, Scan, Volume
    >>> from penumbra.radiomics import extract
    >>> rng = np.random.default_rng(0)
    >>> gtv = np.zeros((12, 12, 12), dtype=bool)
    >>> gtv[4:8, 4:8, 4:8] = True
    >>> scan = Scan(Volume(rng.integers(-100, 100, gtv.shape).astype(np.int16), (1.0, 1.0, 1.0)), Mask(gtv, (1.0, 1.0, 1.0)))
    >>> settings = {"featureClass": {"firstorder": ["Mean"], "shape": ["VoxelVolume"]}}
    >>> features = extract(scan, {"gtv": scan.gtv}, settings)
    >>> {name: round(value, 3) for name, value in features["gtv"].items()}
    {'original_shape_VoxelVolume': 64.0, 'original_firstorder_Mean': 8.125}
    """
    if engine not in ENGINES:
        raise ParamsError("parameters", f"unknown engine {engine!r}", choose(engine, sorted(ENGINES)))
    features = ENGINES[engine](scan, masks, load_settings(settings, engine=engine))
    for roi, values in features.items():
        bad = [name for name, value in values.items() if not math.isfinite(value)]
        if bad:
            raise Refusal(
                "features_finite",
                f"{roi}: {len(bad)} features are not finite, the first is {bad[0]}",
                "The ROI is too small or too uniform; leave it out",
            )
    return features


def predicted_bytes(voxels: int, engine: str = DEFAULT_ENGINE) -> int:
    """Predict the peak memory of a process that extracts from a saved scan, by measurement.

    Parameters
    ----------
    voxels
        Of the scan.
    engine
        "penumbra" or "pyradiomics".

    Returns
    -------
    int
        Bytes.

    Examples
    --------
    >>> from penumbra.radiomics import predicted_bytes
    >>> predicted_bytes(100**3) < predicted_bytes(100**3, "pyradiomics")
    True
    """
    return PROCESS_BYTES + BYTES_A_VOXEL[engine] * voxels


def engine_version(engine: str = DEFAULT_ENGINE) -> dict[str, str]:
    """Tell what decides the values besides the settings: part of the key of every definition.

    Parameters
    ----------
    engine
        "penumbra" or "pyradiomics".

    Returns
    -------
    dict
        The engine, its version, and the libraries that the definitions of this version were first computed with.

    Notes
    -----
    The own engine gives the values of the PyRadiomics that is named, installed or not. The other libraries are named as they were when the definitions were
    compared with PyRadiomics, not as they are installed: another numpy of the declared range is no other definition, and computes nothing again. A library
    that moves a value beyond the tolerance of the tests is a reason to raise the engine's version. `libraries` tells what is installed.

    Examples
    --------
    >>> from penumbra.radiomics import engine_version
    >>> sorted(engine_version())
    ['PyWavelets', 'engine', 'engine_version', 'numba', 'numpy', 'pyradiomics']
    >>> engine_version("pyradiomics")["engine"]
    'pyradiomics'
    """
    if engine == "penumbra":
        decisive = {"engine_version": VERSION, "pyradiomics": REPRODUCED}
    else:
        decisive = {"pyradiomics": libraries(engine)["pyradiomics"]}
    return {"engine": engine, **decisive, **COMPARED_WITH[engine]}


def libraries(engine: str = DEFAULT_ENGINE) -> dict[str, str]:
    """Tell which libraries compute, each with the version that is installed: kept with what they computed, and in no key.

    Parameters
    ----------
    engine
        "penumbra" or "pyradiomics".

    Returns
    -------
    dict
        Name -> version.

    Examples
    --------
    >>> from penumbra.radiomics import libraries
    >>> sorted(libraries())
    ['PyWavelets', 'numba', 'numpy']
    """
    from importlib.metadata import version

    if engine != "penumbra":
        require("radiomics")
    names = COMPARED_WITH[engine] if engine == "penumbra" else (*COMPARED_WITH[engine], "pyradiomics")
    return {name: version(name) for name in names}
