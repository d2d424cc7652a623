"""`penumbra rollback`: the previous champion is champion again."""

from penumbra.pipeline import aliases, proposals
from penumbra.pipeline.workspace import Work


def rollback(work: Work, reason: str, model: str | None = None) -> str:
    """Restore the previous champion, with the reason kept in the relation alias_changes; what changed, in one sentence."""
    change = aliases.rollback(work, reason=reason, model=model)
    proposals.close(work)
    return f"{change.model}/{change.version} is {change.alias} again; before: {change.previous}"
