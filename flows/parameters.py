"""What a deployment of a flow takes, as a Prefect server checks it and shows it; the docstrings of the flows describe it, in the form that Prefect reads."""

import os
from pathlib import Path
from typing import Annotated, Literal

from pydantic import Field

from penumbra.pipeline.arrivals import CENTER_NAME

Profile = Literal["quick", "paper", "best"]  # of params.yaml: a list to choose from in the UI
Center = Annotated[str, Field(pattern=f"^{CENTER_NAME.pattern}$", examples=["south"])]
Folder = Annotated[str, Field(examples=["/data/from-south"])]


def enter(home: str) -> None:
    """Work in this state folder from now on; "": in the one of the worker. A flow run of a worker is a process of its own."""
    if home:
        os.environ["PENUMBRA_HOME"] = home


def place(folder: str) -> Path | None:
    """The folder that was named; None where none was, as by an event without one."""
    return Path(folder).expanduser() if folder.strip() else None
