"""Who is calling: a person or a service of our tenant, with roles and teams."""

import base64
import binascii
import json
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.clients.entra import verify_token
from shared.clients.graph import check_member_groups
from shared.errors import RequestRejectedError
from shared.teams import all_groups, names_of


@dataclass(frozen=True)
class Caller:
    """An authenticated caller.

    Attributes:
        id: object id in Entra ID.
        name: sign-in name, for people to read.
        is_service: a service principal's own token; services never approve.
    """

    id: str
    tenant: str
    name: str
    roles: frozenset[str]
    teams: frozenset[str]
    groups: tuple[str, ...]
    is_service: bool


async def authenticate(headers: Mapping[str, str]) -> Caller:
    """The caller by bearer token, or by App Service authentication when that is really switched on.

    Raises:
        RequestRejectedError: 401, nobody we can identify.
    """
    scheme, _, token = headers.get("authorization", "").partition(" ")
    if scheme.lower() == "bearer" and token:
        return _caller(await _with_groups(await verify_token(token.strip())))
    principal = headers.get("x-ms-client-principal")
    if principal and os.environ.get("WEBSITE_AUTH_ENABLED", "").lower() == "true":
        return _caller(await _with_groups(_easy_auth_claims(principal)))
    raise RequestRejectedError(
        "unauthenticated", "Send an Entra ID access token for this API as bearer token.", status=401
    )


async def _with_groups(claims: dict[str, Any]) -> dict[str, Any]:
    """The claims with their groups: whoever is in too many has none in the token, only the word that there are some.

    Documentation: https://learn.microsoft.com/security/zero-trust/develop/configure-tokens-group-claims-app-roles
    """
    overage = "groups" in _names(claims.get("_claim_names")) or str(claims.get("hasgroups", "")).lower() == "true"
    if not overage or not claims.get("oid"):
        return claims
    return claims | {"groups": await check_member_groups(str(claims["oid"]), all_groups())}


def _names(claim: object) -> Mapping[str, object]:
    """App Service authentication hands the claim over as text."""
    if isinstance(claim, str):
        try:
            claim = json.loads(claim)
        except ValueError:
            return {}
    return claim if isinstance(claim, Mapping) else {}


def _caller(claims: Mapping[str, Any]) -> Caller:
    identifier = claims.get("oid") or claims.get("sub")
    if not identifier or not claims.get("tid"):
        raise RequestRejectedError("unauthenticated", "The token names neither object nor tenant.", status=401)
    groups = tuple(str(group) for group in claims.get("groups", []))
    return Caller(
        id=str(identifier),
        tenant=str(claims.get("tid")),
        name=str(
            claims.get("preferred_username")
            or claims.get("upn")
            or claims.get("azp")
            or claims.get("appid")
            or "service"
        ),
        roles=frozenset(str(role) for role in claims.get("roles", [])),
        teams=frozenset(names_of(list(groups))),
        groups=groups,
        is_service=claims.get("idtyp") == "app" or "scp" not in claims,
    )


def _easy_auth_claims(header: str) -> dict[str, Any]:
    """Claims of ``X-MS-CLIENT-PRINCIPAL``; claim types may be URIs, several values repeat the claim.

    Documentation: https://learn.microsoft.com/azure/app-service/configure-authentication-user-identities
    """
    try:
        document = json.loads(base64.b64decode(header, validate=True))
        pairs = [(str(item["typ"]), str(item["val"])) for item in document["claims"]]
    except (binascii.Error, ValueError, KeyError, TypeError) as error:
        raise RequestRejectedError("unauthenticated", "X-MS-CLIENT-PRINCIPAL is not readable.", status=401) from error
    short = {
        "http://schemas.microsoft.com/identity/claims/objectidentifier": "oid",
        "http://schemas.microsoft.com/identity/claims/tenantid": "tid",
        "http://schemas.microsoft.com/ws/2008/06/identity/claims/role": "roles",
        "http://schemas.microsoft.com/identity/claims/scope": "scp",
    }
    claims: dict[str, Any] = {}
    for kind, value in pairs:
        name = short.get(kind, kind)
        if name in ("roles", "groups"):
            claims.setdefault(name, []).append(value)
        else:
            claims[name] = value
    return claims
