"""Access tokens: the claims of v1 and v2 tokens, and their verification."""

import time
from typing import Any

import jwt

from local.vendors.kernel import SigningKey, Store

from .directory import TENANT, Principal

LIFETIME_SECONDS = 3599
V2_ISSUER = f"https://login.microsoftonline.com/{TENANT}/v2.0"
V1_ISSUER = f"https://sts.windows.net/{TENANT}/"
APP_STORE = "api://appstore"


class Issuer:
    """Signs and checks the tokens of one tenant."""

    def __init__(self, store: Store) -> None:
        self._key = SigningKey(store)

    def token(self, principal: Principal, audience: str, client_id: str) -> str:
        """An access token. The App Store's API asks for v2 tokens; Microsoft's own resources get v1, as in Azure."""
        own = audience == APP_STORE
        now = int(time.time())
        claims: dict[str, Any] = {
            "aud": audience,
            "iss": V2_ISSUER if own else V1_ISSUER,
            "ver": "2.0" if own else "1.0",
            "tid": TENANT,
            "oid": principal.object_id,
            "sub": principal.object_id,
            "iat": now,
            "nbf": now - 5,
            "exp": now + LIFETIME_SECONDS,
            "azp" if own else "appid": client_id,
            "groups": [] if principal.overage else list(principal.groups),
            "roles": list(principal.roles) if own else [],
        }
        if principal.overage:
            place = f"https://graph.microsoft.com/v1.0/users/{principal.object_id}/getMemberObjects"
            claims |= {"_claim_names": {"groups": "src1"}, "_claim_sources": {"src1": {"endpoint": place}}}
        if principal.client_id is not None:
            claims["idtyp"] = "app"
        else:
            claims |= {"preferred_username": f"{principal.name}@contoso.com", "name": principal.name, "scp": "access"}
        return self._key.sign({name: value for name, value in claims.items() if value != []})

    def verify(self, token: str) -> dict[str, Any]:
        """The claims of a token that this tenant signed and that is in its time; the caller checks the audience.

        Raises:
            ValueError: the token is not one of ours, or not valid now.
        """
        try:
            claims: dict[str, Any] = jwt.decode(
                token,
                self._key.public(),
                ["RS256"],
                {"verify_aud": False, "require": ["exp", "iat", "iss", "aud"]},
                issuer=[V1_ISSUER, V2_ISSUER],
                leeway=300,
            )
        except jwt.PyJWTError as error:
            raise ValueError(str(error)) from error
        return claims

    def key_set(self) -> dict[str, Any]:
        """The public keys (JWKS)."""
        return self._key.key_set()
