"""The center-arrival protocol, from a center's files to the decision on a new champion and its announcement."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.crew import crew
from flows.notify import notify
from flows.retry import DELAYS_S, worth_retrying
from penumbra import retraining, stages


@task(name="retrain", cache_policy=NO_CACHE, persist_result=False, retries=len(DELAYS_S), retry_delay_seconds=DELAYS_S, retry_condition_fn=worth_retrying)
def retrain_task(work: stages.Work, center: str) -> stages.Manifest:
    with crew() as who:
        return retraining.retrain(work, center, who)


@flow(name="retrain", validate_parameters=False)
def retrain(center: str, profile: str = "quick") -> stages.Manifest:
    """One center."""
    work = stages.begin(profile)
    decided = retrain_task(work, center)
    notify(work)
    return decided


@flow(name="retrain-waiting", validate_parameters=False)
def retrain_waiting(profile: str = "quick") -> dict[str, stages.Manifest]:
    """Every center that arrived after the champion was registered and is not decided as it is now."""
    work = stages.begin(profile)
    decided = {center: retrain_task(work, center) for center in retraining.waiting(work)}
    notify(work)
    return decided
