import time
from collections.abc import AsyncIterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any
from uuid import NAMESPACE_DNS, uuid5

import httpx
import jwt
import pytest

from local.vendors import entra, key_vault
from local.vendors.kernel import Kernel, SigningKey, Vendor

TENANT = "11111111-1111-1111-1111-111111111111"
LOGIN = f"https://login.microsoftonline.com/{TENANT}"
ISSUER = "https://token.actions.githubusercontent.com"
SUBJECT = "repo:contoso/payments-api:environment:dev"
IDENTITY = "40000000-0000-0000-0000-000000000001"
PRINCIPAL = "50000000-0000-0000-0000-000000000001"


class Arm:
    """The part of ARM that the token endpoint asks."""

    def federated_credentials(self, client_id: str) -> list[dict[str, Any]]:
        credential = {"issuer": ISSUER, "subject": SUBJECT, "audiences": ["api://AzureADTokenExchange"]}
        return [credential] if client_id == IDENTITY else []

    def resources(self, kind: str) -> list[dict[str, Any]]:
        assert kind == "Microsoft.ManagedIdentity/userAssignedIdentities"
        return [{"properties": {"clientId": IDENTITY, "principalId": PRINCIPAL}}]


class Client(httpx.AsyncClient):
    kernel: Kernel
    workflow_key: SigningKey

    async def token(self, **form: str) -> httpx.Response:
        return await self.post(f"{LOGIN}/oauth2/v2.0/token", data={"scope": "api://appstore/.default", **form})

    async def claims(self, **form: str) -> dict[str, Any]:
        answer = await self.token(**form)
        assert answer.status_code == 200, answer.text
        return await self.verified(answer.json()["access_token"])

    async def verified(self, token: str) -> dict[str, Any]:
        configuration = (await self.get(f"{LOGIN}/v2.0/.well-known/openid-configuration")).json()
        keys = jwt.PyJWKSet.from_dict((await self.get(configuration["jwks_uri"])).json())
        key = keys[jwt.get_unverified_header(token)["kid"]]
        claims: dict[str, Any] = jwt.decode(token, key, algorithms=["RS256"], options={"verify_aud": False})
        return claims


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    workflow_key = SigningKey(kernel.store("github"))
    github = Vendor("github", (), [], public=SimpleNamespace(oidc_keys=workflow_key.key_set))
    await kernel.start([entra.build(kernel), key_vault.build(kernel), Vendor("arm", (), [], public=Arm()), github])
    context = kernel.authority.client_context()
    async with Client(proxy=kernel.proxy_url, verify=context, trust_env=False, timeout=20) as opened:
        opened.kernel, opened.workflow_key = kernel, workflow_key
        yield opened
    await kernel.stop()


def person(name: str) -> dict[str, str]:
    return {"grant_type": "password", "username": name, "password": name, "client_id": "cli"}


async def test_a_persona_gets_a_v2_token_with_roles_and_groups(client: Client) -> None:
    claims = await client.claims(**person("requester"))
    assert claims["aud"] == "api://appstore"
    assert claims["iss"] == f"{LOGIN}/v2.0"
    assert claims["roles"] == ["Requester"]
    assert claims["groups"] == [str(uuid5(NAMESPACE_DNS, "payments.teams.contoso.com"))]
    assert claims["tid"] == TENANT
    assert claims["preferred_username"] == "requester@contoso.com"
    assert "idtyp" not in claims
    assert claims["exp"] > time.time()
    assert (await client.claims(**person("finops")))["roles"] == ["FinOps", "Approver"]
    assert (await client.claims(**person("requester2")))["oid"] != claims["oid"]


async def test_a_service_principal_gets_an_app_only_token(client: Client) -> None:
    claims = await client.claims(grant_type="client_credentials", client_id="bot", client_secret="bot")  # noqa: S106 -- the example organisation has no secrets
    assert claims["idtyp"] == "app"
    assert claims["roles"] == ["Approver"]
    assert "preferred_username" not in claims


