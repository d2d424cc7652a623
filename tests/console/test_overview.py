"""The first page: an empty folder, a champion, a command at work; and the check in the background."""

import time
from pathlib import Path

import pytest

from penumbra.base.progress import begin, track
from penumbra.pipeline import history
from penumbra.pipeline.workspace import one_run_at_a_time

from . import serving
from .serving import Served

pytestmark = pytest.mark.slow


def test_a_newcomer_sees_what_to_type(tmp_path: Path) -> None:
    with serving.served(tmp_path / "home") as running:
        for path in ("/", "/models", "/decisions", "/models/compare", "/health"):
            answer = running.get(path)
            assert answer.status == 200, f"{path}: {answer.text[-1500:]}"
        page = running.get("/").text
        assert "Nothing has arrived yet" in page
        assert "penumbra simulate simulated &amp;&amp; penumbra run --cohort simulated" in page
        assert "penumbra run" in running.get("/models").text
    assert not (tmp_path / "home" / "store").exists(), "looking makes nothing"


def test_the_champion_and_what_it_is_good_for(two: Served) -> None:
    page = two.get("/").text
    assert "nsclc-os/1</a>" in page
    evidence = page[page.index('id="champion"') :]
    assert evidence.index("inside, cross-fitted") < evidence.index("east")
    assert "0.710 (0.620 to 0.780)" in evidence
    assert "0.580 (0.490 to 0.660)" in evidence
    assert "not a medical device" in evidence
    assert "0.810" not in page, "what the fit saw says nothing"


def test_what_was_decided_arrived_and_was_written(two: Served) -> None:
    page = two.get("/").text
    assert "Promoted: with intercept -0.8." in page
    assert "GTV without contours or voxels 3" in page
    assert "commit " in page


def test_what_runs_is_shown_with_its_progress(two: Served) -> None:
    """The page is never answered from a browser's copy: a run advances without a commit."""
    assert "No command is running here" in two.get("/", cache_control="no-cache").text
    with one_run_at_a_time(two.home), history.noted(two.home, "penumbra fuse --profile quick"):
        begin("fuse")
        with track("cross-fit", 10) as advance:
            advance(10)
            answer = two.get("/", cache_control="no-cache")
        assert "etag" not in answer.headers
        assert "penumbra fuse --profile quick" in answer.text
        assert "fuse: cross-fit 10/10" in answer.text
        assert '<progress max="10" value="10"' in answer.text
        assert 'data-poll="3"' in answer.text
    assert "No command is running here" in two.get("/", cache_control="no-cache").text


def test_a_command_that_failed_is_named(two: Served) -> None:
    with pytest.raises(ZeroDivisionError), history.noted(two.home, "penumbra evaluate"):
        1 / 0  # noqa: B018
    page = two.get("/", cache_control="no-cache").text
    assert "penumbra evaluate" in page
    assert "failed" in page
    history.forget(two.home)


def test_health_is_examined_in_the_background(two: Served) -> None:
    begun = two.get("/health")
    assert begun.status == 200
    assert "examining" in begun.text
    end = time.monotonic() + 120
    while "examining" in (page := two.get("/health").text):
        assert time.monotonic() < end
        time.sleep(0.5)
    assert "requirements.lock" in page or "duckdb" in page
    assert "what is wrong first" in page
    assert "Examine again" in page
    assert two.get("/health?again=1").status == 303
