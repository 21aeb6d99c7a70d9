"""The two keys of a shared access policy, and what is signed with them.

https://learn.microsoft.com/rest/api/servicebus/controlplane/namespaces-authorization-rules/regenerate-keys,
https://learn.microsoft.com/azure/service-bus-messaging/service-bus-sas
"""

import base64
import hashlib
import hmac
import secrets
import time
from typing import Any
from urllib.parse import parse_qs, quote_plus, unquote_plus

from aiohttp import web

from local.vendors.kernel import MUTATING, Store

NAMESPACE = "microsoft.servicebus/namespaces"
RULES = tuple(f"{NAMESPACE}{inner}/authorizationrules" for inner in ("", "/queues", "/topics"))
KEY_CALLS = frozenset(f"{rule}/{call}" for rule in RULES for call in ("listkeys", "regeneratekeys"))
TYPES = {"PrimaryKey": "primaryKey", "SecondaryKey": "secondaryKey"}


def _key() -> str:
    return base64.b64encode(secrets.token_bytes(32)).decode()


def keys_of(store: Store, rule: str) -> dict[str, str]:
    """The keys of a policy by its id; made when they are first looked at."""
    place = f"service-bus-keys/{rule.lower()}"
    with store.transaction():
        keys: dict[str, str] | None = store.get(place)
        if keys is None:
            store.put(place, keys := {name: _key() for name in TYPES.values()})
    return keys


def answer_keys(store: Store, rule: str, request: web.Request, body: dict[str, Any]) -> web.Response:
    """``listKeys`` or ``regenerateKeys`` of a policy."""
    keys, name = keys_of(store, rule), TYPES.get(str(body.get("keyType")))
    if request.path.lower().endswith("/listkeys"):
        request[MUTATING] = False
    elif name:
        keys = {**keys, name: body.get("key") or _key()}
        store.put(f"service-bus-keys/{rule.lower()}", keys)
    else:
        error = {"code": "BadRequest", "message": "The value of keyType is neither PrimaryKey nor SecondaryKey."}
        return web.json_response({"error": error}, status=400)
    named, host = rule.rpartition("/")[2], f"{rule.split('/')[8]}.servicebus.windows.net"
    text = {
        f"{key.removesuffix('Key')}ConnectionString": (
            f"Endpoint=sb://{host}/;SharedAccessKeyName={named};SharedAccessKey={value}"
        )
        for key, value in keys.items()
    }
    return web.json_response({**keys, **text, "keyName": named})


def refusal(token: str, place: str, rules: list[tuple[str, dict[str, str]]]) -> str | None:
    """Why the namespace does not accept a signature for a place; None when it does. `rules`: names and their keys."""
    fields = {name: values[0] for name, values in parse_qs(token.partition(" ")[2]).items()}
    if not token.startswith("SharedAccessSignature ") or {"sr", "sig", "se", "skn"} - fields.keys():
        return "MalformedToken: The token is malformed."
    if not f"{place}/".startswith(unquote_plus(fields["sr"]).rstrip("/") + "/"):
        return "InvalidAudience: The authorization header contains a token with a wrong audience."
    if not fields["se"].isdigit() or int(fields["se"]) < time.time():
        return "ExpiredToken: The token is expired."
    text = f"{quote_plus(fields['sr'])}\n{fields['se']}".encode()
    signatures = (
        base64.b64encode(hmac.new(key.encode(), text, hashlib.sha256).digest()).decode()
        for name, keys in rules
        if name == fields["skn"]
        for key in keys.values()
    )
    if not any(hmac.compare_digest(fields["sig"], signature) for signature in signatures):
        return "InvalidSignature: The token has an invalid signature."
    return None
