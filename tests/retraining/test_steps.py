"""Which step a retraining resumes with; a recalibration and an update are steps only where params.yaml asks for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from penumbra.pipeline.settings import load_settings
from penumbra.pipeline.workspace import Work
from penumbra.retraining.protocol import STEPS, Steps

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("deaths", "update", "following"),
    [(None, "refit", "refit"), (None, "closed_testing", "update"), (10, "refit", "recalibration"), (10, "closed_testing", "recalibration")],
)
def test_the_first_step_without_a_row_is_the_one_to_resume_with(tmp_path: Path, deaths: int | None, update: str, following: str) -> None:
    settings = load_settings("quick")
    work = Work(tmp_path / "home", replace(settings, retrain=replace(settings.retrain, recalibrate_from=deaths, update=update)), "test")
    steps = Steps(work, "k", "east")
    assert steps.unfinished() == "arrival"
    for step in ("arrival", "validation", "checks"):
        steps.write(step, "done", {})
    assert steps.unfinished() == following
    assert Steps(work, "another", "east").unfinished() == "arrival"
    for step in STEPS[3:]:
        steps.write(step, "done", {})
    assert steps.unfinished() == "decision", "which is what a retraining that was decided ends with"
