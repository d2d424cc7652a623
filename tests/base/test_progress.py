"""Progress on stderr."""

import os

import pytest

from penumbra.base.progress import track

from ..terminal import screen

BAR = """
from penumbra.base.progress import track
with track("populate", 40, cost=400.0) as advance:
    for i in range(40):
        advance(cost=10.0, note="loss 0.6931, C 0.71 in training, 0.68 in validation")
"""


def test_nothing_to_do_is_not_news(capsys: pytest.CaptureFixture[str]) -> None:
    """`populate 0/0 in 0 s` was printed under every run that had nothing to populate."""
    with track("populate", 0) as advance:
        advance(0, note="nothing")
    assert capsys.readouterr().err == ""
    with track("populate", 2) as advance:
        advance(2)
    assert "populate 2/2" in capsys.readouterr().err


@pytest.mark.parametrize("width", [80, 100, 160])
def test_a_bar_fits_the_terminal(width: int) -> None:
    shown = screen([BAR], width, dict(os.environ), program=["-c"])
    assert shown.status == 0, shown.text
    assert "40/40" in shown.text
    assert shown.width <= width
