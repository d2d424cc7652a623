"""The nightly check: is the store consistent, does the champion still hold what was registered, and how does it do on patients it scored?"""

from prefect import flow

from penumbra import checkup, history, monitoring, stages


@flow(name="check")
def check() -> None:
    """Measures again what outcomes have matured; fails, naming what is wrong, when a finding of `penumbra doctor` is bad; a stage that has to be run
    again, as after every ingest, is nothing wrong."""
    work = stages.begin()
    bad = [f"{finding.what}: {finding.found}" for finding in checkup.examine(work.home) if not (finding.ok or finding.waits)]
    history.checked(work.home, bad)
    monitoring.monitor(work)
    if bad:
        raise RuntimeError("; ".join(bad))
