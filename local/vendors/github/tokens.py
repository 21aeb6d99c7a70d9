"""The GitHub App, its installation tokens and the tokens of workflow jobs. https://docs.github.com/rest/apps/apps."""

import hashlib
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import jwt
from aiohttp import web
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import rsa

from local.vendors.github.api import SHAPES, ApiError, Json, body, shape
from local.vendors.github.repository import BOT
from local.vendors.kernel import MUTATING, Store

VERSIONS = {"2022-11-28", "2026-03-10"}
INSTALLATION_ID, LIMIT = 2001, 5000
WRITES = ("actions", "administration", "contents", "environments", "pull_requests", "variables", "workflows")
PERMISSIONS = dict.fromkeys(WRITES, "write") | {"metadata": "read", "members": "read", "organization_projects": "admin"}
GRANT = web.RequestKey("grant", dict[str, Any])
Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def new_key() -> str:
    key = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    encoding, no_password = serialization.Encoding.PEM, serialization.NoEncryption()
    return key.private_bytes(encoding, serialization.PrivateFormat.TraditionalOpenSSL, no_password).decode()


class Tokens:
    def __init__(self, store: Store) -> None:
        self._store = store
        self._used: Counter[tuple[str, int]] = Counter()

    def private_key(self) -> str:
        """The App's private key (PEM), made on first use."""
        pem = self._store.get("app/private_key")
        if not pem:
            pem = new_key()
            self._store.put("app/private_key", pem)
        return str(pem)

    def issue(self, actor: str, repositories: list[str] | None, permissions: Json, hours: int = 1) -> Json:
        token, expires = "ghs_" + secrets.token_hex(18), datetime.now(UTC) + timedelta(hours=hours)
        grant = {"actor": actor, "repositories": repositories, "expires": expires.timestamp()}
        self._store.put(f"tokens/{_digest(token)}", grant)
        return {"token": token, "expires_at": expires.strftime("%Y-%m-%dT%H:%M:%SZ"), "permissions": permissions}

    def revoke(self, token: str) -> None:
        self._store.delete(f"tokens/{_digest(token)}")

    def grant(self, token: str) -> Json | None:
        """What a token allows; None when it is unknown or expired."""
        grant: Json | None = self._store.get(f"tokens/{_digest(token)}")
        return grant if grant and grant["expires"] > time.time() else None

    async def get_app(self, _: web.Request) -> web.StreamResponse:
        return web.json_response(shape("app", {"permissions": PERMISSIONS}))

    async def create(self, request: web.Request) -> web.StreamResponse:
        """Create an installation access token, at most as wide as the installation."""
        if request.match_info["installation_id"] != str(INSTALLATION_ID):
            raise ApiError(404, "Not Found")
        request[MUTATING] = False  # a token is no object of the estate
        wanted = await body(request)
        permissions = wanted.get("permissions") or PERMISSIONS
        if not set(permissions) <= set(PERMISSIONS):
            raise ApiError(422, "The permissions requested are not granted to this installation.")
        names = wanted.get("repositories")
        if names and not all(self._store.get(f"repositories/{name.lower()}") for name in names):
            raise ApiError(422, "There is at least one repository that does not exist or is not accessible.")
        selection = {"repository_selection": "selected" if names else "all"}
        return web.json_response(self.issue(BOT, names, permissions) | selection, status=201)

    def guard(self, handler: Handler) -> Handler:
        """A handler behind authentication, with GitHub's error bodies and rate-limit headers."""

        async def guarded(request: web.Request) -> web.StreamResponse:
            try:
                self._admit(request)
                response = await handler(request)
            except ApiError as error:
                response = web.json_response(error.body, status=error.status)
            response.headers.update(self._rate(_bearer(request)))
            return response

        return guarded

    def _admit(self, request: web.Request) -> None:
        version = request.headers.get("X-GitHub-Api-Version", "2022-11-28")
        if version not in VERSIONS:
            raise ApiError(400, f'"{version}" is not a supported version of the API')
        if request.path.startswith("/app"):
            return self._verify(_bearer(request))
        if not (grant := self.grant(_bearer(request))):
            raise ApiError(401, "Bad credentials" if _bearer(request) else "Requires authentication")
        request[GRANT] = grant
        return None

    def _verify(self, assertion: str) -> None:
        """Verify the App's own JWT (RS256, at most ten minutes)."""
        private = serialization.load_pem_private_key(self.private_key().encode(), None)
        assert isinstance(private, rsa.RSAPrivateKey)  # noqa: S101 - made by new_key
        try:
            claims = jwt.decode(assertion, private.public_key(), ["RS256"], leeway=60)
            lifetime = claims["exp"] - time.time()
        except jwt.ExpiredSignatureError:
            raise ApiError(401, "'Expiration time' claim ('exp') must be a numeric value in the future") from None
        except (jwt.PyJWTError, KeyError):
            raise ApiError(401, "A JSON web token could not be decoded") from None
        if lifetime > 660:
            raise ApiError(401, "'Expiration time' claim ('exp') is too far in the future")
        if str(claims.get("iss")) not in {str(SHAPES["app"]["id"]), SHAPES["app"]["client_id"]}:
            raise ApiError(404, "Integration not found")

    def _rate(self, token: str) -> dict[str, str]:
        hour = int(time.time() // 3600)
        self._used[_digest(token), hour] += 1
        used = self._used[_digest(token), hour]
        figures = {"limit": LIMIT, "remaining": max(LIMIT - used, 0), "used": used, "reset": (hour + 1) * 3600}
        headers = {f"X-RateLimit-{name.title()}": str(value) for name, value in figures.items()}
        return headers | {"X-RateLimit-Resource": "core", "X-GitHub-Request-Id": secrets.token_hex(12).upper()}


def _bearer(request: web.Request) -> str:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token if scheme.lower() in {"bearer", "token"} else ""


def _digest(token: str) -> str:
    return hashlib.sha256(token.encode()).hexdigest()
