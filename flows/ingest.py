"""Arrived centers into the store: images on the grid, GTV, rings, certificates, clinical records, rejections."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from flows.retry import DELAYS_S, worth_retrying
from penumbra import stages


@task(name="ingest", cache_policy=NO_CACHE, persist_result=False, retries=len(DELAYS_S), retry_delay_seconds=DELAYS_S, retry_condition_fn=worth_retrying)
def ingest_task(work: stages.Work) -> stages.Manifest:
    return stages.ingest(work)


@flow(name="ingest", validate_parameters=False)
def ingest(profile: str = "quick") -> stages.Manifest:
    return ingest_task(stages.begin(profile))
