"""The nightly check: is the store consistent, and does the champion still hold what was registered?"""

from prefect import flow

from penumbra import checkup
from penumbra.params import state_home


@flow(name="check")
def check() -> None:
    """Fails, naming what is wrong, when a finding of `penumbra doctor` is bad."""
    bad = [f"{finding.what}: {finding.found}" for finding in checkup.examine(state_home()) if not finding.ok]
    if bad:
        raise RuntimeError("; ".join(bad))
