"""The ARM stand-in behaves like management.azure.com: over HTTPS, through the proxy, with a token."""

import asyncio
import ssl
import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.vendors import arm
from local.vendors.kernel import Kernel, Vendor

SUBSCRIPTION = "/subscriptions/20000000-0000-0000-0000-000000000001"
GROUP = f"{SUBSCRIPTION}/resourceGroups/rg-test"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-test"
IDENTITY = f"{GROUP}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-test"
SERVER = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-test"
ZONE = f"{SUBSCRIPTION}/resourceGroups/rg-platform-dns/providers/Microsoft.Network/dnsZones/dev.apps.contoso.com"
CLUSTER = (
    f"{SUBSCRIPTION}/resourceGroups/rg-platform-dev/providers/Microsoft.ContainerService/managedClusters/aks-dev-weu"
)
TENANT = "11111111-1111-1111-1111-111111111111"
VAULT_BODY: dict[str, Any] = {
    "location": "westeurope",
    "properties": {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}, "enableRbacAuthorization": True},
}


class Tokens:
    """Entra ID reduced to what ARM asks of it."""

    def verify(self, token: str) -> dict[str, Any]:
        if not token.startswith("aud:"):
            raise ValueError("signature")
        return {"aud": token.removeprefix("aud:"), "oid": "someone"}


class Client:
    def __init__(self, http: httpx.AsyncClient, kernel: Kernel) -> None:
        self.http = http
        self.kernel = kernel

    async def __call__(self, method: str, path: str, body: object = None, **headers: str) -> httpx.Response:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        query = "" if "api-version=" in path else ("&" if "?" in path else "?") + "api-version=2025-04-01"
        return await self.http.request(method, path + query, json=body, headers=named)

    async def until(self, path: str, done: Callable[[httpx.Response], bool]) -> httpx.Response:
        deadline = time.monotonic() + 10
        while not done(answer := await self("GET", path)):
            assert time.monotonic() < deadline, answer.text
            await asyncio.sleep(0.05)
        return answer


