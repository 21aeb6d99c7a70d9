"""Applications of the directory, and the passwords with which they sign in.

https://learn.microsoft.com/graph/api/application-addpassword, https://learn.microsoft.com/graph/api/application-removepassword
"""

import secrets
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

from aiohttp import web

from local.vendors.kernel import MUTATING, Store

YEARS = timedelta(days=730)


class Applications:
    """The applications that a test seeded as `applications/<object id>`, in Graph's words."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def read(self, request: web.Request) -> web.Response:
        found = self._found(request)
        if found is None:
            return web.Response(status=404)
        wanted = request.query.get("$select", ",".join(found)).split(",")
        passwords = [{**one, "secretText": None} for one in found["passwordCredentials"]]
        shown = {**found, "passwordCredentials": passwords}
        return web.json_response({name: shown[name] for name in ("id", *wanted) if name in shown})

    async def add(self, request: web.Request) -> web.Response:
        """Another password at each call; its text is shown this once."""
        request[MUTATING] = True
        wanted = (await request.json()).get("passwordCredential") or {}
        with self._store.transaction():
            found = self._found(request)
            if found is None:
                return web.Response(status=404)
            now, text = datetime.now(UTC), f"{secrets.token_urlsafe(30)}~"
            made = {
                "keyId": str(uuid4()),
                "displayName": wanted.get("displayName"),
                "startDateTime": _iso(now),
                "endDateTime": wanted.get("endDateTime") or _iso(now + YEARS),
                "hint": text[:3],
                "secretText": text,
            }
            self._keep(found, [*found["passwordCredentials"], made])
        return web.json_response(made)

    async def remove(self, request: web.Request) -> web.Response:
        request[MUTATING] = True
        key_id = (await request.json()).get("keyId")
        with self._store.transaction():
            found = self._found(request)
            if found is None:
                return web.Response(status=404)
            left = [one for one in found["passwordCredentials"] if one["keyId"] != key_id]
            if len(left) == len(found["passwordCredentials"]):
                return web.Response(status=400)
            self._keep(found, left)
        return web.Response(status=204)

    def _found(self, request: web.Request) -> dict[str, Any] | None:
        found: dict[str, Any] | None = self._store.get(f"applications/{request.match_info['id'].lower()}")
        return found

    def _keep(self, found: dict[str, Any], passwords: list[dict[str, Any]]) -> None:
        self._store.put(f"applications/{found['id']}", {**found, "passwordCredentials": passwords})


def _iso(moment: datetime) -> str:
    return moment.isoformat().replace("+00:00", "Z")
