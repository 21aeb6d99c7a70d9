"""The ServiceNow stand-in behaves like an instance: over HTTPS, through the proxy, with a token it gave."""

import ssl
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.vendors import servicenow
from local.vendors.kernel import Kernel

INSTANCE = "https://contoso.service-now.com"
CLIENT = {"grant_type": "client_credentials", "client_id": "appstore", "client_secret": "servicenow-secret"}
TABLE = "/api/now/table"
CHANGES = "/api/sn_chg_rest/v1/change"
ITEMS = "/api/now/cmdb/instance/cmdb_ci_service_auto"
SOURCE = "Other Automated"
TEMPLATE, GROUP = "508e02ec47410200e90d87e8dee49001", "a715cd759f2002002920bde8132e7001"
ABSENT = "0" * 32
DONE = {"close_code": "successful", "close_notes": "works"}


class Client(httpx.AsyncClient):
    kernel: Kernel

    async def result(self, method: str, path: str, body: object = None, status: int = 200) -> Any:
        answer = await self.request(method, path, json=body)
        assert answer.status_code == status, answer.text
        return answer.json()["result"]

    async def refused(self, method: str, path: str, body: object = None) -> tuple[int, str]:
        answer = await self.request(method, path, json=body)
        document = answer.json()
        assert document["status"] == "failure"
        assert document["error"].keys() == {"message", "detail"}
        return answer.status_code, document["error"]["message"]

    async def change(self, kind: str = "normal", **fields: str) -> str:
        created = await self.result("POST", f"{CHANGES}/{kind}", fields)
        return str(created["sys_id"]["value"])

    async def move(self, sys_id: str, *states: str, **fields: str) -> None:
        for state in states:
            await self.result("PATCH", f"{CHANGES}/{sys_id}", {"state": state} | fields)

    async def state(self, sys_id: str) -> int:
        return int((await self.result("GET", f"{CHANGES}/{sys_id}"))["state"]["value"])


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    kernel = Kernel(tmp_path)
    await kernel.start([instance := servicenow.build(kernel)])
    assert instance.start is not None
    await instance.start()
    trust = ssl.create_default_context(cafile=str(kernel.ca_bundle))
    async with Client(base_url=INSTANCE, proxy=kernel.proxy_url, verify=trust) as http:
        http.kernel = kernel
        token = (await http.post("/oauth_token.do", data=CLIENT)).json()
        http.headers["Authorization"] = f"Bearer {token['access_token']}"
        yield http
    await kernel.stop()


async def test_a_token_is_needed_and_given_to_the_client_only(client: Client) -> None:
    granted = await client.post("/oauth_token.do", data=CLIENT)
    assert granted.json() | {"access_token": ""} == {
        "access_token": "",
        "token_type": "Bearer",
        "expires_in": 1799,
        "scope": "useraccount",
    }
    for wrong in ({"client_secret": "x"}, {"client_id": "x"}, {"grant_type": "password"}):
        refused = await client.post("/oauth_token.do", data=CLIENT | wrong)
        assert (refused.status_code, refused.json()["error"]) == (401, "access_denied")
    for header in ("", "Bearer made-up", "Basic YTpi"):
        client.headers["Authorization"] = header
        assert await client.refused("GET", f"{TABLE}/change_request") == (401, "User is not authenticated")


async def test_an_old_token_is_refused(client: Client) -> None:
    store = client.kernel.store("servicenow")
    for key, _ in store.list("token/"):
        store.put(key, 0)
    assert await client.refused("GET", f"{TABLE}/change_request") == (401, "User is not authenticated")


async def test_table_rows_are_texts_and_forget_unknown_fields(client: Client) -> None:
    body = {
        "short_description": "x" * 200,
        "no_such": "1",
        "on_hold": True,
        "impact": 2,
        "number": "mine",
        "reason": None,
    }
    answer = await client.post(f"{TABLE}/change_request", json=body | {"assignment_group": GROUP})
    row = answer.json()["result"]
    assert answer.status_code == 201
    assert answer.headers["Location"] == f"{INSTANCE}{TABLE}/change_request/{row['sys_id']}"
    assert (row["number"], row["state"], row["on_hold"], row["impact"], row["reason"]) == (
        "CHG0030001",
        "-5",
        "true",
        "2",
        "",
    )
    assert len(row["short_description"]) == 160
    assert "no_such" not in row
    assert row["assignment_group"] == {"link": f"{INSTANCE}{TABLE}/sys_user_group/{GROUP}", "value": GROUP}
    path = f"{TABLE}/change_request/{row['sys_id']}"
    query = "sysparm_fields=number,assignment_group,no_such&sysparm_exclude_reference_link=true"
    assert await client.result("GET", f"{path}?{query}") == {"number": "CHG0030001", "assignment_group": GROUP}
    changed = await client.result("PATCH", path, {"short_description": "new"})
    assert (changed["short_description"], changed["sys_mod_count"]) == ("new", "1")
    assert (await client.delete(path)).status_code == 204
    assert await client.refused("DELETE", path) == (404, "No Record found")


