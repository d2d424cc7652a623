"""Values as JSON has them."""

import math
from collections.abc import Mapping
from typing import Any


def without_nan(value: Any) -> Any:
    """`value` at any depth with null where JSON has no number (NaN, infinity), arrays and tuples as lists."""
    if hasattr(value, "tolist") and not isinstance(value, str):  # numpy scalar or array, without importing numpy here
        value = value.tolist()
    if isinstance(value, Mapping):
        return {key: without_nan(entry) for key, entry in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(entry) for entry in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
