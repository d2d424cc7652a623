"""How loops over patients and voxels are compiled.

The first process on a machine compiles them; the machine code is kept next to the sources in `__pycache__`, or, where that is read-only, in the user's
cache folder (NUMBA_CACHE_DIR names another). Each file is written aside and renamed, so processes that compile at the same time do no harm. A user who may
write to neither, or not read what another user left there, compiles for each process.
Division by zero gives infinity or NaN as in numpy. One thread: processes over patients use the cores.
"""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba


def _compiled(function: Any) -> Any:
    """The function, compiled on its first call."""
    try:
        dispatcher = numba.njit(function, cache=True, nogil=True, error_model="numpy")
    except RuntimeError:  # "no locator available": neither folder may be written to
        return numba.njit(function, nogil=True, error_model="numpy")
    files = Path(dispatcher.stats.cache_path).glob(f"*.{function.__qualname__}-*.nb?")
    return dispatcher if all(os.access(file, os.R_OK) for file in files) else numba.njit(function, nogil=True, error_model="numpy")


if TYPE_CHECKING:
    kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
else:
    kernel = _compiled