async def test_errors_of_the_table_api(client: Client) -> None:
    assert await client.refused("GET", f"{TABLE}/change_request/{ABSENT}") == (404, "No Record found")
    assert await client.refused("GET", f"{TABLE}/no_such") == (400, "Invalid table no_such")
    answer = await client.post(f"{TABLE}/cmdb_ci", content="{")
    assert (answer.status_code, answer.json()["error"]["message"]) == (400, "Exception while reading request")
    assert (await client.get(f"{TABLE}/cmdb_ci?sysparm_query=nameLIKEa")).status_code == 501
    assert (await client.get("/api/now/attachment")).status_code == 501


async def test_a_query_ignores_fields_that_do_not_exist(client: Client) -> None:
    for name, correlation in (("b", "one"), ("a", "one"), ("c^d", "two")):
        await client.result("POST", f"{TABLE}/cmdb_ci", {"name": name, "correlation_id": correlation}, 201)

    async def names(query: str, **more: str) -> tuple[list[str], str]:
        answer = await client.get(f"{TABLE}/cmdb_ci", params={"sysparm_query": query} | more)
        return [row["name"] for row in answer.json()["result"]], answer.headers["X-Total-Count"]

    assert await names("correlation_id=one^ORDERBYname") == (["a", "b"], "2")
    assert await names("correlation_id=one^name=b") == (["b"], "1")
    assert await names("corelation_id=one^ORDERBYDESCname") == (["c^d", "b", "a"], "3")
    assert await names("name=c^^d") == (["c^d"], "1")
    assert await names("ORDERBYname", sysparm_limit="1", sysparm_offset="1") == (["b"], "3")
    assert await names("correlation_id=none") == ([], "0")


async def test_a_second_change_with_the_same_correlation_id_is_another_one(client: Client) -> None:
    assert await client.change(correlation_id="r1") != await client.change(correlation_id="r1")
    found = await client.result("GET", f"{TABLE}/change_request?sysparm_query=correlation_id=r1^ORDERBYnumber")
    assert [row["number"] for row in found] == ["CHG0030001", "CHG0030002"]


async def test_the_change_api_names_ignored_fields_and_types_values(client: Client) -> None:
    body = {"short_description": "Deploy", "assignment_group": GROUP, "no_such": "1", "number": "mine", "state": "3"}
    change = await client.result("POST", f"{CHANGES}/normal?category=Software", body)
    assert sorted(change["__meta"]["ignoredFields"]) == ["no_such", "number", "state"]
    assert change["state"] == {"display_value": "New", "value": -5}
    assert change["active"] == {"display_value": "true", "value": True}
    assert change["type"] == {"display_value": "Normal", "value": "normal"}
    assert change["category"]["value"] == "Software"
    assert change["assignment_group"] == {"display_value": "Platform Engineering", "value": GROUP}
    path = f"{CHANGES}/{change['sys_id']['value']}"
    changed = await client.result("PATCH", path, {"sys_id": "x", "reason": "y"})
    assert (changed["__meta"], changed["reason"]["value"]) == ({"ignoredFields": ["sys_id"]}, "y")
    assert "__meta" not in await client.result("GET", path)
    unversioned = await client.result("GET", path.replace("/v1/change/", "/change/normal/"))
    assert unversioned["number"]["value"] == "CHG0030001"
    assert await client.refused("GET", f"{CHANGES}/{ABSENT}") == (404, "No Record found")


