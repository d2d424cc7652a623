"""The whole path as one flow run: from arrived centers to a registered, reported model."""

from prefect import flow

from penumbra.base.documents import Document
from penumbra.flows import outcome, parameters
from penumbra.flows.discreet import discreet
from penumbra.flows.parameters import Folder, Profile
from penumbra.flows.recorder import named, recorded
from penumbra.flows.stages import TASKS
from penumbra.pipeline import arrivals, early
from penumbra.pipeline.workspace import Work, begin, one_run_at_a_time


@flow(name="penumbra-run", flow_run_name=lambda: named("run"), validate_parameters=False)
def run(profile: Profile = "quick") -> dict[str, Document]:
    """All stages in order on the centers in incoming/; each does only what is missing.

    Args:
        profile: The numbers of the network: quick for a CPU, paper as published, best for few patients.
    """
    with discreet():
        return outcome.keep(_path(begin(profile)))


@flow(name="penumbra-run-deployed", flow_run_name=lambda: named("run"), validate_parameters=False)
def run_deployed(profile: Profile = "quick", cohort: Folder = "", home: Folder = "") -> dict[str, Document]:
    """The whole path on every center that has arrived, from files to a registered model and its report; only what is missing is computed.

    Args:
        profile: The numbers of the network: quick for a CPU, paper as published, best for few patients.
        cohort: Folder with one subfolder per center, on the worker's machine, whose centers replace those in incoming/. Empty: the centers that are there.
        home: State folder on the worker's machine. Empty: the worker's own.
    """
    parameters.enter(home)
    with discreet():
        work = begin(profile)
        with one_run_at_a_time(work.home, wait=True):  # the command line holds the state folder's lock itself; a worker takes it here
            folder = parameters.place(cohort)
            if folder is not None:
                arrivals.take_cohort(work.home, folder)
            return _path(work)


def _path(work: Work) -> dict[str, Document]:
    with recorded(work, *(f"center:{center}" for center in arrivals.center_folders(work.home))):
        documents: dict[str, Document] = {}
        with early.begun(work) as before:
            for task in TASKS:
                before(task.name)
                documents[task.name] = task(work)
        return documents
