"""The heat map of stability, its table, and the answer of the checklist."""

from collections.abc import Callable

import pytest

from penumbra.base.companion import Companion
from penumbra.report import ReportInputs
from penumbra.report.inputs import StabilityCell, StabilityOfRoi
from penumbra.report.page import draw, html
from penumbra.report.stability import heat_map, stability_table

NAN = float("nan")
MEASURED = StabilityOfRoi(
    "ring_6mm",
    ("noise", "mask"),
    12,
    (
        StabilityCell("original", "shape", 14, {"noise": 1.0, "mask": 0.9}, 0.9, 1.0),
        StabilityCell("original", "glcm", 24, {"noise": 0.8, "mask": 0.7}, 0.66, 0.25),
        StabilityCell("wavelet-HHH", "glcm", 24, {"noise": 0.1, "mask": 0.5}, 0.07, 0.0),
        StabilityCell("log-sigma-1-0-mm-3D", "ngtdm", 5, {"noise": NAN, "mask": NAN}, NAN, 0.0),
    ),
)


def test_the_heat_map_says_what_it_shows() -> None:
    figure = heat_map(MEASURED, "stability_1")
    assert figure.alt == ("Median of the lowest ICC under noise, mask, ring 6 mm, 3 images by 3 families; highest original shape 0.90; lowest HHH glcm 0.07.")
    for text in (">0.90<", ">0.07<", ">LoG 1 mm<", ">HHH<"):
        assert text in figure.svg
    assert figure == heat_map(MEASURED, "stability_1"), "the same numbers give the same bytes"


def test_the_table_has_every_cell() -> None:
    lines = stability_table([MEASURED]).csv.splitlines()
    assert lines[0] == "roi,image,family,features,noise,mask,lowest,stable"
    assert lines[2] == "ring_6mm,original,glcm,24,0.8,0.7,0.66,0.25"
    assert len(lines) == 5


@pytest.mark.parametrize("measured", [(), (MEASURED,)], ids=["not measured", "measured"])
def test_the_page_shows_it_where_it_was_measured(make_inputs: Callable[..., ReportInputs], measured: tuple[StabilityOfRoi, ...]) -> None:
    inputs = make_inputs(stability=measured)
    with Companion() as others:
        contents = draw(inputs, others)
    page = html(inputs, contents)
    assert ('id="stability"' in page) is bool(measured)
    assert ("stability" in contents.tables) is bool(measured)
    assert ("12 training patients measured again under noise, mask" in page) is bool(measured)
