"""The whole path as one flow run: from arrived centers to a registered, reported model."""

from typing import Literal

from prefect import flow

from penumbra.base.documents import Document
from penumbra.flows.stages import TASKS
from penumbra.pipeline.workspace import begin, one_run_at_a_time

Profile = Literal["quick", "paper", "best"]  # of params.yaml: a list to choose from in the UI


@flow(name="penumbra-run", validate_parameters=False)
def run(profile: Profile = "quick") -> dict[str, Document]:
    """All stages in order on the centers in incoming/; each does only what is missing."""
    work = begin(profile)
    return {task.name: task(work) for task in TASKS}


@flow(name="penumbra-run-deployed", validate_parameters=False)
def run_deployed(profile: Profile = "quick") -> dict[str, Document]:
    """The same from a server: the command line holds the state folder's lock itself, a worker takes it here, and waits for its turn."""
    with one_run_at_a_time(begin(profile).home, wait=True):
        return run(profile)
