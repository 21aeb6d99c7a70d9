"""What the journal may keep of a call: no credential, no long text."""

import json
import re
from typing import Any

from aiohttp import web

BODY_LIMIT = 64 * 1024
READ_LIMIT = 16 * 1024 * 1024
LONG_TEXT = 256
REDACTED = "REDACTED"
SECRET_FIELDS = frozenset(
    {
        "access_token",
        "administratorloginpassword",
        "client_assertion",
        "client_secret",
        "id_token",
        "password",
        "private_key",
        "refresh_token",
        "token",
    }
)
_SECRET_QUERY = re.compile(r"(?i)([?&](?:sig|code|token|access_token|client_secret|password)=)[^&#]*")


def redact_url(url: str) -> str:
    """The URL without signatures and credentials in its query."""
    return _SECRET_QUERY.sub(rf"\g<1>{REDACTED}", url)


async def journal_body(request: web.Request, secret_fields: frozenset[str]) -> Any:
    """The JSON body of a request with secrets replaced; None for any other content.

    The handler can still read the body. In a body over 64 KB long texts are cut, so that its shape stays visible.
    """
    if not is_json(request.content_type) or not request.can_read_body:
        return None
    if (request.content_length or 0) > READ_LIMIT:
        return None
    raw = await request.read()
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    return _clean(body, SECRET_FIELDS | secret_fields, cut=len(raw) > BODY_LIMIT)


def is_json(content_type: str) -> bool:
    return content_type == "application/json" or content_type.endswith("+json")


def _clean(value: Any, secret_fields: frozenset[str], *, cut: bool) -> Any:
    if isinstance(value, dict):
        return {
            key: REDACTED
            if key.lower() in secret_fields and isinstance(item, str)
            else _clean(item, secret_fields, cut=cut)
            for key, item in value.items()
        }
    if isinstance(value, list):
        return [_clean(item, secret_fields, cut=cut) for item in value]
    if cut and isinstance(value, str) and len(value) > LONG_TEXT:
        return f"{value[:LONG_TEXT]}... ({len(value)} characters)"
    return value
