"""What a served model takes for a number, asked as the server asks it: every answer is JSON, and every refusal HTTP 400 with its rule."""

import json
import math
from collections.abc import Callable
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from penumbra.registry import Bundle, register, tracking_uri
from penumbra.registry.sent import numbers


@pytest.mark.filterwarnings("ignore")  # of MLflow's own libraries
def test_every_value_is_answered_or_refused_by_its_name(home: Path, make_bundle: Callable[..., Bundle]) -> None:
    """Broke: 1e308 was answered with Infinity, which is not JSON; Infinity was called missing; true counted as 1, and "0.7" as 0.7."""
    import mlflow
    from mlflow.exceptions import MlflowException
    from mlflow.pyfunc.scoring_server import invocations

    bundle = make_bundle()
    inputs = bundle.models[bundle.served].inputs
    small = tuple(replace(column, sd=sd) for column, sd in zip(inputs, (1.0, 1e-3, 1e-3), strict=True))
    steep = replace(bundle.models[bundle.served], inputs=small)  # a small unit, in which large values overflow
    bundle = replace(bundle, models={**bundle.models, bundle.served: steep})
    register(home, bundle)
    mlflow.set_tracking_uri(tracking_uri(home))
    model = mlflow.pyfunc.load_model("models:/nsclc-os@champion")
    columns, schema = list(bundle.models[bundle.served].columns), model.metadata.get_input_schema()

    def ask(body: Any) -> tuple[int, str]:
        try:
            answer = invocations(body if isinstance(body, str) else json.dumps(body), "application/json", model, schema)
        except MlflowException as refused:
            return int(refused.get_http_status_code()), refused.message
        return answer.status, answer.response

    def split(*rows: list[Any]) -> dict[str, Any]:
        return {"dataframe_split": {"columns": columns, "data": list(rows)}}

    def no_constant(name: str) -> float:
        raise AssertionError(f"{name} is not JSON")

    second = columns[1]  # neither logged nor filled
    wrong: dict[str, Any] = {
        "is true for 1 of 1": True,
        "is false for 1 of 1": False,
        "is a text for 1 of 1": "0.7",
        "is missing for 1 of 1": None,
        "is infinite for 1 of 1": math.inf,
        "is a list for 1 of 1": [1.0],
        "is an object for 1 of 1": {"a": 1},
        "is a number too large for a float for 1 of 1": 10**400,
        "makes the risk infinite for 1 of 1": 1e308,
    }
    for words, value in wrong.items():
        for sent in (value, -value) if isinstance(value, float) else (value,):
            status, text = ask(split([0.7, sent, 1.1]))
            assert (status, f"{second} {words} patients" in text) == (400, True), (words, text)
    assert "is infinite" in ask(json.dumps(split([0.7, 0.5, 1.1])).replace("0.5", "1e999"))[1]
    assert f"{second} is true for 1 of 2 patients. Send a number" in ask(split([0.7, 0.1, 1.1], [0.7, True, 1.1]))[1]
    for form in ("dataframe_records", "inputs", "instances"):
        rows = [dict(zip(columns, [0.7, True, 1.1], strict=True))]
        assert "is true for 1 of 1" in ask({form: rows})[1], form
        assert ask({form: [dict(zip(columns, [1, 2, 3], strict=True))]})[0] == 200, form

    for row in ([0.7, 0.4, 1.1], [1, 2, 3], [1, 10**30, 3], [1e308, 0.4, 1.1], [0.7, 1e300, -1e300], [5e-324, 0.4, 1.1]):
        status, text = ask(split(row))
        assert status == 200, text
        json.loads(text, parse_constant=no_constant)


def test_numbers() -> None:
    sent = [1, 2.5, None, Decimal("0.5"), np.float32(0.25), math.inf, pd.NA, pd.NaT]
    np.testing.assert_array_equal(numbers("x", sent), [1, 2.5, np.nan, 0.5, 0.25, np.inf, np.nan, np.nan])
    np.testing.assert_array_equal(numbers("x", pd.array([1, None], dtype="Int64")), [1, np.nan])
    for column in (
        pd.Series(["a"]).array,
        pd.Series(["a"], dtype="string").array,
        pd.array([True, None], dtype="boolean"),
        np.array([np.datetime64("2026-01-01")]),
    ):
        with pytest.raises(ValueError, match=r"^x is (a text|true|not a number) for 1 of \d patients\. Send a number, .*\(rule value_is_a_number\)$"):
            numbers("x", column)
