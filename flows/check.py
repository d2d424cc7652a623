"""The nightly check: whether the store is consistent, whether the champion holds what was registered, and how it does on patients it scored."""

from prefect import flow

from penumbra.base.progress import say
from penumbra.commands import doctor, monitor
from penumbra.flows import parameters
from penumbra.flows.discreet import discreet
from penumbra.flows.events import live_signal
from penumbra.flows.parameters import Folder
from penumbra.flows.recorder import named, recorded
from penumbra.pipeline import history, notifications
from penumbra.pipeline.workspace import Work, begin
from penumbra.retraining import protocol


@flow(name="check", flow_run_name=lambda: named("check"), validate_parameters=False)
def check(home: Folder = "") -> None:
    """Measure again what outcomes have matured; fail, naming what is wrong.

    That is a finding of `penumbra doctor` that is bad, and a center where the champion's live patients die otherwise than it expected, until a retraining
    has answered it. A stage that has to be run again, as after every ingest, is nothing wrong.

    Args:
        home: State folder on the worker's machine. Empty: the worker's own.
    """
    parameters.enter(home)
    with discreet():
        work = begin()
        with recorded(work):
            bad = _bad(work)
    if bad:
        raise RuntimeError("; ".join(bad))


def _bad(work: Work) -> list[str]:
    """What is wrong, a sentence each."""
    bad = [f"{finding.what}: {finding.found}" for finding in doctor.examine(work.home) if not (finding.ok or finding.waits)]
    monitor.monitor(work)
    monitor.watch(work)
    for signal in protocol.unanswered(work):
        bad.append(f"live patients: {signal}")
        if notifications.notify_signal(work.home, signal, monitor.PAGE):
            live_signal(signal.center, str(signal))
    history.checked(work.home, bad)
    say("nothing is wrong" if not bad else f"wrong: {'; '.join(bad)}")
    return bad
