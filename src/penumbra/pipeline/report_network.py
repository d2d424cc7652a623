"""The network as the report shows it: how it was trained, and where it looks."""

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from penumbra import cohort
from penumbra.imaging import Scan, load_scan
from penumbra.pipeline import manifests, networks
from penumbra.pipeline.dataset import network_file
from penumbra.pipeline.manifests import IngestManifest, TrainManifest
from penumbra.pipeline.workspace import Work
from penumbra.report import inputs as page
from penumbra.report.slices import square_around

if TYPE_CHECKING:
    from penumbra.network import Ensemble


def network_of(work: Work) -> "Ensemble | None":
    """The networks of the last training; None in a state folder that has none."""
    file = network_file(work.home, manifests.read(work.home, TrainManifest).version)
    return networks.load(work.home, file) if file.is_file() else None


def learning_curves(trained: "Ensemble") -> Iterator[page.LearningCurve]:
    """One for each member."""
    for member in trained.members:
        names = ("train_loss", "validation_loss", "train_c", "validation_c")
        yield page.LearningCurve(member.best_epoch, *(tuple(getattr(epoch, name) for epoch in member.history) for name in names))


def risk_maps(work: Work, trained: "Ensemble", shown: tuple[page.SlicePicture, ...]) -> Iterator[page.RiskMap]:
    """The maps of patients whose slices are shown, on the same slices."""
    images, numbers = manifests.read(work.home, IngestManifest).scans, work.settings.report
    for picture in shown:
        center, version = images[picture.patient]
        scan = cohort.load_patient(work.home / "images", {"center": center, "patient": picture.patient, "image_version": version})
        gtv, effect = scan.gtv.values, effect_of(trained, scan, edge=numbers.occlusion_edge, stride=numbers.occlusion_stride)
        plane, cut = square_around(scan, numbers.slice_margin_mm)
        yield page.RiskMap(picture.patient, center, scan.image.values[plane][cut], gtv[plane][cut], np.asarray(effect[plane][cut]), picture.spacing_mm)


def effect_of(trained: "Ensemble", scan: Scan, *, edge: int, stride: int) -> np.ndarray:
    """Where the networks look: the change of their log_risk by what is seen at a voxel of the scan, (z, y, x); NaN outside the box of the GTV.

    Parameters
    ----------
    edge, stride
        See `network.occlusion`.
    """
    from penumbra import network

    settings, gtv = trained.network, scan.gtv.values
    cube = network.prepare(scan.image.values, gtv, size=settings.input_size, masked=settings.masked_input)
    return network.back_to_box(network.occlusion(trained, cube, edge=edge, stride=stride), gtv)


def effect_in_box(home: Path, weights: Path, folder: Path, edge: int, stride: int) -> np.ndarray:
    """The same in the box of the GTV alone, float32, from the files of a version's network and of a saved scan: for a process of its own."""
    effect = effect_of(networks.load(home, weights), load_scan(folder), edge=edge, stride=stride)
    inside = np.isfinite(effect)
    box = tuple(slice(int(places.min()), int(places.max()) + 1) for places in np.nonzero(inside))
    return effect[box].astype(np.float32)
