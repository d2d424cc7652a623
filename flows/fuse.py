"""Signatures, combined model and controls, fitted on the training centers."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from penumbra import stages


@task(name="fuse", cache_policy=NO_CACHE, persist_result=False)
def fuse_task(work: stages.Work) -> stages.Manifest:
    return stages.fuse(work)


@flow(name="fuse", validate_parameters=False)
def fuse(profile: str = "quick") -> stages.Manifest:
    return fuse_task(stages.begin(profile))
