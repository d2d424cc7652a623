"""Versions: short names of definitions, the same on every machine and in every year."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

KEY_LENGTH = 12  # hex digits, 48 bits: a clash among a million definitions has a chance of 2 in 1000


def canonical_json(value: Any) -> str:
    """Write a value as JSON with sorted keys, no whitespace, floats by their shortest exact form; equal values give equal text.

    Parameters
    ----------
    value
        None, bool, int, float, str, numpy scalars and arrays, and sequences and mappings (keys: str) of these, at any depth.

    Returns
    -------
    str
        ASCII.

    Raises
    ------
    TypeError
        `cannot name a definition with <class 'set'>`.
    ValueError
        `cannot name a definition with nan` (JSON has no such number).

    Examples
    --------
    >>> from penumbra.store import canonical_json
    >>> canonical_json({"b": [1, 2.50], "a": True})
    '{"a":true,"b":[1,2.5]}'
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def version_key(definition: Mapping[str, Any]) -> str:
    """Name a definition: the first 12 hex digits of the SHA-256 over the canonical JSON of all that defines a value.

    Parameters
    ----------
    definition
        All that defines the values, as `canonical_json` takes it.

    Returns
    -------
    str
        The same on every machine and in every year.

    Examples
    --------
    >>> from penumbra.store import version_key
    >>> version_key({"binWidth": 25, "engine": "penumbra"})
    '302571a0a9cc'
    >>> version_key({"engine": "penumbra", "binWidth": 25})
    '302571a0a9cc'
    """
    return sha256(definition)[:KEY_LENGTH]


def sha256(value: Any) -> str:
    """Return the whole SHA-256 over the canonical JSON, where a value is to be proved rather than named.

    Parameters
    ----------
    value
        As `canonical_json` takes it.

    Returns
    -------
    str
        64 hex digits.

    Examples
    --------
    >>> from penumbra.store import sha256
    >>> sha256({"a": 1})[:16]
    '015abd7f5cc57a2d'
    """
    return hashlib.sha256(canonical_json(value).encode("ascii")).hexdigest()


def _plain(value: Any) -> Any:
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise ValueError(f"cannot name a definition with {value}")
        return float(value)
    if isinstance(value, Mapping):
        if not all(isinstance(key, str) for key in value):
            raise TypeError(f"cannot name a definition with keys {sorted(map(repr, value))[:3]}; use text")
        return {str(key): _plain(entry) for key, entry in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, bytes | bytearray):
        return [_plain(entry) for entry in value]
    if hasattr(value, "tolist"):  # numpy scalar or array, without importing numpy here
        return _plain(value.tolist())
    raise TypeError(f"cannot name a definition with {type(value)}")
