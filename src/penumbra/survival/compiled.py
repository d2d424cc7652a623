"""How loops over patients and voxels are compiled.

The first process on a machine compiles them; the machine code is kept next to the sources in `__pycache__`, or, where that is read-only, in the user's
cache folder (NUMBA_CACHE_DIR names another). Each file is written aside and renamed, so processes that compile at the same time do no harm. A user who may
write to neither, or not read what another user left there, compiles for each process.
Division by zero gives infinity or NaN as in numpy. One thread: processes over patients use the cores.
"""

import importlib
import os
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numba
from numba.core.caching import FunctionCache

_TRIED = "0.68."  # versions of numba whose machine code refers to nothing else


class _MachineCode(FunctionCache):
    """The files of a function's machine code, loaded without what only compiling needs: a third of the time of a short command."""

    def load_overload(self, sig: Any, target_context: Any) -> Any:
        _name_runtime()
        with self._guard_against_spurious_io_errors():
            return self._load_overload(sig, target_context)


@cache
def _name_runtime() -> None:
    """Tell LLVM where the functions are that manage the memory of arrays: all that machine code refers to."""
    machine = importlib.import_module("numba.core.runtime.nrt").ll
    for name, address in importlib.import_module("numba.core.runtime._nrt_python").c_helpers.items():
        machine.add_symbol(name if name.startswith("_") else f"NRT_{name}", address)


def _compiled(function: Any) -> Any:
    """The function, compiled on its first call."""
    try:
        dispatcher = numba.njit(function, cache=True, nogil=True, error_model="numpy")
        if numba.__version__.startswith(_TRIED):
            dispatcher._cache = _MachineCode(function)
    except RuntimeError:  # "no locator available": neither folder may be written to
        return numba.njit(function, nogil=True, error_model="numpy")
    files = Path(dispatcher.stats.cache_path).glob(f"*.{function.__qualname__}-*.nb?")
    return dispatcher if all(os.access(file, os.R_OK) for file in files) else numba.njit(function, nogil=True, error_model="numpy")


if TYPE_CHECKING:
    kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
else:
    kernel = _compiled
