"""What `penumbra` alone tells, as data."""

from collections.abc import Mapping
from dataclasses import dataclass

from penumbra.pipeline import history


@dataclass(frozen=True)
class Place:
    """C of the champion (model_c) and of tumor volume alone (volume_c, None where unknown) on n patients of a center, of whom `events` died.

    lower, upper, volume_lower, volume_upper: 95 % limits of both, None where there are none.
    """

    center: str
    model_c: float
    volume_c: float | None
    n: int
    events: int
    lower: float | None = None
    upper: float | None = None
    volume_lower: float | None = None
    volume_upper: float | None = None


@dataclass(frozen=True)
class Champion:
    """outside: at each external center; inside: cross-fitted at the training centers, empty until that is measured. registered_at: UTC, ISO 8601."""

    model: str
    version: str
    train_centers: tuple[str, ...]
    registered_at: str | None
    versions: int | None
    outside: tuple[Place, ...]
    inside: tuple[Place, ...]


@dataclass(frozen=True)
class Center:
    """patients: accepted; events: of those with a clinical record, died. None: not known."""

    center: str
    patients: int | None
    events: int | None


@dataclass(frozen=True)
class Waiting:
    """A center that something has to be done for, and what. command: to be typed by a person, who alone can decide it; else ""."""

    center: str
    why: str
    command: str = ""


@dataclass(frozen=True)
class Failure:
    """what: the command or the center; why: one sentence. at: UTC, ISO 8601, where it is known."""

    what: str
    why: str
    at: str | None = None


@dataclass(frozen=True)
class Running:
    """The command that works in this state folder; since: UTC, ISO 8601; None: not known (a flow run of a Prefect server)."""

    command: str
    since: str | None = None
    pid: int | None = None
    progress: history.Progress | None = None


@dataclass(frozen=True)
class Disk:
    """Bytes below the state folder (links not followed), whether all of it was counted in the time there is, and bytes free."""

    used: int
    counted: bool
    free: int


@dataclass(frozen=True)
class Status:
    """The state of a state folder at one moment.

    Parameters
    ----------
    home, project
        None where there is none.
    rejected
        Rule -> patients, the most frequent first.
    remarks
        What could not be read, a sentence each.
    next
        The command to type next.
    because
        Why that one.
    """

    home: str | None
    project: str | None
    champion: Champion | None
    centers: tuple[Center, ...]
    rejected: Mapping[str, int]
    waiting: tuple[Waiting, ...]
    failures: tuple[Failure, ...]
    running: Running | None
    disk: Disk | None
    checked: history.Check | None
    remarks: tuple[str, ...]
    next: str = ""
    because: str = ""

    @property
    def is_empty(self) -> bool:
        """Whether nothing has arrived or happened here yet."""
        return not (self.champion or self.centers or self.waiting or self.failures or self.running or self.remarks)
