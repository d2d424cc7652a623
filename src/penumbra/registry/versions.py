"""Registered versions by name: all of them, the one that an alias or a number means, and the alias that moves."""

from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.base.account import account
from penumbra.base.params import model_name
from penumbra.base.refusal import Refusal, nearest
from penumbra.registry import noted, remote
from penumbra.registry.alias_event import move_alias
from penumbra.registry.bundle import verify
from penumbra.registry.database import client as client
from penumbra.registry.database import query, writing
from penumbra.registry.database import quiet_mlflow as quiet_mlflow
from penumbra.registry.database import tracking_uri as tracking_uri
from penumbra.registry.noted import AliasChange as AliasChange
from penumbra.registry.outside import champion_foreign, champion_missing, model_missing
from penumbra.registry.remembered import CHAMPION as CHAMPION
from penumbra.registry.remembered import remembered
from penumbra.registry.shelf import RegisteredVersion as RegisteredVersion
from penumbra.registry.shelf import Shelf, shelf

if TYPE_CHECKING:
    from mlflow import MlflowClient

CHALLENGER = "challenger"


def models(home: Path) -> list[str]:
    """List the names of all registered models.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.

    Returns
    -------
    list
        Names, in alphabetical order.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import models
    >>> models(Path("home"))
    ['nsclc-os']
    """
    address = remote.server()
    return sorted(remote.models(address) if address else (row["name"] for row in query(home, "models.sql", {})))


def versions(home: Path, model: str | None = None) -> list[RegisteredVersion]:
    """List all versions of a model that penumbra registered.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    model
        Name of the registered model; None: the one that params.yaml names (register.model).

    Returns
    -------
    list
        Oldest first; empty when nothing is registered yet.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import versions
    >>> [(entry.version, entry.aliases, entry.train_centers) for entry in versions(Path("home"))]
    [(1, ('champion',), ('north',))]
    """
    return list(shelf(home, model).versions)


def find(home: Path, which: str | int = CHAMPION, model: str | None = None) -> RegisteredVersion:
    """Find the version that an alias or a number names.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        An alias or a number: "champion", 3, "3", "v3", "nsclc-os/3" or "nsclc-os@champion".
    model
        Of a name without one; None: the one that params.yaml names (register.model).

    Returns
    -------
    RegisteredVersion
        With its aliases, digest, lineage and folder.

    Raises
    ------
    Refusal
        "model_registered" when nothing is registered: `no version of nsclc-os is registered. ...`; "version_registered" with the versions and aliases there
        are: `no version or alias 9 of nsclc-os. ...`; "champion_there" when the champion's alias was removed outside penumbra; "registered_by_penumbra" for a
        version that somebody made in MLflow.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import find
    >>> find(Path("home"), "champion").version, find(Path("home"), "nsclc-os/1").aliases
    (1, ('champion',))
    """
    model, label = addressed(home, which, model)
    inventory = shelf(home, model)
    number = label.removeprefix("v")
    target = inventory.aliases.get(label, int(number) if number.isdecimal() else None)
    for entry in inventory.versions:
        if entry.version == target:
            return entry
    if target in {entry.version for entry in inventory.foreign}:
        raise _foreign(home, inventory, target, label)
    if inventory.created_at is None and (missing := model_missing(home, model)):
        raise missing
    if label == CHAMPION and (refusal := champion_missing(home, inventory)):
        raise refusal
    if not inventory.versions:
        others = [name for name in models(home) if name != model]
        elsewhere = f"; this registry has {', '.join(others)}" if others else ""
        advice = "run `penumbra run` or `penumbra register` first" + (f", or name one of those: {others[0]}/champion" if others else "")
        raise Refusal("model_registered", f"no version of {model} is registered{elsewhere}", advice)
    fact = f"{model}/{number} was deleted outside penumbra" if number in map(str, inventory.deleted) else f"no version or alias {which!r} of {model}"
    raise Refusal("version_registered", fact, _suggestion(label, inventory))


