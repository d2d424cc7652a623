"""The center-arrival protocol, from a center's files to the decision on a new champion and its announcement."""

from typing import Any

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from penumbra.flows.notify import notify
from penumbra.flows.pool import open_pool
from penumbra.flows.retry import DELAYS_S, worth_retrying
from penumbra.flows.run import Profile
from penumbra.pipeline.manifests import DecisionManifest
from penumbra.pipeline.workspace import Work, begin
from penumbra.retraining import protocol


@task(name="retrain", cache_policy=NO_CACHE, persist_result=False, retries=len(DELAYS_S), retry_delay_seconds=DELAYS_S, retry_condition_fn=worth_retrying)
def retrain_task(work: Work, center: str, include_set_aside: bool = False) -> DecisionManifest:
    return protocol.retrain(work, center, open_pool, include_set_aside=include_set_aside)


@flow(name="retrain", validate_parameters=False)
def retrain(center: str, profile: Profile = "quick", include_set_aside: bool = False) -> DecisionManifest:
    """One center; `include_set_aside`: also one that was set aside."""
    work = begin(profile)
    decided = retrain_task(work, center, include_set_aside)
    notify(work)
    return decided


@flow(name="retrain-waiting", validate_parameters=False)
def retrain_waiting(profile: Profile = "quick") -> dict[str, DecisionManifest]:
    """Every center that arrived after the champion was registered and is not decided as it is now; one that fails holds up no other."""
    work = begin(profile)
    states: dict[str, Any] = {center: retrain_task(work, center, return_state=True) for center in protocol.waiting(work)}
    notify(work)
    return {center: state.result() for center, state in states.items()}
