"""The two drivers from the command line's side: one Prefect flow run, and DVC informed of what that run produced."""

import os
import subprocess
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

from penumbra.base import parent_bound
from penumbra.base.params import project_root
from penumbra.base.progress import say
from penumbra.flows import late, temporary_api
from penumbra.flows.late import Label
from penumbra.flows.retry import patiently
from penumbra.pipeline import arrivals, early, notifications
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.stages import STAGES
from penumbra.pipeline.workspace import Work

if TYPE_CHECKING:
    from prefect import Flow

    from penumbra.flows.parameters import Profile

Result = TypeVar("Result")
started, _starting = list[temporary_api.Api](), threading.Lock()  # the one API that this process started, once it has
RECORDED = "recorded with DVC: `dvc repro` has nothing to do. The state stays in data/ and dvc push moves none of it; penumbra export packs the store"


def run_flow(work: Work) -> None:
    """Run flows/run.py on `work` as one Prefect flow run; as plain calls where no server is named, which a temporary one shows."""

    def flow() -> None:
        from penumbra.flows.run import run

        run(cast("Profile", work.profile))

    def declared() -> "Flow[..., Any]":
        from penumbra.flows.run import run

        return run

    centers = (f"center:{center}" for center in arrivals.center_folders(work.home))
    as_flow(work, flow, lambda: _stages(work), Label(declared, ("run",), {"profile": work.profile}, tuple(centers)))


def retrain_flow(work: Work, center: str, *, include_set_aside: bool = False) -> DecisionManifest:
    """Run flows/retrain.py for one center as one Prefect flow run, or as plain calls where no server is named; what it decided."""

    def flow() -> DecisionManifest:
        from penumbra.flows.retrain import retrain

        return retrain(center, cast("Profile", work.profile), include_set_aside=include_set_aside)

    def plain() -> DecisionManifest:
        from penumbra.flows.pool import open_pool
        from penumbra.retraining import protocol

        decided = patiently("retrain", lambda: protocol.retrain(work, center, open_pool, include_set_aside=include_set_aside))
        _notify(work)
        return decided

    def declared() -> "Flow[..., Any]":
        from penumbra.flows.retrain import retrain

        return retrain

    parameters = {"center": center, "profile": work.profile, "include_set_aside": include_set_aside}
    return as_flow(work, flow, plain, Label(declared, ("retrain", center), parameters, (f"center:{center}",)))


def _stages(work: Work) -> None:
    """The path as plain calls."""
    from penumbra.flows.pool import run_stage

    with early.begun(work) as before:
        for stage in STAGES:
            before(stage.name)
            if stage.retried:
                patiently(stage.name, partial(run_stage, stage, work))
            else:
                run_stage(stage, work)


def _notify(work: Work) -> None:
    """Send the decision: the service's address is a block of Prefect's API, so here it is waited for. Where a server is away, with the next decision."""
    if _is_named() or not notifications.service(work):
        return
    if api_of_this_process(work.home).answers():
        from penumbra.flows.notify import notify

        notify(work)
    else:
        say(f"no notification by {notifications.service(work)}: Prefect's API, which has its address, is not up; it stays in {notifications.FOLDER}/")


def as_flow(work: Work, flow: Callable[[], Result], plain: Callable[[], Result], label: Label) -> Result:
    """`plain()`, shown by a temporary API of Prefect; where PREFECT_API_URL names a server, `flow()`.

    Where that server is gone before the flow ends: what the flow came to, or `plain()`. Each stage does only what is missing.
    """
    prepare_prefect(work)
    if not _is_named():
        with late.shown(work, label, partial(api_of_this_process, work.home)):
            return plain()
    from penumbra.flows import discreet, outbox, outcome

    outcome.begin()
    try:
        return flow()
    except Exception as raised:
        error = discreet.plain(raised)
    if not outbox.unanswered(error):
        raise error  # outside of the clause: its own cause stays
    results: list[Result] = outcome.results()
    if results:
        return results[-1]
    say("the Prefect server does not answer; the run goes on without it")
    return plain()


def _is_named() -> bool:
    """Whether PREFECT_API_URL names a server that somebody else started."""
    return bool(os.environ.get("PREFECT_API_URL")) and not started


def api_of_this_process(home: Path) -> temporary_api.Api:
    """One temporary API for all flows of this process, started when somebody first asks for it; it may still be on its way."""
    with _starting:
        if not started:
            started.append(temporary_api.start(home))
            os.environ["PREFECT_API_URL"] = started[0].url  # read when Prefect is imported
        return started[0]


def prepare_prefect(work: Work) -> None:
    """Settings of Prefect before its import: nothing is reported to others, state below the home."""
    os.environ.setdefault("PREFECT_HOME", str(work.home / temporary_api.FOLDER))
    os.environ.setdefault("PREFECT_SERVER_ANALYTICS_ENABLED", "false")
    for name in ("PREFECT_LOGGING_LEVEL", "PREFECT_LOGGING_INTERNAL_LEVEL"):  # what ends a run is reported once, by the command
        os.environ.setdefault(name, "CRITICAL")
    os.environ.setdefault("PREFECT_CLIENT_MAX_RETRIES", "3")  # a server that is gone is asked for 14 s, not for a minute
    os.environ.setdefault("DO_NOT_TRACK", "1")


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
        command = parent_bound.command("dvc", "commit", "--force", "--quiet", part=True)
        variables = {"DVC_NO_ANALYTICS": "1", "DVC_SITE_CACHE_DIR": str(root / ".dvc" / "tmp" / "site")}  # by default in a folder that users share
        done = subprocess.run(command, cwd=root, env={**os.environ, **variables}, capture_output=True, text=True)
        say(RECORDED if done.returncode == 0 else f"DVC could not record the run: {done.stderr.strip()[-300:]}")