async def test_a_normal_change_takes_every_step_of_its_model(client: Client) -> None:
    sys_id = await client.change()
    assert await client.refused("PATCH", f"{CHANGES}/{sys_id}", {"state": "-1"}) == (400, "Invalid state transition")
    await client.move(sys_id, "-4")
    assert (await client.result("PATCH", f"{CHANGES}/{sys_id}", {"state": -3}))["state"]["value"] == -3
    change = await client.result("GET", f"{CHANGES}/{sys_id}")
    assert (change["state"]["value"], change["approval"]["value"]) == (-2, "approved")
    await client.move(sys_id, "-2", "-1", "0")
    for missing in ({}, {"close_code": "successful"}, {"close_notes": "works"}):
        status, message = await client.refused("PATCH", f"{CHANGES}/{sys_id}", {"state": "3"} | missing)
        assert (status, message) == (400, "Close code and Close notes are mandatory")
    assert await client.refused("PATCH", f"{CHANGES}/{sys_id}", {"state": "4"}) == (400, "Invalid state transition")
    await client.move(sys_id, "3", **DONE)
    assert (await client.result("GET", f"{CHANGES}/{sys_id}"))["active"]["value"] is False


async def test_the_table_api_does_not_get_around_the_model(client: Client) -> None:
    path = f"{TABLE}/change_request/{await client.change()}"
    assert await client.refused("PATCH", path, {"state": "3"} | DONE) == (400, "Invalid state transition")
    assert (await client.result("PATCH", path, {"state": "4"}))["active"] == "false"


async def test_a_standard_change_needs_a_template_and_no_approval(client: Client) -> None:
    sys_id = await client.change(f"standard/{TEMPLATE}", short_description="Deploy shop", description="other")
    change = await client.result("GET", f"{CHANGES}/{sys_id}")
    assert (change["type"]["value"], change["short_description"]["value"]) == ("standard", "Deploy shop")
    assert change["description"]["value"].startswith("Pre-approved")
    await client.move(sys_id, "-2", "-1", "0")
    await client.move(sys_id, "3", **DONE)
    assert await client.state(sys_id) == 3
    assert await client.refused("POST", f"{CHANGES}/standard/{ABSENT}", {}) == (404, "No Record found")
    templates = await client.result("GET", f"{TABLE}/std_change_record_producer?sysparm_fields=sys_id")
    assert templates == [{"sys_id": TEMPLATE}]


@pytest.mark.parametrize("way", [(), ("-4",), ("-4", "-3"), ("-4", "-3", "-1")])
async def test_a_change_can_be_cancelled_before_its_review(client: Client, way: tuple[str, ...]) -> None:
    sys_id = await client.change()
    await client.move(sys_id, *way, "4")
    assert await client.state(sys_id) == 4
    assert (await client.result("GET", f"{CHANGES}/{sys_id}/nextstates"))["available_states"] == ["4"]


async def test_manual_approval_holds_a_change_until_somebody_decides(client: Client) -> None:
    client.kernel.store("servicenow").put("settings/manual-approval", value=True)
    sys_id = await client.change()
    await client.move(sys_id, "-4", "-3")
    path, approvals = f"{CHANGES}/{sys_id}", f"{CHANGES}/{sys_id}/approvals"
    assert await client.refused("PATCH", path, {"state": "-2"}) == (400, "Invalid state transition")
    following = await client.result("GET", f"{path}/nextstates")
    assert following["available_states"] == ["4", "-3"]
    assert following["state_label"] == {"4": "Canceled", "-3": "Authorize"}
    moves = {way[0]["to_state"]: way[0]["transition_available"] for way in following["state_transitions"]}
    assert moves == {"-2": False, "4": True}
    assert (await client.result("GET", path))["approval"]["value"] == "requested"
    assert await client.refused("PATCH", approvals, {"state": "rejected"}) == (400, "Approval cannot be updated")
    await client.result("PATCH", approvals, {"state": "rejected", "comments": "no"})
    assert await client.state(sys_id) == -5
    await client.move(sys_id, "-4", "-3")
    await client.result("PATCH", approvals, {"state": "approved"})
    assert await client.state(sys_id) == -2


