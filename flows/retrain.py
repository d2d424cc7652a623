"""The center-arrival protocol, from a center's files to the decision on a new champion and its announcement."""

from typing import Any

from prefect import flow, runtime, task
from prefect.cache_policies import NO_CACHE

from penumbra.flows import outcome, parameters
from penumbra.flows.discreet import discreet
from penumbra.flows.notify import notify
from penumbra.flows.parameters import Center, Folder, Profile
from penumbra.flows.pool import open_pool
from penumbra.flows.recorder import named, recorded
from penumbra.flows.retry import DELAYS_S, worth_retrying
from penumbra.pipeline import arrivals
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.workspace import Work, begin, one_run_at_a_time
from penumbra.retraining import protocol


@task(name="retrain", cache_policy=NO_CACHE, persist_result=False, retries=len(DELAYS_S), retry_delay_seconds=DELAYS_S, retry_condition_fn=worth_retrying)
def retrain_task(work: Work, center: str, include_set_aside: bool = False) -> DecisionManifest:
    with discreet():
        return protocol.retrain(work, center, open_pool, include_set_aside=include_set_aside)


def _name() -> str:
    return named("retrain", str(runtime.flow_run.parameters["center"]))


@flow(name="retrain", flow_run_name=_name, validate_parameters=False)
def retrain(center: Center, profile: Profile = "quick", folder: Folder = "", include_set_aside: bool = False, home: Folder = "") -> DecisionManifest:
    """The center-arrival protocol for one center: validate the champion there, ask how much has to change, update or refit, decide.

    Args:
        center: Name of the center that arrived, as its folder in incoming/ is named.
        profile: The numbers of the network: quick for a CPU, paper as published, best for few patients.
        folder: The center's folder on the worker's machine, with clinical.csv and one folder per patient. Empty: the one in incoming/.
        include_set_aside: Also where the center was set aside.
        home: State folder on the worker's machine. Empty: the worker's own.
    """
    parameters.enter(home)
    with discreet():
        work, arrived = begin(profile), parameters.place(folder)
        with recorded(work, f"center:{center}"):
            if arrived is not None:
                with one_run_at_a_time(work.home, wait=True):
                    arrivals.take_center(work.home, arrived, center)
            decided = outcome.keep(retrain_task(work, center, include_set_aside))
            notify(work)
    return decided


@flow(name="retrain-waiting", flow_run_name=lambda: named("retrain what waits"), validate_parameters=False)
def retrain_waiting(profile: Profile = "quick", home: Folder = "") -> dict[str, DecisionManifest]:
    """Every center that arrived after the champion was registered and is not decided as it is now; one that fails holds up no other.

    Args:
        profile: The numbers of the network: quick for a CPU, paper as published, best for few patients.
        home: State folder on the worker's machine. Empty: the worker's own.
    """
    parameters.enter(home)
    with discreet():
        work = begin(profile)
        centers = protocol.waiting(work)
        with recorded(work, *(f"center:{center}" for center in centers)):
            states: dict[str, Any] = {center: retrain_task(work, center, return_state=True) for center in centers}
            notify(work)
            return {center: state.result() for center, state in states.items()}
