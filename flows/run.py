"""The whole path as one flow run: from arrived centers to a registered, reported model."""

from prefect import flow

from penumbra.flows.stages import TASKS
from penumbra.pipeline.workspace import Manifest, begin


@flow(name="penumbra-run", validate_parameters=False)
def run(profile: str = "quick") -> dict[str, Manifest]:
    """All stages in order on the centers in incoming/; each does only what is missing."""
    work = begin(profile)
    return {task.name: task(work) for task in TASKS}