@pytest.fixture
async def call(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([Vendor("entra", (), [], public=Tokens()), arm.build(kernel)])
    async with httpx.AsyncClient(
        base_url="https://management.azure.com",
        proxy=kernel.proxy_url,
        verify=ssl.create_default_context(cafile=str(kernel.ca_bundle)),
        headers={"Authorization": "Bearer aud:https://management.azure.com"},
    ) as http:
        client = Client(http, kernel)
        await client("PUT", GROUP, {"location": "westeurope", "tags": {"appstore-request-id": "req-1"}})
        yield client
    await kernel.stop()


def code(answer: httpx.Response) -> tuple[int, str]:
    return answer.status_code, answer.json()["error"]["code"]


async def test_refuses_calls_without_token_audience_or_version(call: Client) -> None:
    assert code(await call("GET", GROUP, Authorization="")) == (401, "AuthenticationFailed")
    assert code(await call("GET", GROUP, Authorization="Bearer x")) == (401, "InvalidAuthenticationToken")
    wrong = await call("GET", GROUP, Authorization="Bearer aud:https://graph.microsoft.com")
    assert code(wrong) == (401, "InvalidAuthenticationTokenAudience")
    assert code(await call.http.get(GROUP)) == (400, "MissingApiVersionParameter")
    assert code(await call.http.get(GROUP, params={"api-version": "latest"})) == (400, "InvalidApiVersionParameter")
    assert code(await call("GET", "/subscriptions/unknown/resourceGroups/a")) == (404, "SubscriptionNotFound")


async def test_ids_ignore_case_and_keep_it(call: Client) -> None:
    assert (await call("PUT", VAULT, VAULT_BODY)).status_code == 201
    answer = await call("GET", VAULT.lower())
    assert answer.json()["id"] == VAULT
    assert answer.json()["properties"]["vaultUri"] == "https://kv-test.vault.azure.net/"
    again = await call("PUT", VAULT.upper().replace("/SUBSCRIPTIONS", "/subscriptions"), VAULT_BODY)
    assert (again.status_code, again.json()["id"]) == (200, VAULT)


async def test_missing_things_answer_as_arm_does(call: Client) -> None:
    other = f"{SUBSCRIPTION}/resourceGroups/rg-none"
    assert code(await call("GET", other)) == (404, "ResourceGroupNotFound")
    assert code(await call("PUT", f"{other}/providers/Microsoft.KeyVault/vaults/kv-a", VAULT_BODY)) == (
        404,
        "ResourceGroupNotFound",
    )
    assert code(await call("GET", VAULT)) == (404, "ResourceNotFound")
    assert code(await call("PUT", f"{SERVER}/databases/a", {"properties": {}})) == (404, "ParentResourceNotFound")
    assert (await call("DELETE", VAULT)).status_code == 204
    assert (await call("HEAD", other)).status_code == 404
    assert (await call("HEAD", GROUP)).status_code == 204


async def test_put_replaces_and_patch_merges(call: Client) -> None:
    await call("PUT", IDENTITY, {"location": "westeurope", "tags": {"a": "1"}})
    first = (await call("GET", IDENTITY)).json()
    patched = (await call("PATCH", IDENTITY, {"tags": {"b": "2"}})).json()
    assert patched["tags"] == {"b": "2"}
    replaced = (await call("PUT", IDENTITY, {"location": "westeurope"})).json()
    assert "tags" not in replaced
    assert replaced["properties"]["clientId"] == first["properties"]["clientId"]
    assert code(await call("PUT", IDENTITY, {"location": "northeurope"})) == (409, "InvalidResourceLocation")
    assert code(await call("PUT", GROUP, {"location": "northeurope"})) == (409, "InvalidResourceGroupLocation")


async def test_database_server_is_made_and_removed_by_operations(call: Client) -> None:
    made = await call("PUT", SERVER, {"location": "westeurope", "properties": {"administratorLoginPassword": "x"}})
    assert made.status_code == 201
    assert made.headers["Retry-After"] == "1"
    assert made.json()["properties"]["provisioningState"] == "Creating"
    operation = made.headers["Azure-AsyncOperation"]
    assert (await call("GET", operation)).json()["status"] == "InProgress"
    assert (await call("GET", made.headers["Location"])).status_code == 202
    await call.until(operation, lambda answer: answer.json()["status"] == "Succeeded")
    server = (await call("GET", SERVER)).json()["properties"]
    assert server["fullyQualifiedDomainName"] == "psql-test.postgres.database.azure.com"
    assert server["provisioningState"] == "Succeeded"
    assert "administratorLoginPassword" not in server
    removed = await call("DELETE", SERVER)
    assert removed.status_code == 202
    assert (await call("GET", SERVER)).json()["properties"]["provisioningState"] == "Deleting"
    await call.until(SERVER, lambda answer: answer.status_code == 404)
    assert (await call("GET", removed.headers["Location"])).status_code == 204


async def test_an_operation_outlives_a_restart(tmp_path: Path) -> None:
    kernel = Kernel(tmp_path)
    await kernel.start([arm.build(kernel)])
    public = kernel.vendor("arm")
    public._estate.begin("delete", CLUSTER, 0.05)
    await kernel.stop()
    again = Kernel(tmp_path)
    await again.start([arm.build(again)])
    deadline = time.monotonic() + 5
    while again.vendor("arm").resource(CLUSTER) is not None:
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)
    await again.stop()


async def test_removing_a_group_removes_its_contents(call: Client) -> None:
    await call("PUT", VAULT, VAULT_BODY)
    await call("PUT", IDENTITY, {"location": "westeurope"})
    assert (await call("DELETE", GROUP)).status_code == 202
    assert code(await call("PUT", IDENTITY, {"location": "westeurope"})) == (409, "ResourceGroupBeingDeleted")
    await call.until(GROUP, lambda answer: answer.status_code == 404)
    assert call.kernel.vendor("arm").resource(IDENTITY) is None
    deleted = await call("GET", f"{SUBSCRIPTION}/providers/Microsoft.KeyVault/deletedVaults")
    assert [vault["name"] for vault in deleted.json()["value"]] == ["kv-test"]


