"""The whole path as one flow run: from arrived centers to a registered, reported model."""

from prefect import flow

from flows.evaluate import evaluate_task
from flows.fuse import fuse_task
from flows.ingest import ingest_task
from flows.populate import populate_task
from flows.register import register_task
from flows.report import report_task
from flows.train import train_task
from penumbra import stages

STAGES = (ingest_task, populate_task, train_task, fuse_task, evaluate_task, register_task, report_task)


@flow(name="penumbra-run", validate_parameters=False)
def run(profile: str = "quick") -> dict[str, stages.Manifest]:
    """All stages in order on the centers in incoming/; each does only what is missing."""
    work = stages.begin(profile)
    return {task.name: task(work) for task in STAGES}
