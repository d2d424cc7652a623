"""The whole path as one flow run: from arrived centers to a registered, reported model."""

from prefect import flow

from penumbra.base.documents import Document
from penumbra.flows.stages import TASKS
from penumbra.pipeline.workspace import begin


@flow(name="penumbra-run", validate_parameters=False)
def run(profile: str = "quick") -> dict[str, Document]:
    """All stages in order on the centers in incoming/; each does only what is missing."""
    work = begin(profile)
    return {task.name: task(work) for task in TASKS}
