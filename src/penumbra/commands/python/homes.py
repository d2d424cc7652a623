"""The state folder that a call from Python means."""

from pathlib import Path

from penumbra.base.params import state_home


def home_of(home: Path | str | None) -> Path:
    """The folder that is given; None: PENUMBRA_HOME, or data/ of the project."""
    return state_home() if home is None else Path(home).expanduser().resolve()
