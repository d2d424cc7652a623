"""Patients and phantoms that come packed."""

import tarfile
from pathlib import Path


def unpack(archive: Path, folder: Path, *, ending: str = "") -> Path:
    """Extract the members whose names end with `ending` into `folder`, and return it.

    Python 3.11.4 brought the filter that refuses members outside the folder; Debian 12 has 3.11.2. The archives are the project's own.
    """
    with tarfile.open(archive) as packed:
        members = [member for member in packed.getmembers() if member.name.endswith(ending)]
        if hasattr(tarfile, "data_filter"):
            packed.extractall(folder, members, filter="data")
        else:
            packed.extractall(folder, members)
    return folder
