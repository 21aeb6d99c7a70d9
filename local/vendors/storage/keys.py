"""The two keys of a storage account that Resource Manager made, and the requests that are signed with them.

https://learn.microsoft.com/rest/api/storagerp/storage-accounts/regenerate-key,
https://learn.microsoft.com/rest/api/storageservices/authorize-with-shared-key
"""

import base64
import hashlib
import hmac
import secrets
from datetime import UTC, datetime
from typing import Any

from aiohttp import web

from local.vendors.kernel import MUTATING, Store

ACCOUNT = "microsoft.storage/storageaccounts"
KEY_CALLS = frozenset({f"{ACCOUNT}/listkeys", f"{ACCOUNT}/regeneratekey"})
NAMES = ("key1", "key2")
SIGNED: tuple[str, ...] = (
    "Content-Encoding",
    "Content-Language",
    "Content-Length",
    "Content-MD5",
    "Content-Type",
    "Date",
)
SIGNED += ("If-Modified-Since", "If-Match", "If-None-Match", "If-Unmodified-Since", "Range")


def _key(name: str) -> dict[str, str]:
    value = base64.b64encode(secrets.token_bytes(64)).decode()
    made = datetime.now(UTC).isoformat().replace("+00:00", "Z")
    return {"keyName": name, "value": value, "permissions": "FULL", "creationTime": made}


def keys_of(store: Store, account: str) -> list[dict[str, str]]:
    """The keys of an account by its name; made when they are first looked at."""
    place = f"storage-keys/{account.lower()}"
    with store.transaction():
        keys: list[dict[str, str]] | None = store.get(place)
        if keys is None:
            store.put(place, keys := [_key(name) for name in NAMES])
    return keys


def answer_keys(store: Store, scope: str, request: web.Request, body: dict[str, Any]) -> web.Response:
    """``listKeys`` or ``regenerateKey`` of an account by its id."""
    account, name = scope.rpartition("/")[2], body.get("keyName")
    keys = keys_of(store, account)
    if request.path.lower().endswith("/listkeys"):
        request[MUTATING] = False
    elif name in NAMES:
        keys = [_key(name) if key["keyName"] == name else key for key in keys]
        store.put(f"storage-keys/{account.lower()}", keys)
    else:
        error = {
            "code": "InvalidValuesForRequestParameters",
            "message": "Values for request parameters are invalid: keyName.",
        }
        return web.json_response({"error": error}, status=400)
    return web.json_response({"keys": keys})


def is_signed(request: web.Request, account: str, keys: list[dict[str, Any]]) -> bool:
    """Whether the request carries a signature by one of the keys."""
    headers = request.headers
    fields = [headers.get(name, "") for name in SIGNED]
    if headers.get("Content-Length") == "0":
        fields[SIGNED.index("Content-Length")] = ""
    own = sorted((name.lower(), value) for name, value in headers.items() if name.lower().startswith("x-ms-"))
    query = sorted((name.lower(), value) for name, value in request.query.items())
    resource = f"/{account}{request.raw_path.partition('?')[0]}"
    named = [f"{name}:{value}" for name, value in own], [f"{name}:{value}" for name, value in query]
    text = "\n".join([request.method, *fields, *named[0], resource, *named[1]])
    given = headers.get("Authorization", "").rpartition(":")[2]
    signatures = (
        base64.b64encode(hmac.new(base64.b64decode(key["value"]), text.encode(), hashlib.sha256).digest()).decode()
        for key in keys
    )
    return any(hmac.compare_digest(given, signature) for signature in signatures)
