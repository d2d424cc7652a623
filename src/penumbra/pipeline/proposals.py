"""A verdict that waits for a person: with `retrain.promotion: propose` the challenger is proposed, and `penumbra promote` makes it champion.

What became of a proposal follows from which version is champion and from the record of that change, not from the command that made it: a command
that was killed between alias, row and manifest is completed by the next one, to the same end.
"""

from dataclasses import replace
from typing import Any

from penumbra import registry, store
from penumbra.evaluate import Verdict
from penumbra.pipeline import aliases, manifests, notifications
from penumbra.pipeline.decisions import manifest_of, proposals
from penumbra.pipeline.manifests import BY_HAND, OVERTAKEN, PROPOSED, DecisionManifest
from penumbra.pipeline.workspace import Work
from penumbra.registry import CHAMPION, OUTSIDE
from penumbra.registry.database import noting


def as_declared(verdict: Verdict, work: Work, version: int | None) -> Verdict:
    """The gate's verdict on the challenger `version` with the next command; a proposal where it promotes and `retrain.promotion` is "propose"."""
    if verdict.decision == "promote" and work.settings.retrain.promotion == "propose":
        grounds = verdict.reason.removeprefix("Promoted: ")
        return Verdict(PROPOSED, f"Proposed: {grounds} To make it champion: {command(work.settings.register.model, version)}")
    if verdict.decision in ("keep", "reject") and version is not None:
        return Verdict(verdict.decision, f"{verdict.reason} To see both: penumbra compare champion {version}")
    return verdict


def command(model: str | None, version: int | None) -> str:
    """What a person types to carry out a proposal."""
    return f'penumbra promote {model}/{version} --reason "..."'


def close(work: Work) -> list[DecisionManifest]:
    """Close each proposal that today's champion answers, as row, notification and manifest; those that were closed, which is the caller's to say.

    Promoted by hand where its challenger is champion; overtaken where a third version is.
    """
    closed = []
    for decided in proposals(work.home):
        model = decided.model or work.settings.register.model
        champion = registry.shelf(work.home, model).aliases.get(CHAMPION)
        if champion not in (None, decided.champion):
            aliases.note(work.home, model, run=work.run)  # a change that was killed before its record
            after = _closed(decided, model, _last_change(work, model, champion))
            closed += [after] if _carried_out(work, decided, after) else []
    return closed


def _closed(decided: DecisionManifest, model: str, change: dict[str, Any]) -> DecisionManifest:
    account = "outside penumbra" if change["who"] == OUTSIDE else f"by {change['who']}"
    if change["version"] == decided.challenger:
        undo = f'penumbra rollback --reason "..." restores {model}/{decided.champion}'
        reason = f"Promoted by hand: {model}/{decided.challenger} was made champion {account} ({change['reason']}); {undo}."
        return replace(decided, decision=BY_HAND, reason=reason, key_after=decided.key_promoted)
    reason = f"Overtaken: {model}/{change['version']} was made champion {account} ({change['reason']}) while {model}/{decided.challenger} was proposed"
    return replace(decided, decision=OVERTAKEN, reason=f"{reason}; penumbra retrain --center {decided.center} compares with it.")


def _carried_out(work: Work, before: DecisionManifest, after: DecisionManifest) -> bool:
    """Record a closing, unless the center was decided again meanwhile. The manifest is last: killed before it, the next call does all of it again."""
    facts = {"decision": after.decision, "champion": after.champion, "challenger": after.challenger}
    row = {"retraining": after.key, "center": after.center, "step": "decision", "outcome": after.reason, "facts": facts}
    with noting(work.home):
        if manifests.read(work.home, DecisionManifest, manifest_of(after.center)) != before:
            return False
        with store.connect(work.home) as lake:
            lake.write({"retrainings": [row]}, run=work.run, what=f"retrain {after.center}: {after.decision}")
        notifications.notify(work.home, after)
        manifests.write(work.home, after, manifest_of(after.center))
    return True


def _last_change(work: Work, model: str, version: int | None) -> dict[str, Any]:
    """The newest record that made a version champion; without one, as where MLflow alone has it, who it was is not known."""
    rows = [row for row in aliases.recorded_changes(work, model, CHAMPION) if row["version"] == version]
    return rows[-1] if rows else {"version": version, "who": OUTSIDE, "reason": "without a record"}
