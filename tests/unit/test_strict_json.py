import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared import strict_json
from shared.errors import RequestRejectedError

JSON = "application/json; charset=utf-8"
DOCUMENTS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


@pytest.mark.parametrize(
    ("body", "content_type", "status", "word"),
    [
        (b"{}", "text/plain", 415, "application/json"),
        (b"{}", None, 415, "application/json"),
        (b"", JSON, 400, "not JSON"),
        (b"{", JSON, 400, "not JSON"),
        (b'{"a": 1, "a": 2}', JSON, 400, "twice"),
        (b'{"b": {"a": 1, "a": 2}}', JSON, 400, "twice"),
        (b'{"a": NaN}', JSON, 400, "NaN"),
        (b'{"a": -Infinity}', JSON, 400, "Infinity"),
        (b'{"a": 1e999}', JSON, 400, "too large"),
        (b'{"a": "\\ud800"}', JSON, 400, "surrogate"),
        (b'{"\\ud800": 1}', JSON, 400, "surrogate"),
        (b"\xff\xfe", JSON, 400, "UTF-8"),
        (b"[" * 100 + b"]" * 100, JSON, 400, "nested"),
        (b"[" * 100_000 + b"]" * 100_000, JSON, 400, "nested"),
        (b'"' + b"a" * strict_json.LARGEST + b'"', JSON, 413, "256 KB"),
        (b"9" * 5000, JSON, 400, "not JSON"),
    ],
)
def test_hostile_bodies_are_refused_in_words(body: bytes, content_type: str | None, status: int, word: str) -> None:
    with pytest.raises(RequestRejectedError, match=word) as refused:
        strict_json.parse(body, content_type)
    assert refused.value.status == status


@given(DOCUMENTS)
def test_sound_documents_come_through_unchanged(document: object) -> None:
    assert strict_json.parse(json.dumps(document).encode(), JSON) == document


@given(st.binary(max_size=200))
def test_any_bytes_give_a_document_or_a_4xx(body: bytes) -> None:
    refused: list[int] = []
    try:
        strict_json.parse(body, JSON)
    except RequestRejectedError as error:
        refused.append(error.status)
    assert refused in ([], [400])
