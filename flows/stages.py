"""Every stage as a Prefect task, from the table of penumbra.pipeline.stages."""

from typing import Any

from prefect import Task, task
from prefect.cache_policies import NO_CACHE

from penumbra.base.documents import Document
from penumbra.flows.discreet import discreet
from penumbra.flows.pool import run_stage
from penumbra.flows.retry import DELAYS_S, worth_retrying
from penumbra.pipeline.stages import STAGES, Stage
from penumbra.pipeline.workspace import Work


def _task(stage: Stage) -> Task[[Work], Document]:
    retries: dict[str, Any] = {"retries": len(DELAYS_S), "retry_delay_seconds": DELAYS_S, "retry_condition_fn": worth_retrying} if stage.retried else {}

    @task(name=stage.name, description=stage.does, cache_policy=NO_CACHE, persist_result=False, **retries)
    def run(work: Work) -> Document:
        with discreet():
            return run_stage(stage, work)

    return run


TASKS = tuple(_task(stage) for stage in STAGES)
