"""JSON documents as frozen dataclasses: what comes back, what another version may have written, and what a damaged one says."""

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import pytest

from penumbra.base.documents import Document, DocumentError, left_out
from penumbra.evaluate.gate import GateLimits


@dataclass(frozen=True)
class Inner:
    value: float
    n: int = 1


@dataclass(frozen=True, kw_only=True)
class Outer(Document):
    name: str
    rows: tuple[Inner, ...]
    by_name: Mapping[str, Inner]
    champion: int | None
    kind: Literal["keep", "reject"] = "keep"
    reason: str | None = left_out()
    limits: GateLimits | None = None
    others: Mapping[str, int] = field(default_factory=dict)
    anything: Any = None


WHOLE: dict[str, Any] = {"name": "a", "rows": [{"value": 0.5, "n": 2}], "by_name": {"b": {"value": 1, "n": 1}}, "champion": None}


def test_a_document_comes_back_and_nan_is_null() -> None:
    whole = Outer(name="a", rows=(Inner(math.nan), Inner(0.25, 3)), by_name={"b": Inner(-math.inf)}, champion=2, anything={"c": [1, None]})
    content = json.loads(json.dumps(whole.to_json(), allow_nan=False))
    assert [row["value"] for row in content["rows"]] == [None, 0.25]
    assert content["by_name"]["b"]["value"] is None
    again = Outer.from_json(content)
    assert (again.rows[1], again.champion, again.anything) == (Inner(0.25, 3), 2, {"c": [1, None]})
    assert math.isnan(again.rows[0].value)
    assert again.to_json() == content


def test_none_is_null_unless_the_field_is_left_out() -> None:
    content = Outer.from_json(WHOLE).to_json()
    assert content["champion"] is None
    assert content["limits"] is None
    assert "reason" not in content
    assert Outer.from_json({**WHOLE, "reason": "why"}).to_json()["reason"] == "why"


def test_what_another_version_wrote_is_read() -> None:
    found = Outer.from_json({**WHOLE, "of_a_later_version": 1})
    assert (found.kind, found.others) == ("keep", {})
    assert "of_a_later_version" not in found.to_json()
    assert found.to_json()["by_name"]["b"]["value"] == 1, "a whole number stays one: the bytes do not change"


GATE = {"noise": 0.1, "confidence": 0.95, "interval": "percentile", "min_events": 10, "resamples": 5, "seed": 1}
DAMAGED = {
    "a list": ([], "it is a list, not a group"),
    "no name": ({key: value for key, value in WHOLE.items() if key != "name"}, "name is missing"),
    "a name that is a number": (WHOLE | {"name": 3}, "name is a whole number, not a text"),
    "a row that is none": (WHOLE | {"rows": [1]}, r"rows\[0\] is a whole number, not a group"),
    "rows that are none": (WHOLE | {"rows": {}}, "rows is a group, not a list"),
    "a value below": (WHOLE | {"by_name": {"b": {"value": "x"}}}, r"by_name\.b\.value is a text, not a number"),
    "true for a number": (WHOLE | {"rows": [{"value": True}]}, r"rows\[0\]\.value is true or false, not a number"),
    "a kind that there is not": (WHOLE | {"kind": "JOHN DOE"}, "kind is a text, not one of its values"),
    "nothing": (WHOLE | {"by_name": None}, "by_name is nothing, not a group"),
    "what checks itself": (WHOLE | {"limits": GATE}, "limits does not hold together: .*resamples"),
}


@pytest.mark.parametrize(("content", "said"), DAMAGED.values(), ids=DAMAGED)
def test_a_damaged_document_says_where_and_shows_no_value(content: Any, said: str) -> None:
    with pytest.raises(DocumentError, match=rf"^{said}") as error:
        Outer.from_json(content)
    assert "DOE" not in str(error.value)
