"""Networks as the commands read them: with the programs that were compiled before in this state folder, by any command or worker."""

import contextlib
import os
from pathlib import Path
from typing import TYPE_CHECKING

from penumbra.base.refusal import Refusal

if TYPE_CHECKING:
    from penumbra.network import Ensemble

FOLDER = "JAX_COMPILATION_CACHE_DIR"
COMPILED = "compiled"  # below networks/
COMPILE_WORTH_KEEPING_S = 0.5  # a program that compiled faster is not worth a file


def keep_compiled(home: Path) -> None:
    """Compiled programs of the network stay in the state folder, for the next process; one that may only read it uses those that are there.

    JAX's own variable names another folder, which several state folders may share.
    """
    from penumbra import network

    with contextlib.suppress(OSError):
        network.keep_compiled(Path(os.environ.get(FOLDER) or home / "networks" / COMPILED), min_seconds=COMPILE_WORTH_KEEPING_S)


def load(home: Path, weights: Path) -> "Ensemble":
    """Read the networks of a file; what they compute is compiled once in a state folder: one program embeds, scores and maps.

    Parameters
    ----------
    weights
        As `penumbra.network.save` wrote it.

    Raises
    ------
    Refusal
        As `read`.
    """
    keep_compiled(home)
    return read(weights)


def read(weights: Path) -> "Ensemble":
    """Read the networks of a file, a registered version's too.

    Raises
    ------
    Refusal
        "bundle_readable": the file is damaged, or its networks have another format, as those of November 24, 2026, had.
    """
    from penumbra import network

    try:
        return network.load(weights)
    except ValueError as error:
        raise Refusal("bundle_readable", str(error), "use the program version that wrote it, or train and register again with penumbra run") from None
