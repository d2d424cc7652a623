"""Values as JSON has them."""

import json
import math

import numpy as np

from penumbra.base.json_values import without_nan


def test_what_is_no_number_is_null_at_any_depth() -> None:
    value = {"row": [{"value": math.nan, "upper": math.inf, "n": 3, "ok": True}], "pair": (1.5, np.float64("nan")), "array": np.array([1.0, -math.inf])}
    plain = {"row": [{"value": None, "upper": None, "n": 3, "ok": True}], "pair": [1.5, None], "array": [1.0, None]}
    assert without_nan(value) == plain
    assert json.loads(json.dumps(without_nan(value), allow_nan=False)) == plain
