"""Figures in a process of their own, which may be killed."""

import os
import signal
from pathlib import Path

import pytest

from penumbra.base.refusal import Refusal
from penumbra.console.drawing import Drawing
from penumbra.console.kept import Kept

pytestmark = pytest.mark.slow


def test_a_figure_is_drawn_once_for_a_state() -> None:
    state = ["first"]
    drawing = Drawing(Kept(lambda: state[0]))
    first = drawing.draw(os.getpid)
    assert first != os.getpid()
    os.kill(first, signal.SIGKILL)
    assert drawing.draw(os.getpid) == first, "the figure of before, not another one"
    state[0] = "second"
    assert drawing.draw(os.getpid) != first, "a process that was killed is started again"
    drawing.close()


def test_a_figure_that_ends_its_process_is_refused(tmp_path: Path) -> None:
    drawing = Drawing(Kept(lambda: 0))
    with pytest.raises(Refusal, match="the process that draws figures ended"):
        drawing.draw(os._exit, 1)
    assert drawing.draw(os.path.exists, str(tmp_path)), "and the next one is drawn"
    drawing.close()
