"""Nobody decides, ServiceNow decides, the glass is broken: through the whole app, by its own clock."""

from collections.abc import Callable
from typing import Any

import pytest

from local.sign_in import SERVICENOW, servicenow_headers
from local.stack import Stack
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import Estate

type StackFactory = Callable[..., Stack]
RESTRICTED: dict[str, Any] = {
    "environments": ["dev", "qa", "prod"],
    "dataClassification": "restricted",
    "parameters": {"database": "postgres", "publicEndpoint": False},
}


def _told(desk: Desk, request_id: str) -> dict[str, str]:
    return {message["kind"]: message["state"] for message in desk.request(request_id)["messages"]}


@pytest.mark.long
@pytest.mark.timeout(600)
def test_nobody_decides_and_everybody_was_told(fresh_stack: StackFactory) -> None:
    """The host dies between reminder and escalation, and each is told once all the same."""
    desk = Desk(fresh_stack("undecided", host_environment={"APPSTORE_APPROVAL_HOURS": "0.05"}))
    request_id, digest = desk.planned("undecided-api")
    until("the reminder", lambda: _told(desk, request_id).get("reminder") == "sent" or None, 150)
    desk.stack.kill_host()
    desk.stack.start_host()
    expired = desk.wait(request_id, "expired", seconds=200)
    assert expired["escalatedAt"]
    wanted = dict.fromkeys(("reminder", "escalation", "expired"), "sent")
    until("all messages", lambda: _told(desk, request_id) == wanted or None, 60)
    assert Estate(desk.stack).told(request_id) == dict.fromkeys(wanted, 1)
    late = desk.decide(request_id, "approve", "approver", planDigest=digest)
    assert (late.status_code, late.json()["type"]) == (409, "urn:appstore:problem:state-conflict")


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("verdict", ["approved", "rejected"])
def test_what_servicenow_decides_happens_here(desk: Desk, verdict: str) -> None:
    headers = servicenow_headers(desk.stack)
    desk.stack.vendors_admin("POST", "seed", {"servicenow": {"settings/manual-approval": True}})
    try:
        request_id, digest = desk.planned(f"board-{verdict}", **RESTRICTED)
        desk.approve(request_id, digest)
        asked = until("the change", lambda: _asked(desk, headers, request_id), 60)
        assert desk.request(request_id)["openApprovals"] == ["change-board"]
        place = f"{SERVICENOW}/api/now/table/sysapproval_approver/{asked['sys_id']}"
        desk.stack.vendors.patch(place, json={"state": verdict}, headers=headers).raise_for_status()
        request = desk.wait(request_id, "provisioning" if verdict == "approved" else "rejected", seconds=120)
        assert [item["decidedIn"] for item in request["decisions"]] == ["appstore", "servicenow"]
        if verdict == "approved":
            assert desk.decide(request_id, "cancel").status_code == 202
            desk.wait(request_id, "cancelled")
            assert desk.decide(request_id, "undo").status_code == 202
            desk.wait(request_id, "undone", seconds=240)
    finally:
        desk.stack.vendors_admin("POST", "seed", {"servicenow": {"settings/manual-approval": False}})


def _asked(desk: Desk, headers: dict[str, str], request_id: str) -> Document | None:
    """The approver's row of the request's change."""
    table = f"{SERVICENOW}/api/now/table"
    query = {"sysparm_query": f"correlation_id={request_id}"}
    changes = desk.stack.vendors.get(f"{table}/change_request", params=query, headers=headers).json()["result"]
    if not changes:
        return None
    query = {"sysparm_query": f"sysapproval={changes[0]['sys_id']}"}
    rows = desk.stack.vendors.get(f"{table}/sysapproval_approver", params=query, headers=headers).json()["result"]
    return rows[0] if rows else None


@pytest.mark.long
def test_a_broken_glass_makes_the_application_and_leaves_a_review(desk: Desk) -> None:
    request_id, digest = desk.planned("glass-api")
    wanted = {
        "planDigest": digest,
        "reason": "the shop is down and this repairs it",
        "ticket": "INC0012345",
        "hours": 1,
        "secondPerson": "auditor@contoso.com",
    }
    assert desk.decide(request_id, "break-glass", "approver", **wanted).status_code == 403
    assert desk.decide(request_id, "break-glass", "operator", **wanted).status_code == 202
    request = desk.wait(request_id, "succeeded", seconds=180)
    assert [item["state"] for item in request["reviews"]] == ["open"]
    until("the second person is told", lambda: _told(desk, request_id).get("break_glass") == "sent" or None, 120)
    closed = desk.decide(request_id, "reviews/1", "auditor", justified=True, findings="the outage was real")
    assert closed.status_code == 200, closed.text
    notes = desk.stack.vendors.get(
        f"{SERVICENOW}/api/now/table/change_request",
        params={
            "sysparm_query": f"correlation_id={request_id}",
            "sysparm_fields": "work_notes",
            "sysparm_display_value": "true",
        },
        headers=servicenow_headers(desk.stack),
    ).json()["result"]
    assert str(notes).count("operator@contoso.com broke the glass, INC0012345") == 1
