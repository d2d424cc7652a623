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
    model = model or model_name()
    found, left = shelf(home, model), noted.read(home, model)
    ours = {entry.version for entry in found.versions}
    champion = found.aliases.get(CHAMPION)
    if champion in ours and found.state == left.state and not left.pending:
        return Outside()
    memory = remembered(home, model)
    if found.created_at is None:
        lost = model_missing(home, model, memory)
        gone = () if _other_names(home, model, memory) else _gone(memory, ours)
        return Outside(*_told([lost]), _moved(found, memory.champion, memory), gone)
    moving = [change for change in left.pending if change.alias == CHAMPION]
    before = moving[-1].version if moving and champion != moving[-1].previous else memory.champion
    gone = _gone(memory, ours)
    refusal, sentences = None, []
    if champion is None:
        refusal = champion_missing(home, found, memory)
    elif champion not in ours:
        refusal = champion_foreign(found, memory)
    elif memory.champions and champion != before:
        sentences.append(_sentence_of_move(model, before, champion))
    others = [number for number in gone if refusal is None or number != memory.last_champion]
    if others:
        which = f"version {others[0]} of {model} was" if len(others) == 1 else f"versions {', '.join(map(str, others))} of {model} were"
        sentences.append(f"{which} deleted outside penumbra; what the store has of {'it' if len(others) == 1 else 'them'} stays")
    told, rules = _told([refusal])
    return Outside((*told, *sentences), rules, _moved(found, before, memory), gone)


def champion_missing(home: Path, found: Shelf, memory: Remembered | None = None) -> Refusal | None:
    """The sentence for a model that had a champion and has none; None where it never had one."""
    memory = remembered(home, found.model) if memory is None else memory
    last, ours = memory.last_champion, [entry.version for entry in found.versions]
    if last is None:
        return None
    if last in ours:
        fact = f"no version of {found.model} is champion: the last was {last}, and its alias was removed outside penumbra"
        return Refusal("champion_there", fact, f'penumbra promote {last} --reason "..." makes it champion again')
    fact = f"no version of {found.model} is champion: the last was {last}, which was deleted outside penumbra"
    there = f"there {'is' if len(ours) == 1 else 'are'} {', '.join(map(str, ours))}" if ours else "penumbra run registers one"
    return Refusal("champion_there", fact, f'penumbra promote VERSION --reason "..." chooses another ({there})')


def champion_foreign(found: Shelf, memory: Remembered) -> Refusal:
    """The sentence for a champion that somebody made in MLflow."""
    number, ours = found.aliases[CHAMPION], [entry.version for entry in found.versions]
    last = next((version for version in reversed(memory.champions) if version in ours), None)
    fact = f"champion of {found.model} is version {number}, which was made in MLflow and not registered by penumbra"
    return Refusal("registered_by_penumbra", fact, f'penumbra promote {last or "VERSION"} --reason "..." makes one of penumbra\'s champion again')


def model_missing(home: Path, model: str, memory: Remembered | None = None) -> Refusal | None:
    """The sentence for a registered model that MLflow has no more; None where the store knows no version of it."""
    memory = remembered(home, model) if memory is None else memory
    if not memory.versions:
        return None
    names = _other_names(home, model, memory)
    if names:
        return Refusal("model_kept", f"the registered model {model} was renamed to {names[0]} outside penumbra", f"name it {model} again in MLflow")
    known = ", ".join(str(number) for number in sorted(memory.versions))
    return Refusal("model_kept", f"the registered model {model} was deleted outside penumbra, and the store knows its versions ({known})", RESTORE)


def _other_names(home: Path, model: str, memory: Remembered) -> list[str]:
    """What a recorded version is called now; a copy under another name is younger than the version."""
    newest = max(memory.versions, default=None)
    digest, at = (None, None) if newest is None else (memory.digest(newest), memory.created_at(newest))
    if digest is None or at is None:
        return []
    made = ((name, shelf(home, name).created_at) for name in names_of(home, digest) if name != model)
    return [name for name, since in made if since is not None and since <= at]


def _moved(found: Shelf, before: int | None, memory: Remembered) -> AliasChange | None:
    """The row for a champion that is another one than the one before, where there ever was one."""
    now = found.aliases.get(CHAMPION)
    if now == before or not memory.champions:
        return None
    entry = next((entry for entry in found.versions if entry.version == now), None)
    if now is not None:
        reason = "moved outside penumbra" if entry else "moved outside penumbra, to a version that penumbra did not register"
    elif found.created_at is None:
        reason = "the registered model was removed outside penumbra"
    else:
        kept = before in {entry.version for entry in found.versions}
        reason = "alias removed outside penumbra" if kept else "version deleted outside penumbra"
    return AliasChange(found.model, CHAMPION, now, before, entry.digest if entry else None, reason, OUTSIDE, datetime.now(UTC))


def _sentence_of_move(model: str, before: int | None, now: int) -> str:
    if before is None:
        return f'the alias champion of {model} was given to {now} outside penumbra; penumbra promote {now} --reason "..." confirms it'
    return (
        f"the alias champion of {model} was moved outside penumbra, from {before} to {now};"
        f' penumbra promote {before} --reason "..." moves it back, penumbra promote {now} --reason "..." confirms it'
    )


def _gone(memory: Remembered, ours: set[int]) -> tuple[int, ...]:
    return tuple(number for number, row in sorted(memory.versions.items()) if row["alias"] != DELETED and number not in ours)


def _told(refusals: Sequence[Refusal | None]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """Sentences and rules of the refusals that there are."""
    there = [refusal for refusal in refusals if refusal is not None]
    return tuple(f"{refusal.found}; {refusal.advice}" for refusal in there), tuple(refusal.rule for refusal in there)
