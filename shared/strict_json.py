"""JSON from strangers: what is ambiguous or hostile is refused with a sentence, before any model sees it."""

import json
from typing import Any

from shared.errors import RequestRejectedError

LARGEST = 256 * 1024
DEEPEST = 20


def parse(body: bytes, content_type: str | None) -> Any:
    """The document of a request body.

    Raises:
        RequestRejectedError: 413, 415 or 400; the sentence says what is wrong.
    """
    if len(body) > LARGEST:
        raise RequestRejectedError("body-too-large", f"The body is larger than {LARGEST // 1024} KB.", status=413)
    if (content_type or "").partition(";")[0].strip().lower() != "application/json":
        raise RequestRejectedError("unsupported-media-type", "Send the body as application/json.", status=415)
    try:
        document = json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse)
    except UnicodeDecodeError as error:
        raise _bad("The body is not UTF-8.") from error
    except RecursionError as error:
        raise _bad(f"The document is nested deeper than {DEEPEST} levels.") from error
    except ValueError as error:
        raise _bad(f"The body is not JSON: {error}.") from error
    _require_sound(document, 0)
    return document


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    document = dict(pairs)
    if len(document) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise _bad(f"The key {twice!r} stands twice in an object.")
    return document


def _refuse(constant: str) -> Any:
    raise _bad(f"{constant} is not a JSON number.")


def _require_sound(value: Any, depth: int) -> None:
    if depth > DEEPEST:
        raise _bad(f"The document is nested deeper than {DEEPEST} levels.")
    if isinstance(value, dict):
        for key, item in value.items():
            _require_unicode(key)
            _require_sound(item, depth + 1)
    elif isinstance(value, list):
        for item in value:
            _require_sound(item, depth + 1)
    elif isinstance(value, str):
        _require_unicode(value)
    elif isinstance(value, float) and value in (float("inf"), float("-inf")):
        raise _bad("A number is too large.")


def _require_unicode(text: str) -> None:
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise _bad("A text holds half of a surrogate pair.") from error


def _bad(detail: str) -> RequestRejectedError:
    return RequestRejectedError("malformed-json", detail, status=400)
