"""The network as the report shows it: how it was trained, and where it looks."""

from collections.abc import Iterator
from typing import TYPE_CHECKING

import numpy as np

from penumbra import cohort
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import network_file
from penumbra.pipeline.manifests import IngestManifest, TrainManifest
from penumbra.pipeline.workspace import Work
from penumbra.report import inputs as page
from penumbra.report.slices import square_around

if TYPE_CHECKING:
    from penumbra.network import Ensemble


def network_of(work: Work) -> "Ensemble | None":
    """The networks of the last training; None in a state folder that has none."""
    from penumbra import network

    file = network_file(work.home, manifests.read(work.home, TrainManifest).version)
    return network.load(file) if file.is_file() else None


def learning_curves(trained: "Ensemble") -> Iterator[page.LearningCurve]:
    """One for each member."""
    for member in trained.members:
        names = ("train_loss", "validation_loss", "train_c", "validation_c")
        yield page.LearningCurve(member.best_epoch, *(tuple(getattr(epoch, name) for epoch in member.history) for name in names))


def risk_maps(work: Work, trained: "Ensemble", shown: tuple[page.SlicePicture, ...]) -> Iterator[page.RiskMap]:
    """The maps of patients whose slices are shown, on the same slices."""
    from penumbra import network

    settings, numbers = trained.network, work.settings.report
    images = manifests.read(work.home, IngestManifest).scans
    for picture in shown:
        center, version = images[picture.patient]
        scan = cohort.load_patient(work.home / "images", {"center": center, "patient": picture.patient, "image_version": version})
        image, gtv = scan.image.values, scan.gtv.values
        cube = network.prepare(image, gtv, size=settings.input_size, masked=settings.masked_input)
        effect = network.back_to_box(network.occlusion(trained, cube, edge=numbers.occlusion_edge, stride=numbers.occlusion_stride), gtv)
        plane, cut = square_around(scan, numbers.slice_margin_mm)
        yield page.RiskMap(picture.patient, center, image[plane][cut], gtv[plane][cut], np.asarray(effect[plane][cut]), picture.spacing_mm)
