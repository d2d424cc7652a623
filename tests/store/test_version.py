import hashlib

import numpy as np
import pytest

from penumbra.store import canonical_json, version_key


def test_key_by_hand() -> None:
    assert canonical_json({"b": 1.0, "a": [True, None, "ä"]}) == '{"a":[true,null,"\\u00e4"],"b":1.0}'
    assert version_key({"b": 1.0, "a": [True, None, "ä"]}) == hashlib.sha256(b'{"a":[true,null,"\\u00e4"],"b":1.0}').hexdigest()[:12]


def test_order_and_container_do_not_matter_but_values_do() -> None:
    key = version_key({"x": [1, 2], "y": {"p": 0.1, "q": "s"}})
    assert version_key({"y": {"q": "s", "p": np.float64(0.1)}, "x": (1, 2)}) == key == version_key({"x": np.array([1, 2]), "y": {"p": 0.1, "q": "s"}})
    assert version_key({"x": [2, 1], "y": {"p": 0.1, "q": "s"}}) != key
    assert version_key({"x": [1, 2], "y": {"p": 0.1 + 1e-17 + 2e-17, "q": "s"}}) != key


def test_float32_is_its_own_value() -> None:
    assert canonical_json({"x": np.float32(0.5)}) == '{"x":0.5}'


@pytest.mark.parametrize("odd", [{"x": float("nan")}, {"x": float("inf")}])
def test_not_a_number_names_nothing(odd: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="cannot name a definition with"):
        version_key(odd)


@pytest.mark.parametrize("odd", [{"x": {1, 2}}, {1: "x"}, {"x": b"bytes"}, {"x": object()}])
def test_what_has_no_order_or_text_names_nothing(odd: dict[str, object]) -> None:
    with pytest.raises(TypeError, match="cannot name a definition with"):
        version_key(odd)