def addressed(home: Path, which: str | int, model: str | None = None) -> tuple[str, str]:
    """Tell the model that a name means, and which version of it.

    The names "nsclc-pfs/3" and "nsclc-pfs@champion" name a registered model themselves.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        An alias or a number, with or without a model.
    model
        Of a name without one; None: the one that params.yaml names (register.model).

    Returns
    -------
    tuple
        The model, and the alias or number.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import addressed
    >>> addressed(Path("home"), "nsclc-os@champion"), addressed(Path("home"), 3)
    (('nsclc-os', 'champion'), ('nsclc-os', '3'))
    """
    usual = model or model_name(home)
    for divider in ("/", "@"):
        name, separator, label = str(which).partition(divider)
        if separator and (name == usual or name in models(home)):  # a git branch has a slash too
            return name, label
    return usual, str(which)


def promote(home: Path, which: str | int, alias: str = CHAMPION, *, reason: str = "", model: str | None = None) -> AliasChange:
    """Point an alias to a version whose files have not changed since registration; the former holder keeps its number.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the registry is in `<home>/mlflow`.
    which
        Alias or number, see `find`.
    alias
        To point to it.
    reason
        For the audit trail.
    model
        Name of the registered model; None: the one that params.yaml names (register.model).

    Returns
    -------
    AliasChange
        What moved, when, and by whom.

    Raises
    ------
    Refusal
        "version_registered": `no version or alias 9 of nsclc-os. ...`; "bundle_unchanged" when a file of the version was altered.

    Notes
    -----
    A challenger that becomes champion is no longer a challenger. The change is noted before it is made: killed in between, or made from Python, it
    is recorded in the store by the next command that writes.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import find, promote
    >>> change = promote(Path("home"), 1, "baseline", reason="the first of the study")
    >>> change.alias, change.version, change.previous
    ('baseline', 1, None)
    >>> find(Path("home"), "baseline").aliases
    ('baseline', 'champion')
    """
    with writing(home):
        entry = find(home, which, model)
        model = entry.model
        verify(entry.folder, entry.digest)
        inventory = shelf(home, model)
        previous = inventory.aliases.get(alias)
        change = AliasChange(model, alias, entry.version, previous, entry.digest, reason, account(), datetime.now(UTC))
        mlflow_client = client(home)
        restore_tags(mlflow_client, inventory)
        if previous != entry.version:
            notes = noted.read(home, model)
            completed = (earlier for earlier in notes.pending if (earlier.alias, earlier.previous) != (alias, previous))  # the others were killed before
            noted.write(home, model, replace(notes, pending=(*completed, change)))
            move_alias(mlflow_client, model, alias, entry.version)
        if alias == CHAMPION and CHALLENGER in entry.aliases:
            mlflow_client.delete_registered_model_alias(model, CHALLENGER)
    return change


def restore_tags(mlflow_client: "MlflowClient", inventory: Shelf) -> None:
    """Let MLflow show again what penumbra registered, where its tags were changed or removed."""
    for entry in inventory.versions:
        for name in inventory.altered.get(entry.version, ()):
            mlflow_client.set_model_version_tag(entry.model, str(entry.version), name, entry.tags[name])


def _suggestion(label: str, inventory: Shelf) -> str:
    """The alias or version that is most like what was asked for, and all there are."""
    near = nearest(
        label,
        (*inventory.aliases, *(str(entry.version) for entry in inventory.versions), *(f"{inventory.model}/{entry.version}" for entry in inventory.versions)),
    )
    return (f"Did you mean {near}? " if near else "") + f"Registered: {_offered(inventory)}"


def _offered(inventory: Shelf) -> str:
    return ", ".join(f"{entry.version}" + (f" ({', '.join(entry.aliases)})" if entry.aliases else "") for entry in inventory.versions)


def _foreign(home: Path, inventory: Shelf, number: int | None, label: str) -> Refusal:
    if label == CHAMPION:
        return champion_foreign(inventory, remembered(home, inventory.model))
    fact = f"{inventory.model}/{number} was made in MLflow and not registered by penumbra: it has no features, lineage or metrics here"
    return Refusal("registered_by_penumbra", fact, f"registered by penumbra: {_offered(inventory) or 'none yet'}")