async def test_deleted_vault_keeps_its_name_until_purged(call: Client) -> None:
    place = f"{SUBSCRIPTION}/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-test"
    await call("PUT", VAULT, VAULT_BODY)
    assert (await call("DELETE", VAULT)).status_code == 200
    assert code(await call("PUT", VAULT, VAULT_BODY)) == (409, "ConflictError")
    recover = {**VAULT_BODY, "properties": {**VAULT_BODY["properties"], "createMode": "recover"}}
    assert (await call("PUT", VAULT, recover)).status_code == 201
    await call("DELETE", VAULT)
    purge = await call("POST", f"{place}/purge")
    assert purge.status_code == 202
    await call.until(place, lambda answer: answer.status_code == 404)
    assert (await call("PUT", VAULT, VAULT_BODY)).status_code == 201


async def test_purge_protection_forbids_purging(call: Client) -> None:
    protected = {**VAULT_BODY, "properties": {**VAULT_BODY["properties"], "enablePurgeProtection": True}}
    await call("PUT", VAULT, protected)
    await call("DELETE", VAULT)
    place = f"{SUBSCRIPTION}/providers/Microsoft.KeyVault/locations/westeurope/deletedVaults/kv-test"
    assert code(await call("POST", f"{place}/purge")) == (405, "MethodNotAllowed")


async def test_tags_api(call: Client) -> None:
    tags = f"{GROUP}/providers/Microsoft.Resources/tags/default"

    async def change(operation: str, **given: str) -> Any:
        body = {"operation": operation, "properties": {"tags": given}}
        return (await call("PATCH", tags, body)).json()["properties"]["tags"]

    assert await change("Merge", Owner="a") == {"appstore-request-id": "req-1", "Owner": "a"}
    assert await change("Merge", OWNER="b") == {"appstore-request-id": "req-1", "Owner": "b"}
    assert await change("Delete", owner="") == {"appstore-request-id": "req-1"}
    assert await change("Replace", x="y") == {"x": "y"}
    assert (await call("GET", GROUP)).json()["tags"] == {"x": "y"}
    bad = {"operation": "Merge", "properties": {"tags": {"a<b": "c"}}}
    assert code(await call("PATCH", tags, bad)) == (400, "InvalidTagName")


async def test_locks_stop_removal_here_above_and_below(call: Client) -> None:
    await call("PUT", IDENTITY, {"location": "westeurope"})
    lock = f"{IDENTITY}/providers/Microsoft.Authorization/locks/keep"
    await call("PUT", lock, {"properties": {"level": "CanNotDelete"}})
    assert code(await call("DELETE", IDENTITY)) == (409, "ScopeLocked")
    assert code(await call("DELETE", GROUP)) == (409, "ScopeLocked")
    assert (await call("PATCH", IDENTITY, {"tags": {}})).status_code == 200
    assert (await call("DELETE", lock)).status_code == 200
    assert (await call("DELETE", IDENTITY)).status_code == 200


async def test_role_assignments(call: Client) -> None:
    reader = f"{SUBSCRIPTION}/providers/Microsoft.Authorization/roleDefinitions/acdd72a7-3385-48ef-bd42-f606fba81ae7"
    base = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments"
    one, two = f"{base}/{'1' * 8}-1111-1111-1111-{'1' * 12}", f"{base}/{'2' * 8}-1111-1111-1111-{'1' * 12}"
    principal = "33333333-3333-3333-3333-333333333333"
    body = {"properties": {"roleDefinitionId": reader, "principalId": principal, "principalType": "Group"}}
    call.kernel.store("arm").put("settings/unknown-principals", {principal: 1})
    assert code(await call("PUT", one, body)) == (400, "PrincipalNotFound")
    assert (await call("PUT", one, body)).status_code == 201
    assert (await call("PUT", one, body)).status_code == 200
    assert code(await call("PUT", two, body)) == (409, "RoleAssignmentExists")
    assert code(await call("PUT", f"{base}/reader", body)) == (400, "InvalidResourceName")
    listed = await call("GET", f"{IDENTITY}/providers/Microsoft.Authorization/roleAssignments")
    assert [item["name"] for item in listed.json()["value"]] == [one.rpartition("/")[2]]
    roles = await call("GET", f"{GROUP}/providers/Microsoft.Authorization/roleDefinitions?$filter=roleName eq 'Reader'")
    assert [item["name"] for item in roles.json()["value"]] == [reader.rpartition("/")[2]]