@pytest.mark.parametrize(
    ("form", "code"),
    [
        (person("nobody"), 50034),
        (person("requester") | {"password": "guess"}, 50126),
        ({"grant_type": "device_code"}, 70003),
        ({"grant_type": "client_credentials", "client_id": "unknown", "client_secret": "x"}, 700016),
        ({"grant_type": "client_credentials", "client_id": "bot", "client_secret": "x"}, 7000215),
        (person("requester") | {"scope": "api://other/.default"}, 500011),
        ({"grant_type": "client_credentials", "client_id": IDENTITY, "client_assertion": "a.b.c"}, 700027),
    ],
)
async def test_refusals_look_like_entras(client: Client, form: dict[str, str], code: int) -> None:
    answer = await client.token(**form)
    assert answer.status_code in {400, 401}
    document = answer.json()
    assert document["error_codes"] == [code]
    assert document["error_description"].startswith(f"AADSTS{code}: ")
    assert "<value>" not in document["error_description"]


async def test_another_tenant_is_unknown(client: Client) -> None:
    answer = await client.post("https://login.microsoftonline.com/other/oauth2/v2.0/token", data=person("requester"))
    assert answer.json()["error_codes"] == [90002]


def assertion(client: Client, **changes: str) -> dict[str, str]:
    now = int(time.time())
    claims = {"iss": ISSUER, "sub": SUBJECT, "aud": "api://AzureADTokenExchange", "iat": now, "exp": now + 300}
    return {
        "grant_type": "client_credentials",
        "client_id": IDENTITY,
        "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
        "client_assertion": client.workflow_key.sign({**claims, **changes}),
        "scope": "https://management.azure.com/.default",
    }


async def test_a_workflow_exchanges_its_token(client: Client) -> None:
    claims = await client.claims(**assertion(client))
    assert claims["oid"] == PRINCIPAL
    assert claims["appid"] == IDENTITY
    assert claims["aud"] == "https://management.azure.com"
    assert claims["iss"] == f"https://sts.windows.net/{TENANT}/"
    assert "roles" not in claims


@pytest.mark.parametrize(
    "changes",
    [
        {"sub": SUBJECT.replace("dev", "prod")},
        {"sub": SUBJECT.replace("payments", "Payments")},
        {"iss": "https://elsewhere.example"},
        {"aud": "https://github.com/contoso"},
    ],
)
async def test_a_foreign_workflow_is_refused(client: Client, changes: dict[str, str]) -> None:
    answer = await client.token(**assertion(client, **changes))
    assert answer.status_code == 400
    assert answer.json()["error_codes"] == [700213]
    assert str(changes.get("sub", SUBJECT)) in answer.json()["error_description"]


async def test_an_identity_without_the_credential_is_refused(client: Client) -> None:
    answer = await client.token(**assertion(client) | {"client_id": "60000000-0000-0000-0000-000000000001"})
    assert answer.json()["error_codes"] == [700213]


async def test_the_managed_identity_endpoint_checks_its_header(client: Client) -> None:
    url = f"{client.kernel.proxy_url}/msi/token"
    query = {"resource": "https://storage.azure.com", "api-version": "2019-08-01", "client_id": IDENTITY}
    async with httpx.AsyncClient(trust_env=False) as direct:
        answer = await direct.get(url, params=query, headers={"X-IDENTITY-HEADER": "local"})
        claims = await client.verified(answer.json()["access_token"])
        assert (claims["aud"], claims["oid"]) == ("https://storage.azure.com", PRINCIPAL)
        assert int(answer.json()["expires_on"]) > time.time()
        assert (await direct.get(url, params=query)).status_code == 401
        assert (await direct.get(url, headers={"X-IDENTITY-HEADER": "local"})).status_code == 400


