"""What PyRadiomics tells about an extraction besides the features: columns that begin with `diagnostics_`."""

import sys
from collections.abc import Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
import pywt
import SimpleITK as sitk

from penumbra.radiomics.prepared import Prepared
from penumbra.radiomics.region import bounding_box

PREFIX = "diagnostics_"


def diagnostics(prepared: Prepared, settings: Mapping[str, Any], image_types: Mapping[str, Any], reproduced: str) -> dict[str, Any]:
    """The entries in PyRadiomics' order and types.

    Parameters
    ----------
    settings, image_types
        As the extractor has them.
    reproduced
        The version of PyRadiomics whose values are given.

    Notes
    -----
    `Versions_PyRadiomics` names that version and, since it did not compute them, the program that did.
    """
    entries: dict[str, Any] = {
        "Versions_PyRadiomics": f"v{reproduced} (penumbra {version('penumbra-survival')})",
        "Versions_Numpy": np.__version__,
        "Versions_SimpleITK": sitk.Version().VersionString(),
        "Versions_PyWavelet": pywt.__version__,
        "Versions_Python": ".".join(map(str, sys.version_info[:3])),
        "Configuration_Settings": dict(settings),
        "Configuration_EnabledImageTypes": dict(image_types),
        "Image-original_Hash": sitk.Hash(prepared.image),
        "Image-original_Dimensionality": f"{prepared.image.GetDimension()}D",
    }
    entries.update(_image("original", prepared.image))
    entries["Mask-original_Hash"] = sitk.Hash(prepared.mask)
    entries.update(_mask("original", prepared.mask, prepared.label))
    if prepared.interpolated is not None:
        image, mask = prepared.interpolated
        entries.update({**_image("interpolated", image), **_mask("interpolated", mask, prepared.label, image)})
    for stage, changed in (("corrected", prepared.corrected), ("resegmented", prepared.remaining)):
        if changed is not None:
            entries.update(_mask(stage, changed, prepared.label, prepared.final))
    return {PREFIX + name: value for name, value in entries.items()}


def _image(stage: str, image: sitk.Image) -> dict[str, Any]:
    values = sitk.GetArrayViewFromImage(image)
    name = f"Image-{stage}"
    return {
        f"{name}_Spacing": image.GetSpacing(),
        f"{name}_Size": image.GetSize(),
        f"{name}_Mean": float(np.mean(values, dtype=np.float64)),
        f"{name}_Minimum": float(values.min()),
        f"{name}_Maximum": float(values.max()),
    }


def _mask(stage: str, mask: sitk.Image, label: int, image: sitk.Image | None = None) -> dict[str, Any]:
    inside = sitk.GetArrayViewFromImage(mask) == label
    box = bounding_box(inside)
    assert box is not None  # each was looked at before
    part = inside[box]
    parts = sitk.ConnectedComponentImageFilter()
    parts.FullyConnectedOn()
    parts.Execute(sitk.GetImageFromArray(part.astype(np.uint8)))
    first = np.array([side.start for side in box])
    center = tuple(float(each) for each in (np.mean(np.array(np.nonzero(part)), axis=1) + first)[::-1])
    name = f"Mask-{stage}"
    entries = {
        f"{name}_Spacing": mask.GetSpacing(),
        f"{name}_Size": mask.GetSize(),
        f"{name}_BoundingBox": (*(side.start for side in reversed(box)), *(side.stop - side.start for side in reversed(box))),
        f"{name}_VoxelNum": int(np.count_nonzero(part)),
        f"{name}_VolumeNum": parts.GetObjectCount(),
        f"{name}_CenterOfMassIndex": center,
        f"{name}_CenterOfMass": mask.TransformContinuousIndexToPhysicalPoint(center),
    }
    if image is not None:
        values = sitk.GetArrayViewFromImage(image)[box][part].astype(np.float64)
        entries.update({f"{name}_Mean": float(values.mean()), f"{name}_Minimum": float(values.min()), f"{name}_Maximum": float(values.max())})
    return entries
