"""Which program this is, so that machines that work together can tell whether they are the same."""

import functools
import hashlib
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

PACKAGE = "penumbra-survival"
FLOWS = "flows"  # a folder of its own in a checkout, within the package once installed; it computes nothing
LIBRARIES = ("numpy", "numba", "PyWavelets", "SimpleITK", "scipy")  # whose numbers enter a feature


@functools.cache
def identity() -> dict[str, str]:
    """Return the version of the package, a digest of its code, and the versions of Python and of the libraries whose numbers enter a feature.

    Returns
    -------
    dict
        Such as {"penumbra": "0.2.0", "code": "1f0c5a7e9b21", "python": "3.11", "numpy": "2.4.6", ...}; a library that is missing is "not installed".
    """
    root = Path(__file__).resolve().parents[1]
    code = hashlib.sha256()
    for file in sorted(root.rglob("*.py")):
        place = file.relative_to(root)
        if place.parts[0] != FLOWS:
            code.update(place.as_posix().encode() + b"\0" + file.read_bytes() + b"\0")
    installed = {name: _installed(name) for name in LIBRARIES}
    return {"penumbra": _installed(PACKAGE), "code": code.hexdigest()[:12], "python": ".".join(platform.python_version_tuple()[:2])} | installed


def _installed(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:
        return "not installed"
