"""The actions there are: what each is called, what it is for, the command that carries it out, and what will happen, as that command's package tells it."""

import shlex
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from penumbra.base.refusal import Refusal, choose
from penumbra.pipeline.workspace import Work

Facts = Sequence[tuple[str, str]]
Target = Mapping[str, str]
REASON = "say why"
UNASKED = "--yes"  # a person who types the command is asked by it


@dataclass(frozen=True)
class Kind:
    """One action.

    Parameters
    ----------
    name
        In addresses and in the log.
    label
        On a button.
    fields
        What it is done to; the first one is typed again to confirm it, "champion" where there is none.
    command
        Arguments of `penumbra`, of the target and the reason.
    foresee
        What will happen.
    ends
        Cannot be undone.
    """

    name: str
    label: str
    fields: tuple[str, ...]
    command: Callable[[Target, str], list[str]]
    foresee: Callable[[Work, Target], Facts]
    ends: bool = False

    def typed(self, target: Target) -> str:
        """What has to be typed to confirm."""
        return target[self.fields[0]] if self.fields else "champion"

    def words(self, target: Target, reason: str = REASON) -> str:
        """The command as a person types it."""
        return shlex.join(["penumbra", *(word for word in self.command(target, reason) if word != UNASKED)])

    def label_of(self, target: Target) -> str:
        """Of a button, with what it is done to."""
        return self.label.format(**{name: target.get(name, "") for name in self.fields})


def _promote(target: Target, reason: str) -> list[str]:
    alias = ["--alias", target["alias"]] if target.get("alias", "champion") != "champion" else []
    return ["promote", target["version"], "--reason", reason, *alias]


def _withdraw(target: Target, reason: str) -> list[str]:
    return ["forget", target["patient"], *(["--center", target["center"]] if target.get("center") else []), "--reason", reason, UNASKED]


def _foresee_promote(work: Work, target: Target) -> Facts:
    from penumbra.commands import promote

    return promote.foresee(work, target["version"], target.get("alias") or "champion")


def _foresee_rollback(work: Work, target: Target) -> Facts:
    from penumbra.commands import rollback

    return rollback.foresee(work)


def _foresee_retrain(work: Work, target: Target) -> Facts:
    from penumbra.retraining import foreseen

    return foreseen.foresee(work, target["center"])


def _foresee_aside(work: Work, target: Target) -> Facts:
    from penumbra.commands import set_aside

    return set_aside.foresee(work, target["center"])


def _foresee_back(work: Work, target: Target) -> Facts:
    from penumbra.commands import set_aside

    return set_aside.foresee(work, target["center"], undo=True)


def _foresee_withdraw(work: Work, target: Target) -> Facts:
    from penumbra.commands import forget

    return forget.foresee(work, target["patient"], target.get("center") or None)


def _retrain(target: Target, reason: str) -> list[str]:
    return ["retrain", "--center", target["center"]]


def _aside(target: Target, reason: str) -> list[str]:
    return ["set-aside", target["center"], "--reason", reason]


EVERY = (
    Kind("promote", "Make version {version} champion", ("version", "alias"), _promote, _foresee_promote),
    Kind("rollback", "Restore the previous champion", (), lambda _, reason: ["rollback", "--reason", reason], _foresee_rollback),
    Kind("retrain", "Retrain for {center}", ("center",), _retrain, _foresee_retrain),
    Kind("set-aside", "Set {center} aside", ("center",), _aside, _foresee_aside),
    Kind("take-back", "Take {center} back", ("center",), lambda target, reason: [*_aside(target, reason), "--undo"], _foresee_back),
    Kind("withdraw", "Withdraw {patient}", ("patient", "center"), _withdraw, _foresee_withdraw, ends=True),
)
KINDS = {kind.name: kind for kind in EVERY}


def kind_of(name: str) -> Kind:
    """The action of that name.

    Raises
    ------
    Refusal
        "action_known".
    """
    if name not in KINDS:
        raise Refusal("action_known", f"no action {name[:40]!r}", choose(name[:40], KINDS, what="there are"))
    return KINDS[name]
