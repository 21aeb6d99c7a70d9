"""The REST calls of the secrets data plane."""

import base64
import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

from aiohttp import web

from local.vendors.kernel import MUTATING, Kernel
from local.vendors.kernel.vendor import host_of

from .secrets import Vaults, Version

RESOURCE = "https://vault.azure.net"
AUTHORITY = "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111"
NAME = re.compile(r"[0-9a-zA-Z-]{1,127}")
VALUE_LIMIT = 25 * 1024
TAG_LIMIT = 15
PAGE = 25
WRITABLE = ("enabled", "nbf", "exp")

type Handler = Callable[[web.Request], Awaitable[web.Response]]


class VaultError(Exception):
    """An error in the vendor's shape."""

    def __init__(self, status: int, code: str, message: str, inner: str | None = None) -> None:
        super().__init__(message)
        self.status = status
        self.error: dict[str, Any] = {"code": code, "message": message}
        if inner is not None:
            self.error["innererror"] = {"code": inner}


class SecretsApi:
    """Handlers of the routes; each runs behind `guarded`."""

    def __init__(self, vaults: Vaults, kernel: Kernel) -> None:
        self._vaults = vaults
        self._kernel = kernel

    def guarded(self, handler: Handler) -> Handler:
        """A handler that demands a token for vaults and an api-version, and answers errors as the vendor does."""

        async def run(request: web.Request) -> web.Response:
            if (refusal := self._challenge(request)) is not None:
                return refusal
            try:
                _check_version(request)
                return await handler(request)
            except VaultError as error:
                return web.json_response({"error": error.error}, status=error.status)

        return run

    async def set_secret(self, request: web.Request) -> web.Response:
        vault, name = _vault(request), _name(request)
        if self._vaults.deleted(vault, name) is not None:
            raise VaultError(
                409,
                "Conflict",
                f"Secret {name} is currently in a deleted but recoverable state, and its name cannot be reused; in "
                "this state, the secret can only be recovered or purged.",
                "ObjectIsDeletedButRecoverable",
            )
        body = await _body(request)
        value = body.get("value")
        if not isinstance(value, str) or len(value.encode()) > VALUE_LIMIT:
            raise VaultError(400, "BadParameter", "The property 'value' must be a text of at most 25 kB.")
        version = self._vaults.set_secret(vault, name, value, **_properties(body))
        return web.json_response(_bundle(request, name, version))

    async def read(self, request: web.Request) -> web.Response:
        name = _name(request)
        version = self._version(request)
        if not version["attributes"]["enabled"]:
            raise VaultError(403, "Forbidden", "Operation get is not allowed on a disabled secret.", "SecretDisabled")
        return web.json_response(_bundle(request, name, version))

    async def update(self, request: web.Request) -> web.Response:
        version = self._version(request)
        properties = _properties(await _body(request))
        attributes = version["attributes"] | properties.pop("attributes", {})
        changed = version | properties | {"attributes": attributes}
        self._vaults.update(_vault(request), _name(request), changed)
        return web.json_response(_item(request, _name(request), changed, with_version=True))

    async def delete(self, request: web.Request) -> web.Response:
        name = _name(request)
        self._version(request)
        return web.json_response(_deleted(request, name, self._vaults.delete(_vault(request), name)))

    async def back_up(self, request: web.Request) -> web.Response:
        request[MUTATING] = False
        self._version(request)
        taken = {"name": _name(request), "versions": self._vaults.versions(_vault(request), _name(request))}
        return web.json_response({"value": base64.urlsafe_b64encode(json.dumps(taken).encode()).decode().rstrip("=")})

    async def restore(self, request: web.Request) -> web.Response:
        vault, text = _vault(request), str((await _body(request)).get("value"))
        try:
            taken = json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4)))
        except ValueError as error:
            raise VaultError(400, "BadParameter", "The backup is malformed or was altered.") from error
        name = taken["name"]
        if self._vaults.versions(vault, name) or self._vaults.deleted(vault, name):
            raise VaultError(409, "Conflict", f"A secret with (name/id) {name} already exists in this key vault.")
        self._vaults.restore(vault, name, taken["versions"])
        return web.json_response(_item(request, name, taken["versions"][-1], with_version=True))

    async def list_secrets(self, request: web.Request) -> web.Response:
        vault = _vault(request)
        newest = [(name, self._vaults.versions(vault, name)[-1]) for name in self._vaults.names(vault)]
        return _page(request, [_item(request, name, version) for name, version in newest])

    async def list_versions(self, request: web.Request) -> web.Response:
        name = _name(request)
        versions = self._vaults.versions(_vault(request), name)
        return _page(request, [_item(request, name, version, with_version=True) for version in versions])

    async def list_deleted(self, request: web.Request) -> web.Response:
        vault = _vault(request)
        found = [(name, self._vaults.deleted(vault, name)) for name in self._vaults.names(vault, deleted=True)]
        return _page(request, [_deleted(request, name, entry) for name, entry in found if entry is not None])

    async def read_deleted(self, request: web.Request) -> web.Response:
        return web.json_response(_deleted(request, _name(request), self._deleted_entry(request)))

    async def purge(self, request: web.Request) -> web.Response:
        self._deleted_entry(request)
        self._vaults.purge(_vault(request), _name(request))
        return web.Response(status=204)

    async def recover(self, request: web.Request) -> web.Response:
        name, entry = _name(request), self._deleted_entry(request)
        self._vaults.recover(_vault(request), name, entry)
        return web.json_response(_item(request, name, entry["versions"][-1], with_version=True))

    def _version(self, request: web.Request) -> Version:
        name, wanted = _name(request), request.match_info.get("version")
        for version in reversed(self._vaults.versions(_vault(request), name)):
            if wanted in {None, "", version["id"]}:
                return version
        raise VaultError(404, "SecretNotFound", f"A secret with (name/id) {name} was not found in this key vault.")

    def _deleted_entry(self, request: web.Request) -> dict[str, Any]:
        entry = self._vaults.deleted(_vault(request), _name(request))
        if entry is None:
            raise VaultError(404, "SecretNotFound", f"Deleted Secret not found: {_name(request)}")
        return entry

    def _challenge(self, request: web.Request) -> web.Response | None:
        """401 that tells the client where to get a token; the client checks that the resource fits the vault."""
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        message = "AKV10000: Request is missing a Bearer or PoP token."
        if scheme.lower() == "bearer":
            try:
                claims = self._kernel.vendor("entra").verify(token)
            except ValueError as error:
                message = f"AKV10032: Invalid token: {error}."
            else:
                if claims["aud"].rstrip("/") == RESOURCE:
                    return None
                message = f"AKV10022: Invalid audience. Expected {RESOURCE}, found: {claims['aud']}."
        challenge = {"WWW-Authenticate": f'Bearer authorization="{AUTHORITY}", resource="{RESOURCE}"'}
        return web.json_response({"error": {"code": "Unauthorized", "message": message}}, status=401, headers=challenge)


