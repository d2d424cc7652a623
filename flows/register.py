"""The combined model as a registry version with its metrics, predictions and lineage."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.retry import DELAYS_S, worth_retrying
from penumbra import stages


@task(name="register", cache_policy=NO_CACHE, persist_result=False, retries=len(DELAYS_S), retry_delay_seconds=DELAYS_S, retry_condition_fn=worth_retrying)
def register_task(work: stages.Work) -> stages.Manifest:
    return stages.register(work)


@flow(name="register", validate_parameters=False)
def register(profile: str = "quick") -> stages.Manifest:
    return register_task(stages.begin(profile))
