"""Names of blocks and of the features in them."""

from pathlib import Path

import pytest

from penumbra.base.blocks import block_and_feature, column, declared_margins, deep_names, middle_margin, ring_margin, ring_name, rois_of
from penumbra.base.params import project_root, read_yaml


@pytest.mark.parametrize("margin", [3, 3.0, 4.5, 12, 0.25])
def test_a_ring_is_named_by_its_margin(margin: float) -> None:
    assert ring_margin(ring_name(margin)) == margin
    assert block_and_feature(column(ring_name(margin), "original_shape_MeshVolume")) == (ring_name(margin), "original_shape_MeshVolume")


def test_names() -> None:
    assert rois_of((3.0, 4.5)) == ("gtv", "ring_3mm", "ring_4.5mm")
    assert deep_names(2) == ("deep_000", "deep_001")
    assert [middle_margin(margins) for margins in ([9, 3, 6], [5], [3, 6], [4, 1, 3, 2])] == [6, 5, 3, 2]


@pytest.mark.parametrize("written", ["margins_mm: [4, 8.5, 12]", "margins_mm: [4,8.5,12]  # mm", "gtv: {}\nmargins_mm:\n  - 4\n  - 8.5\n  - 12"])
def test_the_margins_are_read_as_yaml_reads_them(written: str, tmp_path: Path) -> None:
    (tmp_path / "rois.yaml").write_text(f"# margins_mm: [1]\n{written}\n")
    assert declared_margins(tmp_path) == tuple(read_yaml(tmp_path / "rois.yaml")["margins_mm"]) == (4, 8.5, 12)
    assert declared_margins(project_root() / "features") == tuple(read_yaml(project_root() / "features" / "rois.yaml")["margins_mm"])
