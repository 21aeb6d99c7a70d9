"""Microsoft Entra ID: who is calling.

Documentation: https://learn.microsoft.com/entra/identity-platform/access-token-claims-reference
"""

import asyncio
import time
from dataclasses import dataclass, field
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Call, Vendor
from shared.errors import IntegrationError, RequestRejectedError
from shared.models import Model
from shared.per_loop import per_loop
from shared.settings import Settings, load

_KEEP_KEYS = 3600.0
_REFETCH = 10.0


class EntraSettings(Settings):
    """The tenant whose people and services may call."""

    model_config = SettingsConfigDict(env_prefix="ENTRA_", frozen=True, extra="ignore")

    tenant_id: str = Field(description="Tenant that issues the callers' tokens.")
    audience: str = Field(description="Application ID URI of this API, the audience of tokens.")
    client_id: str = Field(default="", description="Client id of this API: the audience of v2 tokens.")


class _Keys(Model):
    keys: list[dict[str, Any]]


@dataclass
class _KeyCache:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    keys: dict[str, dict[str, Any]] = field(default_factory=dict)
    fetched: float = 0.0


@per_loop
def _cache() -> _KeyCache:
    return _KeyCache()


async def _anonymous() -> dict[str, str]:
    return {}


async def _signing_key(kid: str) -> dict[str, Any] | None:
    """The tenant's key with this id; an unknown id refetches, at most every ten seconds."""
    cache = _cache()
    async with cache.lock:
        age = time.monotonic() - cache.fetched
        if not cache.fetched or age > _KEEP_KEYS or (kid not in cache.keys and age > _REFETCH):
            vendor = Vendor("entra id", "https://login.microsoftonline.com", _anonymous)
            call = Call("get signing keys", "GET", f"/{load(EntraSettings).tenant_id}/discovery/v2.0/keys")
            cache.fetched = time.monotonic()
            try:
                answer = await vendor.read(call, _Keys)
            except IntegrationError:
                # Keys change rarely: those we have stay good while Entra ID is away.
                if not cache.keys:
                    cache.fetched = 0.0
                    raise
            else:
                cache.keys = {str(key.get("kid")): key for key in answer.keys}
    return cache.keys.get(kid)


async def verify_token(token: str) -> dict[str, Any]:
    """Claims of a valid access token for this API.

    Checks signature, issuer (v1 and v2), audience, tenant, expiry.

    Raises:
        RequestRejectedError: 401, the token is not valid here; the sentence says why.
    """
    import jwt  # noqa: PLC0415 - cryptography is heavy

    settings = load(EntraSettings)
    issuers = [
        f"https://login.microsoftonline.com/{settings.tenant_id}/v2.0",
        f"https://sts.windows.net/{settings.tenant_id}/",
    ]
    audiences = [value for value in (settings.audience, settings.client_id) if value]
    try:
        header = jwt.get_unverified_header(token)
        key = await _signing_key(str(header.get("kid")))
        if key is None:
            raise RequestRejectedError("unauthenticated", "The token is signed with an unknown key.", status=401)
        claims: dict[str, Any] = jwt.decode(
            token,
            jwt.PyJWK(key),
            algorithms=["RS256"],
            audience=audiences,
            issuer=issuers,
            leeway=60,
            options={"require": ["exp", "iss", "aud"]},
        )
    except jwt.InvalidTokenError as error:
        raise RequestRejectedError("unauthenticated", f"The token is not valid here: {error}.", status=401) from error
    if claims.get("tid") != settings.tenant_id:
        raise RequestRejectedError("unauthenticated", "The token is from another tenant.", status=401)
    return claims
