"""The two drivers from the command line's side: one Prefect flow run, and DVC told what that run produced."""

import os
import subprocess
import sys
from pathlib import Path

from penumbra.params import project_root
from penumbra.progress import say
from penumbra.work import Manifest, Work

# A temporary Prefect API takes about 20 s to start on two cores, longer on a loaded machine.
PREFECT_START_TIMEOUT_S = 180


def run_flow(work: Work) -> None:
    """Run flows/run.py on `work` as one Prefect flow run."""
    prepare_prefect(work)
    from flows.run import run

    run(work.profile)


def populate(work: Work) -> Manifest:
    """The stage populate without a flow, by the crew that PENUMBRA_DASK names."""
    from flows.crew import crew
    from penumbra import stages

    with crew() as who:
        return stages.populate(work, who)


def retrain_flow(work: Work, center: str, *, again: bool = False) -> Manifest:
    """Run flows/retrain.py for one center as one Prefect flow run; what it decided."""
    prepare_prefect(work)
    from flows.retrain import retrain

    return retrain(center, work.profile, again)


def prepare_prefect(work: Work) -> None:
    """Settings of Prefect before its import: a temporary API on loopback unless PREFECT_API_URL names a server, state below the home."""
    os.environ.setdefault("PREFECT_HOME", str(work.home / "prefect"))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    os.environ.setdefault("PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS", str(PREFECT_START_TIMEOUT_S))
    os.environ.setdefault("PREFECT_LOGGING_LEVEL", "CRITICAL")  # what ends a run is told once, by the command
    os.environ.setdefault("DO_NOT_TRACK", "1")
    if not os.environ.get("PREFECT_API_URL"):
        say("starting the flow (a temporary Prefect API takes about 20 s)")


def record_with_dvc(work: Work) -> None:
    """Write what the run produced into dvc.lock, so that `dvc repro` finds nothing to do.

    Only when this run is the one that dvc.yaml describes: state in data/, the profile of params.yaml. Otherwise says why not.
    """
    root = project_root()
    if work.home != root / "data":
        say("not recorded with DVC: dvc.yaml describes the state in data/, and PENUMBRA_HOME is elsewhere")
    elif work.profile != work.settings.chosen_profile:
        say(f"not recorded with DVC: params.yaml says profile {work.settings.chosen_profile}, this run was {work.profile}")
    else:
        dvc = Path(sys.executable).with_name("dvc")
        done = subprocess.run([dvc, "commit", "--force", "--quiet"], cwd=root, env={**os.environ, "DVC_NO_ANALYTICS": "1"}, capture_output=True, text=True)
        say("recorded with DVC: `dvc repro` has nothing to do" if done.returncode == 0 else f"DVC could not record the run: {done.stderr.strip()[-300:]}")
