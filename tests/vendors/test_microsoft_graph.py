"""The stand-in for Microsoft Graph: over HTTPS, through the proxy, with tokens of the stand-in for Entra ID."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.vendors import entra, microsoft_graph
from local.vendors.entra.directory import TENANT, group_id, object_id
from local.vendors.kernel import Kernel, Store, Vendor

GRAPH = "https://graph.microsoft.com/v1.0"


class Arm:
    """The part of ARM that the token endpoint asks."""

    def resources(self, kind: str) -> list[dict[str, Any]]:
        assert kind
        return []


class Client(httpx.AsyncClient):
    store: Store

    async def rows(self, path: str, **params: str) -> list[dict[str, Any]]:
        answer = await self.get(f"{GRAPH}{path}", params=params)
        assert answer.status_code == 200, answer.text
        rows: list[dict[str, Any]] = answer.json()["value"]
        while link := answer.json().get("@odata.nextLink"):
            answer = await self.get(link)
            rows += answer.json()["value"]
        return rows

    async def refused(self, path: str, **params: str) -> tuple[int, str]:
        answer = await self.get(f"{GRAPH}{path}", params=params)
        return answer.status_code, answer.json()["error"]["code"]


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([entra.build(kernel), microsoft_graph.build(kernel), Vendor("arm", (), [], public=Arm())])
    store = kernel.store("entra")
    store.put("groups/inner", {"roles": [], "in": ["board"]})
    store.put("groups/board", {"roles": ["Approver"], "in": []})
    store.put("personas/eve", {"roles": ["Requester"], "teams": ["inner"]})
    context = kernel.authority.client_context()
    async with Client(proxy=kernel.proxy_url, verify=context, trust_env=False, timeout=20) as opened:
        form = {
            "grant_type": "password",
            "username": "admin",
            "password": "admin",
            "scope": "https://graph.microsoft.com/x",
        }
        answer = await opened.post(f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token", data=form)
        opened.store = store
        opened.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"
        yield opened
    await kernel.stop()


async def test_only_a_token_for_graph_is_let_in(client: Client) -> None:
    client.headers["Authorization"] = "Bearer made-up"
    assert await client.refused("/users/eve@contoso.com") == (401, "InvalidAuthenticationToken")


async def test_a_person_is_found_by_name_and_id_and_an_application_is_no_person(client: Client) -> None:
    for name in ("Eve@contoso.com", object_id("eve")):
        answer = await client.get(f"{GRAPH}/users/{name}", params={"$select": "id,userPrincipalName"})
        assert answer.json() == {"id": object_id("eve"), "userPrincipalName": "eve@contoso.com"}
    for name in (object_id("bot"), "nobody@contoso.com"):
        assert await client.refused(f"/users/{name}") == (404, "Request_ResourceNotFound")


async def test_users_are_asked_for_by_id_and_accounts_that_are_disabled_say_so(client: Client) -> None:
    client.store.put("personas/gone", {"roles": [], "teams": ["board"], "enabled": False})
    ids = ", ".join(f"'{object_id(name)}'" for name in ("eve", "gone", "nobody"))
    asked = {"$filter": f"id in ({ids})", "$select": "id,accountEnabled"}
    found = {row["id"]: row["accountEnabled"] for row in await client.rows("/users", **asked)}
    assert found == {object_id("eve"): True, object_id("gone"): False}
    assert all("accountEnabled" not in row for row in await client.rows("/users", **{"$filter": asked["$filter"]}))
    members = await client.rows(f"/groups/{group_id('board')}/members", **{"$select": "id,accountEnabled"})
    assert {"@odata.type": "#microsoft.graph.user", "id": object_id("gone"), "accountEnabled": False} in members
    many = ", ".join(f"'{object_id(str(number))}'" for number in range(16))
    for wrong in (f"id in ({many})", "accountEnabled eq false", ""):
        assert await client.refused("/users", **{"$filter": wrong}) == (400, "Request_BadRequest")


async def test_members_are_direct_or_nested_and_have_a_type(client: Client) -> None:
    board, inner = group_id("board"), group_id("inner")
    assert await client.rows(f"/groups/{board}/members") == [{"@odata.type": "#microsoft.graph.group", "id": inner}]
    nested = await client.rows(f"/groups/{board}/transitiveMembers")
    assert {"@odata.type": "#microsoft.graph.user", "id": object_id("eve")} in nested
    assert await client.refused(f"/groups/{group_id('nowhere')}/members") == (404, "Request_ResourceNotFound")
    answer = await client.post(
        f"{GRAPH}/directoryObjects/{object_id('eve')}/checkMemberGroups", json={"groupIds": [board, group_id("web")]}
    )
    assert answer.json() == {"value": [board]}


async def test_role_assignments_come_in_pages(client: Client) -> None:
    wanted = "servicePrincipalNames/any(n:n eq 'api://appstore')"
    (found,) = await client.rows("/servicePrincipals", **{"$filter": wanted})
    assert await client.rows("/servicePrincipals", **{"$filter": wanted.replace("appstore", "other")}) == []
    approver = next(role["id"] for role in found["appRoles"] if role["value"] == "Approver")
    path = f"/servicePrincipals/{found['id']}/appRoleAssignedTo"
    whole = await client.rows(path)
    assert len(await client.rows(path, **{"$top": "2"})) == len(whole) > 8
    kinds = {row["principalType"] for row in whole if row["appRoleId"] == approver}
    assert kinds == {"User", "Group", "ServicePrincipal"}
    assert await client.refused(path, **{"$top": "1000"}) == (400, "Request_BadRequest")
    assert await client.refused(path.replace(found["id"], "other")) == (404, "Request_ResourceNotFound")
