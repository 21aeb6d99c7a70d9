import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.canonical import canonical_json, digest, sha256_hex

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def test_keys_are_sorted_and_text_is_not_escaped() -> None:
    assert (
        canonical_json({"b": [1, {"d": None, "c": "é"}], "a": True}) == '{"a":true,"b":[1,{"c":"é","d":null}]}'.encode()
    )


def test_the_digest_is_the_sha256_of_the_canonical_bytes() -> None:
    assert digest({}) == sha256_hex(b"{}") == "44136fa355b3678a1146ad16f7e8649e94fb4fc21fe77e8310c060f61caaff8a"


@pytest.mark.parametrize("document", [float("nan"), float("inf"), ["\ud800"]])
def test_what_json_cannot_carry_is_refused(document: Any) -> None:
    with pytest.raises(ValueError, match=r"."):
        canonical_json(document)


@pytest.mark.parametrize("document", [{1: "a"}, [{None: 1}], {"a": ({2: 3},)}, {"a": object()}])
def test_what_is_not_json_is_refused(document: Any) -> None:
    with pytest.raises(TypeError):
        canonical_json(document)


@given(JSON)
def test_the_order_of_keys_does_not_change_the_digest(document: Any) -> None:
    text = canonical_json(document)
    assert digest(json.loads(text)) == digest(document)
    assert digest({"x": document, "y": 1}) == digest({"y": 1, "x": document})
