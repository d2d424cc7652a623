"""Values as they are sent to a served model: numbers only. JSON's true is not 1, a text is not a number, and null is a missing value."""

import math
from collections.abc import Iterable
from decimal import Decimal
from numbers import Real
from typing import Any

import numpy as np

from penumbra.fusion.declaration import Unusable


def numbers(name: str, raw: Iterable[Any]) -> np.ndarray:
    """One column as floats, shape (n,); null becomes nan, and infinity stays what it is: the model refuses both by their names.

    Parameters
    ----------
    name
        Of the column, for the message.
    raw
        The values as they were parsed.

    Raises
    ------
    Unusable
        "value_is_a_number: gtv.x is true for 1 of 2 patients. ..." (or a text, a list, a number too large for a float).
    """
    values = np.asarray(raw)
    if values.dtype.kind in "iuf":
        return values.astype(float)
    checked = [_checked(value) for value in values]
    wrong = [fault for fault, _ in checked if fault]
    if wrong:
        raise Unusable("value_is_a_number", f"{name} is {wrong[0]} for {len(wrong)} of {len(checked)} patients", "Send a number, not a text, true or false")
    return np.array([value for _, value in checked], dtype=float)


def _checked(value: Any) -> tuple[str, float]:
    """What is wrong with one value, or "", and the value."""
    if value is None or type(value).__name__ in ("NAType", "NaTType"):
        return "", math.nan
    if isinstance(value, bool | np.bool_):
        return ("true" if value else "false"), math.nan
    if isinstance(value, Real | Decimal):
        try:
            return "", float(value)
        except OverflowError:
            return "a number too large for a float", math.nan
    kinds = {str: "a text", bytes: "a text", list: "a list", tuple: "a list", dict: "an object", np.ndarray: "a list"}
    return next((word for kind, word in kinds.items() if isinstance(value, kind)), "not a number"), math.nan
