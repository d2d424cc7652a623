"""Radiomics features of every ROI that the store does not have yet."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.crew import crew
from flows.retry import DELAYS_S, worth_retrying
from penumbra import stages


@task(name="populate", cache_policy=NO_CACHE, persist_result=False, retries=len(DELAYS_S), retry_delay_seconds=DELAYS_S, retry_condition_fn=worth_retrying)
def populate_task(work: stages.Work) -> stages.Manifest:
    with crew() as who:
        return stages.populate(work, who)


@flow(name="populate", validate_parameters=False)
def populate(profile: str = "quick") -> stages.Manifest:
    return populate_task(stages.begin(profile))
