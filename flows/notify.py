"""Sends decisions: every notification in notifications/ that has not been sent yet, through a Prefect notification block."""

from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE

from penumbra.base.progress import say
from penumbra.flows.retry import DELAYS_S
from penumbra.pipeline import notifications
from penumbra.pipeline.workspace import Work


@task(name="notify", cache_policy=NO_CACHE, persist_result=False, retries=2, retry_delay_seconds=DELAYS_S[:2])
def notify_task(work: Work, slug: str) -> int:
    """Send what is unsent by the block `slug` (such as slack-webhook/clinic) and remember it as sent; how many were sent."""
    from prefect.blocks.core import Block

    block: Any = Block.load(slug)
    waiting = notifications.unsent(work.home)
    for path in waiting:
        subject, _, body = path.read_text(encoding="utf-8").partition("\n\n")
        block.notify(body=body, subject=subject)
        path.with_suffix(".sent").touch()
    return len(waiting)


def notify(work: Work) -> None:
    """Notify the service that `serve.notification_block` names; null: none. A failure of the service is logged, and sent again with the next decision."""
    slug = notifications.service(work)
    if slug:
        state: Any = notify_task(work, slug, return_state=True)
        if not state.is_completed():
            say(f"no notification by {slug}: {state.message}; it stays in {notifications.FOLDER}/")
