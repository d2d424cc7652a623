"""Models follow the rings that features/rois.yaml has."""

import pytest

from penumbra.base.params import project_root, read_yaml
from penumbra.fusion import all_for_margins, declarations

FILES = ("signatures", "combined", "controls", "late")


def written() -> dict[str, dict[str, object]]:
    return {name: read_yaml(project_root() / "models" / f"{name}.yaml") for name in FILES}


@pytest.mark.parametrize(("margins", "middle"), [([4, 8, 12], "8"), ([2.5], "2.5"), ([9, 4.5], "4.5"), ([1, 2, 3, 4, 5], "3")])
def test_every_ring_has_its_signatures_and_the_combined_model_takes_the_middle_one(margins: list[float], middle: str) -> None:
    found = declarations(all_for_margins(written(), margins))
    rings = [f"{margin:g}mm" for margin in margins]
    assert list(found)[:-7] == ["Rad", *(f"Rad_{ring}" for ring in rings), *(f"Rad+Rad_{ring}" for ring in rings)]
    assert found[f"Rad+Rad_{rings[-1]}"].blocks == ("gtv", f"ring_{rings[-1]}")
    assert found[f"Rad_{rings[0]}"].label == f"Rad {margins[0]:g} mm"
    assert found["Combined"].blocks == found["Combined+Clinical"].blocks == ("gtv", f"ring_{middle}mm", "deep")


def test_a_model_of_one_ring_stays_as_it_is_written() -> None:
    entry = {"label": "Six", "family": "radiomics", "kind": "signature", "blocks": ["ring_6mm"]}
    assert all_for_margins({"own": {"Six": entry}}, [3, 6, 9]) == {"own": {"Six": entry}}
