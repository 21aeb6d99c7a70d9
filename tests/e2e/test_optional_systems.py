"""An optional system that is down or talks nonsense: the application is made, the request says what it lacks."""

import pytest

from tests.e2e.driver import Desk, Document
from tests.e2e.estate import Estate

OUTAGES: dict[str, Document] = {
    "down": {"mode": "status", "status": 503},
    "hibernating": {"mode": "body", "status": 200, "body": "<html><title>Instance Hibernating page</title></html>"},
}


@pytest.mark.parametrize("outage", list(OUTAGES))
def test_without_servicenow_the_application_runs_degraded_and_a_retry_heals_it(desk: Desk, outage: str) -> None:
    name = f"{outage}-api"
    desk.fault(system="servicenow", times=None, agent="appstore", **OUTAGES[outage])
    request_id, digest = desk.planned(name)
    desk.approve(request_id, digest)
    degraded = desk.wait(request_id, "degraded", seconds=180)
    assert degraded["problem"]["step"] == "open_change"
    assert "servicenow" in degraded["problem"]["detail"]
    assert {step["state"] for step in degraded["steps"] if step["branch"] == "records"} <= {"failed", "retrying"}
    assert len(degraded["result"]["missing"]) == 2
    assert desk.stack.vendors.get(f"https://{name}.dev.apps.contoso.com/health").json()["application"] == name
    desk.heal()
    before = desk.position()
    assert desk.decide(request_id, "retry").status_code == 202
    healed = desk.wait(request_id, "succeeded", seconds=120)
    assert (healed["problem"], healed["result"]["missing"]) == (None, [])
    assert [entry for entry in desk.mutations(before) if name in entry["url"]] == []
    Estate(desk.stack).require_exactly_once(name, request_id)


def test_undo_closes_what_servicenow_would_keep_open(desk: Desk) -> None:
    estate = Estate(desk.stack)
    request = desk.onboard("recorded-api")
    assert request["state"] == "succeeded", request["problem"]
    assert desk.decide(request["id"], "undo").status_code == 202
    undone = desk.wait(request["id"], "undone", seconds=120)
    kept = {(item["type"], item["name"]) for item in undone["residue"] if item["system"] == "servicenow"}
    (change,) = estate.rows("change_request", f"correlation_id={request['id']}")
    assert kept == {("change request", change["number"]), ("configuration item", "recorded-api")}
    assert [item["operational_status"] for item in estate.items("recorded-api")] == ["6"]
