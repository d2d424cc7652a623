"""Progress on stderr."""

import os

import pytest

from penumbra.base.progress import Reached, begin, listening, track

from ..terminal import screen

BAR = """
from penumbra.base.progress import Reached, begin, listening, track
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


def test_whoever_listens_is_told_how_far_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    heard: list[Reached] = []
    with listening(heard.append):
        begin("fuse")
        with track("cross-fit", 4, cost=8.0) as advance:
            advance(cost=2.0)
            advance(3, cost=6.0)
    with track("unheard", 1) as advance:
        advance()
    assert [(each.what, each.done, each.total) for each in heard] == [("fuse", 0, 0), ("cross-fit", 0, 4), ("cross-fit", 1, 4), ("cross-fit", 4, 4)]
    assert heard[0].left_s is None
    assert heard[1].left_s is None
    assert heard[2].left_s is not None
    assert heard[3].left_s == 0
    assert "cross-fit 4/4" in capsys.readouterr().err, "and it is shown as ever"
