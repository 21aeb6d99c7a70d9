"""Entra ID: token endpoint of one tenant, managed identity endpoint, OpenID configuration and keys.

https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow
"""

import time
from contextlib import suppress
from typing import Any
from uuid import uuid4

import jwt
from aiohttp import web

from local.vendors.kernel import MUTATING, Kernel, Vendor

from .applications import let_in
from .directory import DOCUMENT, TENANT, Directory, Principal, application, object_id
from .tokens import APP_STORE, LIFETIME_SECONDS, Issuer

IDENTITY_HEADER = "local"  # the local settings give the same value as IDENTITY_HEADER
OWN_IDENTITY = "30000000-0000-0000-0000-000000000001"
FEDERATED_AUDIENCE = "api://AzureADTokenExchange"


class TokenError(Exception):
    """An error of the token endpoint, by its AADSTS number."""

    def __init__(self, code: int, value: str = "") -> None:
        self.code = code
        self.status, self.error, text = DOCUMENT["errors"][str(code)]
        super().__init__(text.replace("<value>", value))


class Entra:
    """The endpoints of the tenant."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._store = kernel.store("entra")
        self.issuer = Issuer(self._store)

    def routes(self) -> list[web.RouteDef]:
        return [
            web.post("/{tenant}/oauth2/v2.0/token", self.token),
            web.get("/{tenant}/discovery/v2.0/keys", self.keys),
            web.get("/{tenant}/v2.0/.well-known/openid-configuration", self.configuration),
            web.get("/{tenant}/discovery/instance", self.clouds),
            web.get("/msi/token", self.managed_identity),
        ]

    async def token(self, request: web.Request) -> web.Response:
        """Issue an access token for the grants password and client_credentials (secret or federated assertion)."""
        request[MUTATING] = False
        form = {name: str(value) for name, value in (await request.post()).items()}
        try:
            _check_tenant(request)
            principal = self._sign_in(form)
            audience = _audience(form.get("scope", ""))
        except TokenError as error:
            return _refusal(error)
        token = self.issuer.token(principal, audience, principal.client_id or form.get("client_id", ""))
        return web.json_response({"token_type": "Bearer", "expires_in": LIFETIME_SECONDS, "access_token": token})

    async def managed_identity(self, request: web.Request) -> web.Response:
        """A token for the App Store's own identity. https://learn.microsoft.com/azure/app-service/overview-managed-identity."""
        resource = request.query.get("resource")
        if request.headers.get("X-IDENTITY-HEADER") != IDENTITY_HEADER:
            return web.json_response({"statusCode": 401, "message": "X-IDENTITY-HEADER is wrong"}, status=401)
        if resource is None or request.query.get("api-version") != "2019-08-01":
            return web.json_response({"statusCode": 400, "message": "resource and api-version are needed"}, status=400)
        client_id = request.query.get("client_id", OWN_IDENTITY)
        token = self.issuer.token(self._workload(client_id), resource, client_id)
        expires = {"expires_on": str(int(time.time()) + LIFETIME_SECONDS), "client_id": client_id}
        return web.json_response(expires | {"access_token": token, "resource": resource, "token_type": "Bearer"})

    async def keys(self, _: web.Request) -> web.Response:
        return web.json_response(self.issuer.key_set())

    async def configuration(self, request: web.Request) -> web.Response:
        try:
            _check_tenant(request)
        except TokenError as error:
            return _refusal(error)
        return web.json_response(DOCUMENT["configuration"])

    async def clouds(self, _: web.Request) -> web.Response:
        """Which clouds exist: MSAL asks before it trusts an authority."""
        return web.json_response(DOCUMENT["clouds"])

    def _sign_in(self, form: dict[str, str]) -> Principal:
        client_id, grant = form.get("client_id", ""), form.get("grant_type", "")
        if grant == "password":
            return self._person(form.get("username", ""), form.get("password", ""))
        if grant != "client_credentials":
            raise TokenError(70003, grant)
        if "client_assertion" in form:
            return self._federated(client_id, form["client_assertion"])
        secret = form.get("client_secret", "")
        found = application(client_id)
        admitted = let_in(self._store, client_id, secret) if found is None else secret == found.name
        if admitted is None:
            raise TokenError(700016, client_id)
        if not admitted:
            raise TokenError(7000215, client_id)
        return found or Principal(client_id, object_id(client_id), client_id=client_id)

    def _person(self, user_name: str, password: str) -> Principal:
        """A person of the directory, or one that a test seeded as `personas/<name>`."""
        name = user_name.lower().removesuffix("@contoso.com")
        directory = Directory(self._store)
        if name not in directory.people:
            raise TokenError(50034, user_name)
        if password != name:
            raise TokenError(50126)
        return directory.person(name)

    def _federated(self, client_id: str, assertion: str) -> Principal:
        """Exchange the token of a job or a pod, if the identity trusts exactly its issuer, subject and audience."""
        try:
            key = jwt.PyJWKSet.from_dict(self._issuers_keys())[jwt.get_unverified_header(assertion)["kid"]]
            claims: dict[str, Any] = jwt.decode(assertion, key, algorithms=["RS256"], options={"verify_aud": False})
        except (jwt.PyJWTError, KeyError) as error:
            raise TokenError(700027, str(error)) from error
        trusted = self._kernel.vendor("arm").federated_credentials(client_id)
        if not any(_matches(claims, credential) for credential in trusted):
            raise TokenError(700213, str(claims.get("sub")))
        return self._workload(client_id)

    def _issuers_keys(self) -> dict[str, Any]:
        """The keys of those who issue tokens that are exchanged: GitHub's jobs and the clusters' service accounts."""
        keys = []
        for name in ("github", "kubernetes"):
            with suppress(LookupError):  # a run of only some stand-ins
                keys += self._kernel.vendor(name).oidc_keys()["keys"]
        return {"keys": keys}

    def _workload(self, client_id: str) -> Principal:
        """A managed identity: its object id comes from ARM, if ARM has it."""
        try:
            identities = self._kernel.vendor("arm").resources(kind="Microsoft.ManagedIdentity/userAssignedIdentities")
        except LookupError:  # a run of only some stand-ins
            identities = []
        known = {item["properties"].get("clientId"): item["properties"].get("principalId") for item in identities}
        return Principal(client_id, known.get(client_id) or object_id(client_id), client_id=client_id)


