"""The home that the examples of docstrings begin with: two patients of one center, three features of their GTV, and a registered version."""

import shutil
from pathlib import Path

from penumbra import registry, store
from tests.registry.small_bundle import METRICS, small_bundle

PATIENTS = (
    {"patient": "N001", "center": "north", "age": 61.0, "sex": "female", "time": 420.0, "event": True},
    {"patient": "N002", "center": "north", "age": 74.0, "sex": "male", "time": 730.0, "event": False},
)
FEATURES = ("original_firstorder_Mean", "original_glcm_Contrast", "original_shape_MeshVolume")
VERSION = "0123456789ab"
NETWORK = "network.safetensors"  # next to the home


def make(home: Path) -> None:
    """Fill a new home."""
    fill_store(home)
    fill_registry(home)


def copied(example: Path, home: Path) -> None:
    """Copy what `make` made, with the network of its version next to it."""
    shutil.copytree(example, home)
    shutil.copy(example.with_name(NETWORK), home.with_name(NETWORK))


def fill_store(home: Path) -> None:
    """Write the patients, their scans, and their features."""
    with store.connect(home) as lake:
        of_patients = [{"patient": row["patient"], "center": row["center"], "image_version": "image1"} for row in PATIENTS]
        images = [{**row, "sha256": "0" * 64, "spacing": (3.0, 1.0, 1.0), "size": [80, 512, 512]} for row in of_patients]
        lake.write({"centers": [{"center": "north"}], "patients": list(PATIENTS), "images": images}, run="example", what="ingest north")
        store.declare_version(lake, VERSION, "radiomics", {"engine": "penumbra"}, features=FEATURES, run="example")
        vectors = [{**row, "roi": "gtv", "values": [40.0 + place, 2.5, 1000.0]} for place, row in enumerate(of_patients)]
        store.write_features(lake, "radiomics", VERSION, vectors, features=FEATURES, run="example")


def fill_registry(home: Path) -> None:
    """Register version 1, which becomes champion."""
    network = home.with_name(NETWORK)
    network.write_bytes(b"weights")
    entry = registry.register(home, small_bundle(network), METRICS, model="nsclc-os")
    row = {"model": "nsclc-os", "version": "1", "alias": "champion", "store_commit": 3, "train_centers": ["north"]}
    with store.connect(home) as lake:
        lake.write({"model_versions": [{**row, "digest": entry.digest, "created_at": entry.created_at}]}, run="example", what="register nsclc-os/1")
