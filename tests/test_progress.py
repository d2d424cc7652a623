"""Progress on stderr."""

import pytest

from penumbra.progress import track


def test_nothing_to_do_is_not_news(capsys: pytest.CaptureFixture[str]) -> None:
    """`populate 0/0 in 0 s` was printed under every run that had nothing to populate."""
    with track("populate", 0) as advance:
        advance(0, note="nothing")
    assert capsys.readouterr().err == ""
    with track("populate", 2) as advance:
        advance(2)
    assert "populate 2/2" in capsys.readouterr().err
