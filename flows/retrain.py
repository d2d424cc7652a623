"""The center-arrival protocol, from a center's files to the decision on a new champion."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.retry import worth_retrying
from penumbra import retraining, stages


@task(name="retrain", cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=[5, 30], retry_condition_fn=worth_retrying)
def retrain_task(work: stages.Work, center: str) -> stages.Manifest:
    return retraining.retrain(work, center)


@flow(name="retrain", validate_parameters=False)
def retrain(center: str, profile: str = "quick") -> stages.Manifest:
    """One center."""
    return retrain_task(stages.begin(profile), center)


@flow(name="retrain-waiting", validate_parameters=False)
def retrain_waiting(profile: str = "quick") -> dict[str, stages.Manifest]:
    """Every center that arrived after the champion was registered and is not decided as it is now."""
    work = stages.begin(profile)
    return {center: retrain_task(work, center) for center in retraining.waiting(work)}
