"""`penumbra rollback`: the previous champion is champion again."""

from penumbra.commands import promote
from penumbra.pipeline import aliases, proposals
from penumbra.pipeline.workspace import Work


def rollback(work: Work, reason: str, model: str | None = None) -> str:
    """Restore the previous champion, with the reason kept in the relation alias_changes; what changed, in one sentence."""
    change = aliases.rollback(work, reason=reason, model=model)
    proposals.close(work)
    return f"{change.model}/{change.version} is {change.alias} again; before: {change.previous}"


def foresee(work: Work, model: str | None = None) -> list[tuple[str, str]]:
    """What `rollback` would do; changes nothing.

    Raises
    ------
    Refusal
        "earlier_champion", "version_registered", "bundle_unchanged".
    """
    name = model or work.settings.register.model
    return promote.foresee(work, f"{name}/{aliases.earlier_champion(work, name)}")
