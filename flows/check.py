"""The nightly check: whether the store is consistent, whether the champion holds what was registered, and how it does on patients it scored."""

from prefect import flow

from penumbra.commands import doctor, monitor
from penumbra.pipeline import history
from penumbra.pipeline.workspace import begin


@flow(name="check")
def check() -> None:
    """Measure again what outcomes have matured; fail, naming what is wrong, when a finding of `penumbra doctor` is bad.

    A stage that has to be run again, as after every ingest, is nothing wrong.
    """
    work = begin()
    bad = [f"{finding.what}: {finding.found}" for finding in doctor.examine(work.home) if not (finding.ok or finding.waits)]
    history.checked(work.home, bad)
    monitor.monitor(work)
    if bad:
        raise RuntimeError("; ".join(bad))
