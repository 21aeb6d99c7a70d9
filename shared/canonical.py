"""One way to write a JSON document, so that equal documents have equal digests.

Keys are sorted, there are no spaces, text is UTF-8 and not escaped. The infrastructure runner writes change sets in the
same form, therefore both sides compute the same digest without sharing code.
"""

import hashlib
import json
from typing import Any


def canonical_json(document: Any) -> bytes:
    """Serialise a JSON document in its canonical form.

    Raises:
        ValueError: the document holds NaN, an infinity or half of a surrogate pair: no JSON text can carry them.
        TypeError: the document holds something that is not JSON, including keys that are not text.
    """
    _require_text_keys(document)
    text = json.dumps(document, sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False)
    return text.encode("utf-8")


def sha256_hex(content: bytes) -> str:
    """Return the SHA-256 of some bytes as 64 hexadecimal digits."""
    return hashlib.sha256(content).hexdigest()


def digest(document: Any) -> str:
    """Return the SHA-256 of a document's canonical form.

    Raises:
        ValueError, TypeError: as `canonical_json`.
    """
    return sha256_hex(canonical_json(document))


def _require_text_keys(value: Any) -> None:
    """Refuse keys such as 1 or None: json would turn them into text, and two keys could become one."""
    if isinstance(value, dict):
        for key, item in value.items():
            if not isinstance(key, str):
                raise TypeError(f"The key {key!r} is not text.")
            _require_text_keys(item)
    elif isinstance(value, list | tuple):
        for item in value:
            _require_text_keys(item)
