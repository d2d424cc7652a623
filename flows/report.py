"""The HTML report."""

from prefect import flow, task
from prefect.cache_policies import NO_CACHE

from penumbra import stages


@task(name="report", cache_policy=NO_CACHE, persist_result=False)
def report_task(work: stages.Work) -> stages.Manifest:
    return stages.report(work)


@flow(name="report", validate_parameters=False)
def report(profile: str = "quick") -> stages.Manifest:
    return report_task(stages.begin(profile))
