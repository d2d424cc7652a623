"""How the kernels of this package are compiled.

The first process on a machine compiles them; the machine code is kept next to the sources in `__pycache__`, or, where that is read-only, in the user's
cache folder (NUMBA_CACHE_DIR names another). Each file is written aside and renamed, so processes that compile at the same time do no harm.
Division by zero gives infinity or NaN as in numpy, and `extract` refuses such a value by name. One thread: processes over patients use the cores.
"""

import numba

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