async def test_record_sets_know_preconditions(call: Client) -> None:
    record = f"{ZONE}/CNAME/payments-api"
    body = {"properties": {"TTL": 300, "CNAMERecord": {"cname": "ingress.aks-dev-weu.contoso.com"}}}
    made = await call("PUT", record, body, If_None_Match="*")
    assert made.status_code == 201
    assert made.json()["properties"]["fqdn"] == "payments-api.dev.apps.contoso.com."
    assert code(await call("PUT", record, body, If_None_Match="*")) == (412, "PreconditionFailed")
    assert code(await call("DELETE", record, If_Match="other")) == (412, "PreconditionFailed")
    public = call.kernel.vendor("arm")
    assert public.dns_record("Payments-API.dev.apps.contoso.com")["etag"] == made.json()["etag"]
    assert public.dns_record("other.dev.apps.contoso.com") is None
    assert public.has_zone("other.dev.apps.contoso.com")
    assert (await call("DELETE", record, If_Match=made.json()["etag"])).status_code == 200


async def test_federated_credentials(call: Client) -> None:
    identity = (await call("PUT", IDENTITY, {"location": "westeurope"})).json()

    async def put(name: str, subject: str) -> httpx.Response:
        properties = {"issuer": "https://issuer", "subject": subject, "audiences": ["api://AzureADTokenExchange"]}
        return await call("PUT", f"{IDENTITY}/federatedIdentityCredentials/{name}", {"properties": properties})

    assert (await put("github-dev", "repo:contoso/a:environment:dev")).status_code == 201
    assert code(await put("github-two", "repo:contoso/a:environment:dev")) == (409, "Conflict")
    assert code(await put("github-any", "repo:contoso/*")) == (400, "BadRequest")
    for number in range(19):
        assert (await put(f"more-{number}", f"s{number}")).status_code == 201
    assert code(await put("one-too-many", "s20")) == (400, "BadRequest")
    found = call.kernel.vendor("arm").federated_credentials(identity["properties"]["clientId"])
    assert len(found) == 20


async def test_managed_namespace_and_platform(call: Client) -> None:
    namespace = f"{CLUSTER}/managedNamespaces/payments-api"
    made = await call("PUT", namespace, {"location": "westeurope", "properties": {"deletePolicy": "Delete"}})
    assert made.status_code == 201
    await call.until(namespace, lambda answer: answer.json()["properties"]["provisioningState"] == "Succeeded")
    assert (await call("DELETE", namespace)).status_code == 202
    await call.until(namespace, lambda answer: answer.status_code == 404)
    zones = await call("GET", f"{SUBSCRIPTION}/providers/Microsoft.Network/dnsZones")
    assert [zone["name"] for zone in zones.json()["value"]] == [
        "dev-neu.apps.contoso.com",
        "dev.apps.contoso.com",
        "qa.apps.contoso.com",
    ]


async def test_lists_filter_and_page(call: Client) -> None:
    await call("PUT", VAULT, {**VAULT_BODY, "tags": {"team": "a"}})
    await call("PUT", IDENTITY, {"location": "westeurope", "tags": {"team": "b"}})

    async def names(query: str) -> list[str]:
        return [item["name"] for item in (await call("GET", f"{SUBSCRIPTION}/resources{query}")).json()["value"]]

    assert await names("?$filter=tagName eq 'TEAM' and tagValue eq 'a'") == ["kv-test"]
    assert await names("?$filter=resourceType eq 'microsoft.managedidentity/userassignedidentities'") == ["id-test"]
    assert code(await call("GET", f"{SUBSCRIPTION}/resources?$filter=substringof('a')")) == (
        400,
        "InvalidFilterInQueryString",
    )
    first = (await call("GET", f"{GROUP}/resources?$top=1")).json()
    second = (await call("GET", first["nextLink"])).json()
    assert [item["name"] for item in first["value"] + second["value"]] == ["kv-test", "id-test"]
    assert "nextLink" not in second


async def test_throttling_counts_down_and_refuses(call: Client) -> None:
    answer = await call("GET", GROUP)
    assert int(answer.headers["x-ms-ratelimit-remaining-subscription-reads"]) < 250
    call.kernel.store("arm").put("settings/throttle", {"reads": [2, 0.5]})
    assert [(await call("GET", GROUP)).status_code for _ in range(3)] == [200, 200, 429]
    refused = await call("GET", GROUP)
    assert code(refused) == (429, "SubscriptionRequestsThrottled")
    assert int(refused.headers["Retry-After"]) >= 1