async def test_a_token_of_another_key_is_not_ours(client: Client) -> None:
    verify = client.kernel.vendor("entra").verify
    token = (await client.token(**person("admin"))).json()["access_token"]
    assert verify(token)["oid"]
    forged = jwt.encode(jwt.decode(token, options={"verify_signature": False}), "k" * 32, algorithm="HS256")
    for bad in ("", "a.b.c", forged, token[:-4] + "AAAA"):
        with pytest.raises(ValueError, match=r"\w"):
            verify(bad)


VAULT = "https://kv-appstore.vault.azure.net"


async def test_a_vault_challenges_and_needs_its_own_audience_and_a_version(client: Client) -> None:
    answer = await client.get(f"{VAULT}/secrets/s?api-version=7.6")
    assert answer.status_code == 401
    assert 'resource="https://vault.azure.net"' in answer.headers["WWW-Authenticate"]
    assert f'authorization="{LOGIN}"' in answer.headers["WWW-Authenticate"]
    foreign = (await client.token(**person("admin"), scope="https://management.azure.com/.default")).json()
    bearer = {"Authorization": f"Bearer {foreign['access_token']}"}
    answer = await client.get(f"{VAULT}/secrets/s?api-version=7.6", headers=bearer)
    assert (answer.status_code, "AKV10022" in answer.text) == (401, True)
    own = (await client.token(**person("admin"), scope="https://vault.azure.net/.default")).json()
    client.headers["Authorization"] = f"Bearer {own['access_token']}"
    assert (await client.get(f"{VAULT}/secrets/s")).status_code == 400
    assert (await client.get(f"{VAULT}/secrets/s?api-version=7.6")).json()["error"]["code"] == "SecretNotFound"


async def test_secrets_have_versions_pages_and_limits(client: Client) -> None:
    own = (await client.token(**person("admin"), scope="https://vault.azure.net/.default")).json()
    client.headers["Authorization"] = f"Bearer {own['access_token']}"
    client.params = httpx.QueryParams({"api-version": "7.6"})
    assert (await client.put(f"{VAULT}/secrets/under_score", json={"value": "v"})).status_code == 400
    assert (await client.put(f"{VAULT}/secrets/big", json={"value": "v" * 26_000})).status_code == 400
    assert (
        await client.put(f"{VAULT}/secrets/tags", json={"value": "v", "tags": dict.fromkeys("abcdefghijklmnop", "")})
    ).status_code == 400
    assert (await client.put(f"{VAULT}/secrets/none", json={})).status_code == 400
    assert (await client.put(f"{VAULT}/secrets/none", content=b"[")).status_code == 400
    made = (await client.put(f"{VAULT}/secrets/Mixed", json={"value": "v", "attributes": {"exp": 99}})).json()
    assert made["attributes"]["exp"] == 99
    identifier = made["id"].removeprefix(VAULT)
    changed = (await client.patch(f"{VAULT}{identifier}", json={"attributes": {"enabled": False}})).json()
    assert "value" not in changed
    answer = await client.get(f"{VAULT}/secrets/mixed")
    assert (answer.status_code, answer.json()["error"]["innererror"]) == (403, {"code": "SecretDisabled"})
    client.kernel.vendor("key_vault").seed_secret("kv-appstore", "seeded", "pem")
    client.kernel.vendor("key_vault").seed_secret("kv-appstore", "seeded", "pem")
    assert len((await client.get(f"{VAULT}/secrets/seeded/versions")).json()["value"]) == 1
    for number in range(30):
        client.kernel.vendor("key_vault").set_secret("kv-appstore", f"many-{number:02}", "v")
    first = (await client.get(f"{VAULT}/secrets", params={"maxresults": 20})).json()
    assert len(first["value"]) == 20
    client.params = httpx.QueryParams()
    second = (await client.get(first["nextLink"])).json()
    assert (len(second["value"]), second["nextLink"]) == (12, None)
    assert (await client.get("https://other.vault.azure.net/secrets?api-version=7.6")).json()["value"] == []
