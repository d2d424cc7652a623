"""The groups of params.yaml of the servers that people ask: SQL over the network, a model, MLflow's pages, and the console."""

from dataclasses import dataclass

from penumbra.base.yaml_files import wrong


@dataclass(frozen=True)
class ServeSql:
    """penumbra serve-sql: the port, and the limits of one statement (seconds, megabytes, rows) and of all (maximum concurrent statements)."""

    port: int
    timeout_s: float
    memory_mb: int
    max_rows: int
    at_once: int


@dataclass(frozen=True)
class ServeModel:
    """penumbra serve-model.

    Parameters
    ----------
    port
        Where it answers.
    patients
        Of one request that sends features.
    body_mb
        Of one request, as it is sent.
    unpacked_mb, files
        Of a zip, unpacked.
    at_once
        Requests that compute; others wait ...
    wait_s
        ... so long, in s, and are then refused.
    memory_mb
        Of its connection to the store.
    """

    port: int
    patients: int
    body_mb: int
    unpacked_mb: int
    files: int
    at_once: int
    wait_s: float
    memory_mb: int


@dataclass(frozen=True)
class Window:
    """How HU become gray: the level in the middle, and the width from black to white."""

    level: float
    width: float

    def __post_init__(self) -> None:
        if not self.width >= 1:
            raise wrong("console.windows", f"a window of console.windows has a width of {self.width:g} HU", "Give at least 1")


@dataclass(frozen=True)
class Console:
    """penumbra console.

    Parameters
    ----------
    port
        Where it answers.
    memory_mb
        MB of each of its connections to the store.
    rows
        Of one page of a list.
    session_hours
        After which somebody who signed in signs in again.
    sign_ins
        Attempts that fail, of one machine within a quarter of an hour.
    pages_per_minute
        Of one account.
    costly
        Pages that compute for seconds, at once.
    costly_wait_s
        How long others wait, in s.
    stale_s
        A page whose data changed is sent from before the change for so long (s) at most, with its age, while it is rendered again; 0: never.
    windows
        Presets of the CT viewer, the first one at first.
    """

    port: int
    memory_mb: int
    rows: int
    session_hours: float
    sign_ins: int
    pages_per_minute: int
    costly: int
    costly_wait_s: float
    stale_s: float
    windows: dict[str, Window]

    def __post_init__(self) -> None:
        if not self.windows:
            raise wrong("console.windows", "console.windows names no window", "Name at least one, such as `lung: {level: -600, width: 1500}`")