async def test_each_approver_has_a_row_and_what_it_says_decides(client: Client) -> None:
    client.kernel.store("servicenow").put("settings/manual-approval", value=True)
    sys_id = await client.change()
    await client.move(sys_id, "-4", "-3")
    fields = "sysparm_fields=sys_id,state,sysapproval,approver.user_name,approver.email,approver.none"
    query = f"{TABLE}/sysapproval_approver?sysparm_query=sysapproval={sys_id}&sysparm_exclude_reference_link=true"
    (asked,) = await client.result("GET", f"{query}&{fields}")
    row = asked.pop("sys_id")
    assert asked == {
        "state": "requested",
        "sysapproval": sys_id,
        "approver.user_name": "change.manager",
        "approver.email": "change.manager@contoso.com",
        "approver.none": "",
    }
    said = {"state": "rejected", "comments": "no"}
    assert (await client.result("PATCH", f"{TABLE}/sysapproval_approver/{row}", said))["comments"] == "no"
    change = await client.result("GET", f"{TABLE}/change_request/{sys_id}")
    assert (change["state"], change["approval"]) == ("-5", "rejected")
    await client.move(sys_id, "-4", "-3")
    assert sorted(item["state"] for item in await client.result("GET", query)) == ["rejected", "requested"]


async def test_work_notes_are_a_journal(client: Client) -> None:
    sys_id = await client.change()
    path = f"{TABLE}/change_request/{sys_id}"
    for note in ("first", "second"):
        await client.result("PATCH", f"{CHANGES}/{sys_id}", {"work_notes": note})
    assert (await client.result("GET", path))["work_notes"] == ""
    shown = await client.result("GET", f"{path}?sysparm_fields=work_notes,state&sysparm_display_value=true")
    assert shown["state"] == "New"
    assert 0 < shown["work_notes"].index("second") < shown["work_notes"].index("first")


async def test_the_conflict_check_runs_in_the_background(client: Client) -> None:
    path = f"{CHANGES}/{await client.change()}/conflict"
    assert (await client.result("GET", path))["status"] == "Not Run"
    assert len(await client.result("POST", path)) == 32
    assert (await client.result("GET", path))["job_status"] == "1"
    finished = await client.result("GET", path)
    assert (finished["status"], finished["job_status"], finished["conflicts"]) == ("Conflict", "2", [])
    freeze = {"type": {"display_value": "Blackout", "value": "blackout"}}
    client.kernel.store("servicenow").put("settings/conflicts", [freeze])
    assert (await client.result("GET", path))["conflicts"] == [freeze]


async def test_the_cmdb_identifies_items_by_name_within_a_class(client: Client) -> None:
    body: dict[str, Any] = {"attributes": {"name": "shop", "version": "1", "no_such": "x"}, "source": SOURCE}
    created = await client.result("POST", ITEMS, body, 201)
    assert (created["inbound_relations"], created["outbound_relations"]) == ([], [])
    sys_id = created["attributes"]["sys_id"]
    body["attributes"] = {"name": "shop", "version": "2", "support_group": GROUP}
    again = (await client.result("POST", ITEMS, body, 201))["attributes"]
    assert (again["sys_id"], again["version"], again["discovery_source"]) == (sys_id, "2", SOURCE)
    assert again["support_group"]["display_value"] == "Platform Engineering"
    other = await client.result("POST", ITEMS.replace("_service_auto", ""), body, 201)
    assert other["attributes"]["sys_id"] != sys_id
    assert await client.result("GET", f"{ITEMS}?sysparm_query=name=shop") == [{"sys_id": sys_id, "name": "shop"}]
    changed = await client.result("PATCH", f"{ITEMS}/{sys_id}", {"attributes": {"version": "3"}, "source": SOURCE})
    assert changed == await client.result("GET", f"{ITEMS}/{sys_id}")
    assert changed["attributes"]["version"] == "3"
    assert len(await client.result("GET", f"{TABLE}/cmdb_ci")) == 2


async def test_the_cmdb_refuses_what_it_cannot_identify(client: Client) -> None:
    for source in ({}, {"source": "App Store"}):
        assert await client.refused("POST", ITEMS, {"attributes": {"name": "a"}} | source) == (400, "Invalid source")
    nameless = await client.refused("POST", ITEMS, {"attributes": {}, "source": SOURCE})
    assert nameless == (400, "MISSING_MATCHING_ATTRIBUTES")
    assert await client.refused("GET", f"{ITEMS}/{ABSENT}") == (404, "No Record found")
    status, _ = await client.refused("POST", "/api/now/cmdb/instance/cmdb_ci_no", {"source": SOURCE})
    assert status == 400
