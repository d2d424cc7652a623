"""The network on the simulated cohort, whose outcome follows the texture inside the tumor."""

import numpy as np
import pytest

from penumbra import cohort, network, store
from penumbra.pipeline import manifests
from penumbra.pipeline.dataset import network_file
from penumbra.pipeline.manifests import IngestManifest, TrainManifest
from penumbra.pipeline.settings import load_settings

from .conftest import Run

pytestmark = [pytest.mark.numeric, pytest.mark.xdist_group("run"), pytest.mark.timeout(1800)]


def test_the_network_finds_what_volume_does_not_tell(run: Run) -> None:
    with store.connect(run.home, read_only=True) as lake:
        rows = [row for row in lake.rows("model_metrics") if (row["center"], row["metric"]) == ("external", "harrell_c")]
    value = {row["model"]: float(row["value"]) for row in rows}
    assert value["DL"] > value["Volume"]


def test_it_looks_inside_the_tumor_where_the_signal_is(run: Run) -> None:
    trained = network.load(network_file(run.home, manifests.read(run.home, TrainManifest).version))
    numbers, settings = load_settings("quick").report, trained.network
    accepted = manifests.read(run.home, IngestManifest).centers["east"].accepted
    inside, outside = [], []
    for patient, version in list(accepted.items())[:8]:
        scan = cohort.load_patient(run.home / "images", {"center": "east", "patient": patient, "image_version": version})
        gtv = scan.gtv.values
        cube = network.prepare(scan.image.values, gtv, size=settings.input_size, masked=settings.masked_input)
        effect = np.abs(network.back_to_box(network.occlusion(trained, cube, edge=numbers.occlusion_edge, stride=numbers.occlusion_stride), gtv))
        inside.append(np.nanmean(effect[gtv]))
        outside.append(np.nanmean(effect[~gtv]))
    assert np.mean(inside) > np.mean(outside)
