"""Libraries that an installation may leave out: the extras of the package."""

import importlib.util
from typing import Final

from penumbra.base.refusal import Refusal

# The module that is imported -> the extra that has it, and what it needs besides.
EXTRAS: Final = {
    "polars": ("polars", "a frame of polars is made of it; pandas and arrow need nothing more"),
    "radiomics": ("reference", "PyRadiomics, which is compiled with a C compiler when it is installed"),
    "prefect_dask": ("stack", "Dask under Prefect"),
    "lifelines": ("bench", "the library that is compared with"),
}


def require(module: str) -> None:
    """Refuse where a library of an extra is not installed.

    Raises
    ------
    Refusal
        "extra_installed" with the extra.
    """
    if importlib.util.find_spec(module) is None:
        extra, what = EXTRAS[module]
        raise Refusal("extra_installed", f"{module} is not installed ({what})", f'Install the extra: pip install "penumbra-survival[{extra}]"')
