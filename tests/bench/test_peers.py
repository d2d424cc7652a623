"""Other engines are asked in processes of their own: what they say is compared by name, and one that ends or hangs holds nothing up."""

import sys
from pathlib import Path

import numpy as np
import pytest

from penumbra.bench import peers
from penumbra.imaging import Mask, Scan, Volume


def test_values_are_compared_by_their_names_without_punctuation() -> None:
    reference = {"original_glcm_JointEntropy": 2.0, "original_firstorder_Kurtosis": 3.0, "original_shape_Sphericity": 0.5, "diagnostics_x": 1.0}
    answer = peers.agreement({"glcm:joint_entropy": 2.0 + 2e-8, "firstorder:kurtosis": 0.0, "other": 1.0}, reference)
    assert (answer["compared"], answer["equal"]) == (2, 1)
    assert answer["largest"] == pytest.approx(1e-8)


def test_an_engine_of_this_environment_answers_and_one_that_is_no_engine_does_not(tmp_path: Path) -> None:
    inside = np.zeros((12, 14, 16), dtype=bool)
    inside[4:8, 4:9, 4:10] = True
    place = {"spacing": (1.0, 1.0, 1.0), "origin": (0.0, 0.0, 0.0), "direction": np.eye(3)}
    mask = Mask(inside, **place)
    scan = Scan(Volume(np.random.default_rng(3).integers(-100, 100, inside.shape).astype(np.int16), **place), mask)
    assert peers.export(tmp_path, [("cube", scan, {"gtv": mask})]) == {"cube": 4 * 5 * 6}
    answers = {}
    for name in ("penumbra", "pyradiomics"):
        engine = peers.Engine(name, peers.started(Path(sys.executable), name))
        answers[name] = engine.ask(tmp_path / "cube")
        engine.end()
    assert answers["penumbra"] is not None
    assert answers["pyradiomics"] is not None
    agreement = peers.agreement(answers["penumbra"]["values"], answers["pyradiomics"]["values"])
    assert (agreement["compared"], agreement["equal"]) == (107, 107)
    stranger = peers.Engine("stranger", peers.started(Path(sys.executable), "stranger"))
    stranger.process.wait(60)
    assert stranger.ask(tmp_path / "cube") is None
    for _ in range(2):
        stranger.end()
