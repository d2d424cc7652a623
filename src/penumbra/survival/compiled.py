"""How the kernels of this package are compiled: as those of penumbra.radiomics, once on a machine; see there."""

import numba

kernel = numba.njit(cache=True, nogil=True, error_model="numpy")
