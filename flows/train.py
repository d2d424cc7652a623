"""The network on the training centers, then deep features and log_risk of every patient."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from penumbra import stages


@task(name="train", cache_policy=NO_CACHE, persist_result=False)
def train_task(work: stages.Work) -> stages.Manifest:
    return stages.train(work)


@flow(name="train", validate_parameters=False)
def train(profile: str = "quick") -> stages.Manifest:
    return train_task(stages.begin(profile))
