"""Every metric for training, each center and all external centers pooled."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from penumbra import stages


@task(name="evaluate", cache_policy=NO_CACHE, persist_result=False)
def evaluate_task(work: stages.Work) -> stages.Manifest:
    return stages.evaluate(work)


@flow(name="evaluate", validate_parameters=False)
def evaluate(profile: str = "quick") -> stages.Manifest:
    return evaluate_task(stages.begin(profile))