def build(kernel: Kernel) -> Vendor:
    """Entra ID's login host, and the managed identity endpoint on this machine."""
    entra = Entra(kernel)
    hosts = ("login.microsoftonline.com", "localhost", "127.0.0.1")
    return Vendor(name="entra", hosts=hosts, routes=entra.routes(), public=entra.issuer)


def _check_tenant(request: web.Request) -> None:
    tenant = request.match_info["tenant"]
    if tenant not in {TENANT, "organizations", "common"}:
        raise TokenError(90002, tenant)


def _audience(scope: str) -> str:
    resource = next((part for part in scope.split() if "://" in part), "")
    audience = resource.rpartition("/")[0]
    if not audience or (audience.startswith("api://") and audience != APP_STORE):
        raise TokenError(500011, scope)
    return audience


def _matches(claims: dict[str, Any], credential: dict[str, Any]) -> bool:
    return (
        claims.get("iss") == credential["issuer"]
        and claims.get("sub") == credential["subject"]
        and claims.get("aud") == FEDERATED_AUDIENCE
        and FEDERATED_AUDIENCE in credential["audiences"]
    )


def _refusal(error: TokenError) -> web.Response:
    ids = {"trace_id": str(uuid4()), "correlation_id": str(uuid4())}
    at = time.strftime("%Y-%m-%d %H:%M:%SZ", time.gmtime())
    trail = f"Trace ID: {ids['trace_id']} Correlation ID: {ids['correlation_id']} Timestamp: {at}"
    document = {
        "error": error.error,
        "error_description": f"AADSTS{error.code}: {error} {trail}",
        "error_codes": [error.code],
        "timestamp": at,
    }
    return web.json_response(document | ids, status=error.status)
