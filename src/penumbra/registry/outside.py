"""What was changed in MLflow outside penumbra: reported in one sentence with the repair, and never repaired by guessing."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from penumbra.base.params import model_name
from penumbra.base.refusal import Refusal
from penumbra.registry import noted
from penumbra.registry.noted import AliasChange
from penumbra.registry.remembered import CHAMPION, DELETED, Remembered, remembered
from penumbra.registry.shelf import Shelf, names_of, shelf

OUTSIDE = "outside"  # who moved an alias that penumbra did not move
RESTORE = "bring mlflow/ back from a back-up (infra/backup.sh restore), or name another model in params.yaml, register.model"


@dataclass(frozen=True)
class Outside:
    """What the store does not know yet, and what to report.

    Parameters
    ----------
    sentences
        Each one fact with its repair; empty where MLflow has what penumbra left in it.
    rules
        Of those that end a command.
    change
        The move of the champion's alias that the store lacks.
    deleted
        Numbers of recorded versions that MLflow has no more and the store still shows.
    """

    sentences: tuple[str, ...] = ()
    rules: tuple[str, ...] = ()
    change: AliasChange | None = None
    deleted: tuple[int, ...] = ()


def outside(home: Path, model: str | None = None) -> Outside:
    """Compare MLflow with what penumbra remembers; the store is read only where MLflow is not as it was when last noted, or has no champion.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    model
        None: the one that params.yaml names (register.model).

    Returns
    -------
    Outside
        Without a sentence where MLflow has what penumbra left in it.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import outside
    >>> outside(Path("home")).sentences
    ()
    """
    model = model or model_name(home)
    inventory, notes = shelf(home, model), noted.read(home, model)
    ours = {entry.version for entry in inventory.versions}
    champion = inventory.aliases.get(CHAMPION)
    if champion in ours and inventory.state == notes.state and not notes.pending:
        return Outside()
    memory = remembered(home, model)
    if inventory.created_at is None:
        missing_model = model_missing(home, model, memory)
        deleted = () if _other_names(home, model, memory) else _deleted(memory, ours)
        return Outside(*_sentences_and_rules([missing_model]), _moved(inventory, memory.champion, memory), deleted)
    moving = [change for change in notes.pending if change.alias == CHAMPION]
    expected = moving[-1].version if moving and champion != moving[-1].previous else memory.champion
    deleted = _deleted(memory, ours)
    refusal, sentences = None, []
    if champion is None:
        refusal = champion_missing(home, inventory, memory)
    elif champion not in ours:
        refusal = champion_foreign(inventory, memory)
    elif memory.champions and champion != expected:
        sentences.append(_sentence_of_move(model, expected, champion))
    others = [number for number in deleted if refusal is None or number != memory.last_champion]
    if others:
        which = f"version {others[0]} of {model} was" if len(others) == 1 else f"versions {', '.join(map(str, others))} of {model} were"
        sentences.append(f"{which} deleted outside penumbra; what the store has of {'it' if len(others) == 1 else 'them'} stays")
    messages, rules = _sentences_and_rules([refusal])
    return Outside((*messages, *sentences), rules, _moved(inventory, expected, memory), deleted)


def champion_missing(home: Path, inventory: Shelf, memory: Remembered | None = None) -> Refusal | None:
    """The sentence for a model that had a champion and has none; None where it never had one."""
    memory = remembered(home, inventory.model) if memory is None else memory
    last, ours = memory.last_champion, [entry.version for entry in inventory.versions]
    if last is None:
        return None
    if last in ours:
        fact = f"no version of {inventory.model} is champion: the last was {last}, and its alias was removed outside penumbra"
        return Refusal("champion_there", fact, f'penumbra promote {last} --reason "..." makes it champion again')
    fact = f"no version of {inventory.model} is champion: the last was {last}, which was deleted outside penumbra"
    candidates = f"there {'is' if len(ours) == 1 else 'are'} {', '.join(map(str, ours))}" if ours else "penumbra run registers one"
    return Refusal("champion_there", fact, f'penumbra promote VERSION --reason "..." chooses another ({candidates})')


def champion_foreign(inventory: Shelf, memory: Remembered) -> Refusal:
    """The sentence for a champion that somebody made in MLflow."""
    number, ours = inventory.aliases[CHAMPION], [entry.version for entry in inventory.versions]
    last = next((version for version in reversed(memory.champions) if version in ours), None)
    fact = f"champion of {inventory.model} is version {number}, which was made in MLflow and not registered by penumbra"
    return Refusal("registered_by_penumbra", fact, f'penumbra promote {last or "VERSION"} --reason "..." makes one of penumbra\'s champion again')


def model_missing(home: Path, model: str, memory: Remembered | None = None) -> Refusal | None:
    """The sentence for a registered model that MLflow has no more; None where the store knows no version of it."""
    memory = remembered(home, model) if memory is None else memory
    if not memory.versions:
        return None
    names = _other_names(home, model, memory)
    if names:
        return Refusal("model_kept", f"the registered model {model} was renamed to {names[0]} outside penumbra", f"name it {model} again in MLflow")
    numbers = ", ".join(str(number) for number in sorted(memory.versions))
    return Refusal("model_kept", f"the registered model {model} was deleted outside penumbra, and the store knows its versions ({numbers})", RESTORE)


def _other_names(home: Path, model: str, memory: Remembered) -> list[str]:
    """What a recorded version is called now; a copy under another name is younger than the version."""
    newest = max(memory.versions, default=None)
    digest, at = (None, None) if newest is None else (memory.digest(newest), memory.created_at(newest))
    if digest is None or at is None:
        return []
    created = ((name, shelf(home, name).created_at) for name in names_of(home, digest) if name != model)
    return [name for name, since in created if since is not None and since <= at]


def _moved(inventory: Shelf, expected: int | None, memory: Remembered) -> AliasChange | None:
    """The row for a champion that is another one than the one before, where there ever was one."""
    current = inventory.aliases.get(CHAMPION)
    if current == expected or not memory.champions:
        return None
    entry = next((entry for entry in inventory.versions if entry.version == current), None)
    if current is not None:
        reason = "moved outside penumbra" if entry else "moved outside penumbra, to a version that penumbra did not register"
    elif inventory.created_at is None:
        reason = "the registered model was removed outside penumbra"
    else:
        still_registered = expected in {entry.version for entry in inventory.versions}
        reason = "alias removed outside penumbra" if still_registered else "version deleted outside penumbra"
    return AliasChange(inventory.model, CHAMPION, current, expected, entry.digest if entry else None, reason, OUTSIDE, datetime.now(UTC))


def _sentence_of_move(model: str, old: int | None, new: int) -> str:
    if old is None:
        return f'the alias champion of {model} was given to {new} outside penumbra; penumbra promote {new} --reason "..." confirms it'
    return (
        f"the alias champion of {model} was moved outside penumbra, from {old} to {new};"
        f' penumbra promote {old} --reason "..." moves it back, penumbra promote {new} --reason "..." confirms it'
    )


def _deleted(memory: Remembered, ours: set[int]) -> tuple[int, ...]:
    return tuple(number for number, row in sorted(memory.versions.items()) if row["alias"] != DELETED and number not in ours)


def _sentences_and_rules(refusals: Sequence[Refusal | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences and rules of the refusals that there are."""
    present = [refusal for refusal in refusals if refusal is not None]
    return tuple(f"{refusal.found}; {refusal.advice}" for refusal in present), tuple(refusal.rule for refusal in present)
