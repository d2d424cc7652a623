"""`penumbra promote`: a registered version becomes champion or challenger."""

from penumbra.pipeline import aliases
from penumbra.pipeline.workspace import Work


def promote(work: Work, version: str, alias: str, reason: str) -> str:
    """Set an alias, with the reason kept in the relation alias_changes; what changed, in one sentence."""
    change = aliases.set_alias(work, version, alias, reason=reason)
    return f"{change.model}/{change.version} is {change.alias}; before: {change.previous or 'none'}"
