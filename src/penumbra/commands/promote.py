"""`penumbra promote`: a registered version becomes champion or challenger."""

from penumbra import registry
from penumbra.base.refusal import Refusal
from penumbra.pipeline import aliases, decisions, proposals
from penumbra.pipeline.workspace import Work


def promote(work: Work, version: str, alias: str, reason: str) -> str:
    """Set an alias, with the reason kept in the relation alias_changes; what changed, in one sentence, and what became of proposals."""
    change = aliases.set_alias(work, version, alias, reason=reason)
    closed = [f"{decided.center}: {decided.reason}" for decided in proposals.close(work)]
    return "\n".join([f"{change.model}/{change.version} is {change.alias}; before: {change.previous or 'none'}", *closed])


def foresee(work: Work, version: str, alias: str = registry.CHAMPION) -> list[tuple[str, str]]:
    """What `promote` would do; changes nothing.

    Raises
    ------
    Refusal
        "version_registered", "bundle_unchanged", "alias_known".
    """
    if alias not in (registry.CHAMPION, registry.CHALLENGER):
        raise Refusal("alias_known", f"no alias {alias[:40]!r}", f"use {registry.CHAMPION} or {registry.CHALLENGER}")
    entry = registry.find(work.home, version, work.settings.register.model)
    registry.verify(entry.folder, entry.digest)
    before = registry.shelf(work.home, entry.model).aliases.get(alias)
    answered = [decided for decided in decisions.proposals(work.home) if alias == registry.CHAMPION and entry.version != decided.champion]
    facts = [
        (f"{alias} now", f"{entry.model}/{before}" if before else "none"),
        (f"{alias} then", f"{entry.model}/{entry.version}, trained on {', '.join(entry.train_centers)}, registered {entry.created_at:%Y-%m-%d}"),
        ("its files", "as they were registered"),
    ]
    if before == entry.version:
        facts.append(("then", "nothing changes but the record: it is that already"))
    for decided in answered:
        outcome = "is carried out" if decided.challenger == entry.version else "is overtaken, and closed"
        facts.append(("proposal", f"the one for {decided.center}, {decided.model}/{decided.challenger}, {outcome}"))
    if alias == registry.CHAMPION:
        facts.append(("from then on", "penumbra predict, explain and the served model answer with it"))
    return facts