def _check_version(request: web.Request) -> None:
    if not request.query.get("api-version"):
        raise VaultError(400, "BadParameter", "The api-version query parameter is missing.")


def _vault(request: web.Request) -> str:
    return host_of(request).partition(".")[0]


def _name(request: web.Request) -> str:
    name = request.match_info["name"]
    if not NAME.fullmatch(name):
        raise VaultError(400, "BadParameter", f"The request URI contains an invalid name: {name}")
    return name


async def _body(request: web.Request) -> dict[str, Any]:
    try:
        body = json.loads(await request.read())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise VaultError(400, "BadParameter", "The request body is not a JSON object.")
    return body


def _properties(body: dict[str, Any]) -> dict[str, Any]:
    if len(body.get("tags") or {}) > TAG_LIMIT:
        raise VaultError(400, "BadParameter", f"Too many tags: at most {TAG_LIMIT}.")
    kept = {name: body[name] for name in ("contentType", "tags") if body.get(name) is not None}
    attributes = {name: value for name, value in (body.get("attributes") or {}).items() if name in WRITABLE}
    return kept | {"attributes": attributes}


def _item(request: web.Request, name: str, version: Version, *, with_version: bool = False) -> dict[str, Any]:
    path = f"{name}/{version['id']}" if with_version else name
    shown = {key: value for key, value in version.items() if key not in {"id", "value"}}
    return {"id": f"https://{host_of(request)}/secrets/{path}", **shown}


def _bundle(request: web.Request, name: str, version: Version) -> dict[str, Any]:
    return {"value": version["value"], **_item(request, name, version, with_version=True)}


def _deleted(request: web.Request, name: str, entry: dict[str, Any]) -> dict[str, Any]:
    dates = {"deletedDate": entry["deleted"], "scheduledPurgeDate": entry["purge"]}
    recovery = {"recoveryId": f"https://{host_of(request)}/deletedsecrets/{name}"}
    return recovery | dates | _item(request, name, entry["versions"][-1], with_version=True)


def _page(request: web.Request, items: list[dict[str, Any]]) -> web.Response:
    size = min(int(request.query.get("maxresults", PAGE)), PAGE)
    start = int(request.query.get("$skiptoken", "0"))
    more = start + size < len(items)
    following = request.url.update_query({"$skiptoken": str(start + size)})
    link = str(following.with_scheme("https")) if more else None
    return web.json_response({"value": items[start : start + size], "nextLink": link})
