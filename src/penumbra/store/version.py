"""Versions: short names of definitions, the same on every machine and in every year."""

import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

KEY_LENGTH = 12  # hex digits, 48 bits: a clash among a million definitions has a chance of 2 in 1000


def canonical_json(value: Any) -> str:
    """`value` as JSON with sorted keys, no whitespace, floats by their shortest exact form; equal values give equal text.

    value  None, bool, int, float, str, numpy scalars and arrays, and sequences and mappings (keys: str) of these, at any depth.

    Raises  TypeError `cannot name a definition with <class 'set'>`, and ValueError `cannot name a definition with nan` (JSON has no such number).
    """
    return json.dumps(_plain(value), sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)


def version_key(definition: Mapping[str, Any]) -> str:
    """The first 12 hex digits of the SHA-256 over the canonical JSON of all that defines a value."""
    return sha256(definition)[:KEY_LENGTH]


def sha256(value: Any) -> str:
    """The whole SHA-256 over the canonical JSON, where a value is to be proved rather than named."""
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
