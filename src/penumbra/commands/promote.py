"""`penumbra promote`: a registered version becomes champion or challenger."""

from penumbra.pipeline import aliases, proposals
from penumbra.pipeline.workspace import Work


def promote(work: Work, version: str, alias: str, reason: str) -> str:
    """Set an alias, with the reason kept in the relation alias_changes; what changed, in one sentence, and what became of proposals."""
    change = aliases.set_alias(work, version, alias, reason=reason)
    closed = [f"{decided.center}: {decided.reason}" for decided in proposals.close(work)]
    return "\n".join([f"{change.model}/{change.version} is {change.alias}; before: {change.previous or 'none'}", *closed])
