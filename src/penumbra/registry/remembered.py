"""What penumbra remembers of its registered versions, whatever MLflow says now: the store's relations `model_versions` and `alias_changes`."""

import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from penumbra.base.refusal import Refusal

CHAMPION = "champion"
DELETED = "deleted"  # in the column alias of model_versions: MLflow has the version no more


@dataclass(frozen=True)
class Remembered:
    """The store's word on one model.

    Parameters
    ----------
    versions
        Number -> its newest row of `model_versions`.
    champions
        Who was champion, in order; None: nobody, since the alias was lost.
    """

    versions: dict[int, dict[str, Any]] = field(default_factory=dict)
    champions: tuple[int | None, ...] = ()

    @property
    def champion(self) -> int | None:
        """Who is champion by the record; None: nobody was yet, or the alias was lost."""
        return self.champions[-1] if self.champions else None

    @property
    def last_champion(self) -> int | None:
        """Who was champion last; None: nobody ever was."""
        return next((version for version in reversed(self.champions) if version is not None), None)

    def digest(self, version: int) -> str | None:
        """Return the digest that was registered under a number.

        Parameters
        ----------
        version
            The number.

        Returns
        -------
        str | None
            None: nothing was.
        """
        digest: str | None = self.versions.get(version, {}).get("digest")
        return digest

    def created_at(self, version: int) -> datetime | None:
        """Return when a number was registered.

        Parameters
        ----------
        version
            The number.

        Returns
        -------
        datetime | None
            UTC; None: nothing was.
        """
        at: datetime | None = self.versions.get(version, {}).get("created_at")
        return None if at is None else at.replace(tzinfo=UTC)


def remembered(home: Path, model: str) -> Remembered:
    """Read what the store of a home remembers of a model; nothing where there is no store, or none that can be read now.

    Parameters
    ----------
    home
        The folder of `PENUMBRA_HOME`; the store is in `<home>/store`.
    model
        Name of the registered model.

    Returns
    -------
    Remembered
        The newest record of each version, and who was champion.

    Examples
    --------
    >>> from pathlib import Path
    >>> from penumbra.registry import remembered
    >>> sorted(remembered(Path("home"), "nsclc-os").versions)
    [1]
    """
    if not (home / "store").is_dir() and not os.environ.get("PENUMBRA_CATALOG"):
        return Remembered()
    from penumbra import store

    try:
        with store.connect(home, read_only=True) as lake:
            rows = lake.sql("SELECT * FROM model_versions WHERE model = ?", [model]).to_pylist()
            moves = lake.sql('SELECT version FROM alias_changes WHERE model = ? AND alias = ? ORDER BY commit_id, "at"', [model, CHAMPION]).to_pylist()
    except Refusal:
        return Remembered()
    numbered = {int(row["version"]): row for row in rows if str(row["version"]).isdecimal()}
    return Remembered(numbered, tuple(None if row["version"] is None else int(row["version"]) for row in moves))
