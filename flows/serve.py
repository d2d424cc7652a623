"""`penumbra serve`: a watch on incoming/ and two schedules, on one machine without any other service; or the watch for a Prefect server."""

import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from penumbra.base import json_log, parent_bound
from penumbra.base.progress import say
from penumbra.base.refusal import Refusal, reportable
from penumbra.flows import temporary_api
from penumbra.flows.drive import prepare_prefect
from penumbra.pipeline import aliases, arrivals
from penumbra.pipeline.workspace import Work, is_busy
from penumbra.retraining import protocol

COMPLETE = "complete"  # a file of this name in a center's folder says that everything was sent


def serve(work: Work) -> None:
    """Run until stopped: retrain when a center is complete, retrain weekly, check nightly; one retraining at a time.

    With PREFECT_API_URL the server there has the deployments and the schedules (infra/prefect.yaml): this process watches, and emits an event
    for each center that is complete, on which an automation of the server retrains.
    """
    numbers = work.settings.serve
    address = os.environ.get("PREFECT_API_URL")
    prepare_prefect(work)
    aliases.tell(work.home, work.settings.register.model)
    if address:
        say(f"watching {arrivals.INCOMING}/ every {numbers.look_s:g} s for the Prefect server; stop with Ctrl-C")
        Watch(work, Announcer(work)).run()
        return
    api = temporary_api.start(work.home, schedules=True)
    if not api.answers():
        raise Refusal("prefect_server", "the Prefect server did not answer", f"see {temporary_api.LOG} in the state folder")
    os.environ["PREFECT_API_URL"] = api.url
    from prefect import serve as serve_deployments
    from prefect.schedules import Cron

    from penumbra.flows.check import check
    from penumbra.flows.retrain import retrain, retrain_waiting
    from penumbra.flows.run import run_deployed

    threading.Thread(target=Watch(work, partial(retrain_in_process, work.profile)).run, daemon=True).start()
    say(f"watching {arrivals.INCOMING}/ every {numbers.look_s:g} s; stop with Ctrl-C")
    profile = {"profile": work.profile}
    deployments = (  # as those of infra/prefect.yaml
        run_deployed.to_deployment("run", parameters=profile, concurrency_limit=1),
        retrain.to_deployment("center-arrived", parameters=profile, concurrency_limit=1),
        retrain_waiting.to_deployment("weekly", schedule=Cron(numbers.retrain_cron, timezone=numbers.timezone), parameters=profile, concurrency_limit=1),
        check.to_deployment("nightly", schedule=Cron(numbers.check_cron, timezone=numbers.timezone)),
    )
    serve_deployments(*deployments, print_starting_message=False)  # type: ignore[arg-type]  # awaitables only inside an event loop


NOTHING_YET = ("a_center_has_arrived", "model_registered", "version_registered")  # no folder, or no champion
State = tuple[int, int, float]  # of a folder: files, bytes, newest change


@dataclass
class Watch:
    """What was seen of each center: its state, since when; and in which state its retraining failed for good.

    Parameters
    ----------
    hand_over
        What is done with a center that is complete; False: it failed, and is not tried again until its folder changes.
    """

    work: Work
    hand_over: Callable[[str], bool]
    seen: dict[str, tuple[State, float]] = field(default_factory=dict)
    failed: dict[str, State] = field(default_factory=dict)

    def run(self) -> None:
        trouble = ""
        while True:
            time.sleep(self.work.settings.serve.look_s)
            try:
                for center in self.look():
                    state = self.seen[center][0]
                    if not self.hand_over(center):
                        self.failed[center] = state
                        say(f"{center}: the retraining failed; it is tried again when the folder changes")
                trouble = ""
            # A folder that changes while it is read, a database that is started again; a fault of our own too, for nobody would start the watch again.
            except Exception as error:
                before, trouble = trouble, reportable(error)
                if trouble != before:  # once, not at every look
                    say(f"watch continues after {trouble}")

    def look(self) -> list[str]:
        """The centers that are complete, undecided, and did not fail in the state they are in.

        Complete: the folder holds a file named `complete`, or nothing in it changed for the quiet period.
        """
        try:
            folders = {center: folder for center, folder in arrivals.center_folders(self.work.home).items() if center in protocol.waiting(self.work)}
        except Refusal as refusal:
            if refusal.rule in NOTHING_YET:
                return []
            raise
        now, ready = time.monotonic(), []
        for center, folder in folders.items():
            state = _state(arrivals.files(self.work.home, folder, self.work.settings.ingest.roots))
            if center not in self.seen or self.seen[center][0] != state:
                self.seen[center] = (state, now)
            quiet = now - self.seen[center][1] >= self.work.settings.serve.quiet_s
            if (quiet or (folder / COMPLETE).is_file()) and self.failed.get(center) != state:
                ready.append(center)
        return ready


def retrain_in_process(profile: str, center: str) -> bool:
    """Retrain in a process of its own: one that is killed leaves its center undecided, and the next look starts it again. It ends with this one."""
    say(f"{center} is complete")
    command = parent_bound.command("penumbra.cli", "retrain", "--center", center, "--profile", profile)
    status = subprocess.run(command, stderr=sys.stderr, env=json_log.apart("retrain"), check=False).returncode
    return status <= 0 or status > 128  # 128 + signal


@dataclass
class Announcer:
    """Emits `penumbra.center.arrived` for a center, and again when no process has held the state folder for serve.announce_s: its worker died.

    False for a center whose retraining failed as it is now.
    """

    work: Work
    announced: dict[str, float] = field(default_factory=dict)

    def __call__(self, center: str) -> bool:
        from penumbra.flows.events import center_arrived, close_abandoned

        after = self.work.settings.serve.announce_s
        if is_busy(self.work.home):
            self.announced = dict.fromkeys(self.announced, time.monotonic())  # one that waits for its turn is not forgotten
            return True
        if failed := protocol.failure(self.work, center):
            say(f"{center}: {failed}")
            return False
        if center in self.announced and time.monotonic() - self.announced[center] < after:
            return True
        if closed := close_abandoned(after):  # they would keep the one place that a retraining has
            say(f"{center}: no worker active; closed {closed} abandoned {'run' if closed == 1 else 'runs'}")
        say(f"{center} is complete: announced")
        center_arrived(center)
        self.announced[center] = time.monotonic()
        return True


def _state(files: list[Path]) -> State:
    """Number of files, bytes, and the newest change."""
    stats = [file.stat() for file in files]
    return len(stats), sum(stat.st_size for stat in stats), max((stat.st_mtime for stat in stats), default=0.0)
