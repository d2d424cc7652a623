"""Rings against distances counted by hand and pair by pair."""

import numpy as np
import pytest

from penumbra.imaging import Mask, ring_loss, ring_name, rings


def test_one_voxel() -> None:
    values = np.zeros((15, 15, 15), dtype=bool)
    values[7, 7, 7] = True
    found = rings(Mask(values, (1.0, 1.0, 1.0)), [1, 2, 3])
    # integer points with 0 < x2 + y2 + z2 <= m2 (lattice points in a ball, without the center)
    assert {name: int(mask.values.sum()) for name, mask in found.items()} == {"ring_1mm": 6, "ring_2mm": 32, "ring_3mm": 122}


def test_unequal_spacing_against_all_pairs() -> None:
    values = np.random.default_rng(1).random((9, 12, 14)) > 0.99
    spacing = (3.0, 1.5, 0.8)
    mask = Mask(values, spacing, (1.0, 2.0, 3.0))
    points = np.argwhere(np.ones(values.shape, dtype=bool)) * spacing
    distance = np.linalg.norm(points[:, None] - (np.argwhere(values) * spacing)[None], axis=2).min(axis=1).reshape(values.shape)
    for margin in (3.0, 4.5):
        ring = rings(mask, [margin])[ring_name(margin)]
        assert np.array_equal(ring.values, (distance > 0) & (distance <= margin))
        assert ring.spacing == spacing
        assert ring.origin == mask.origin
        assert not (ring.values & values).any()


def test_clipping_loses_what_lies_beyond_the_image() -> None:
    whole = np.zeros((40, 40, 40), dtype=bool)
    whole[18:22, 10:14, 15:25] = True
    full = rings(Mask(whole, (1.0, 1.0, 1.0)), [3, 6])
    cut = Mask(whole[18:, 8:, :], (1.0, 1.0, 1.0))
    assert ring_loss(Mask(whole, (1.0, 1.0, 1.0)), [3, 6]) == {"ring_3mm": 0.0, "ring_6mm": 0.0}
    lost = ring_loss(cut, [3, 6])
    for name, mask in rings(cut, [3, 6]).items():
        assert np.array_equal(mask.values, full[name].values[18:, 8:, :])
        assert lost[name] == pytest.approx(full[name].volume_mm3 - mask.volume_mm3)
        assert lost[name] > 0
