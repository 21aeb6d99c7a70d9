"""An optional system that is down or talks nonsense: the application is made, the request says what it lacks."""

from collections.abc import Callable

import pytest

from local.stack import Stack
from tests.boards import projects, stories, team
from tests.e2e import contracts
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import Estate

OUTAGES: dict[str, Document] = {
    "down": {"mode": "status", "status": 503},
    "gone": {"mode": "status", "status": 404},
    "nonsense": {"mode": "body", "status": 200, "body": "<html><title>Instance Hibernating page</title></html>"},
}
SYSTEMS = {
    "servicenow": ("records", "open_change"),
    "grafana": ("dashboards", "ensure_folder"),
    "backstage": ("catalogue", "ensure_registration"),
    "github_projects": ("board", "ensure_board"),
    "teams": ("messages", "send_welcome"),
}
OBJECTS = {"servicenow": 3, "grafana": 3, "backstage": 3, "github_projects": 3, "teams": 1}  # the welcome as well


CASES = [
    (system, outage)
    for system in SYSTEMS
    for outage in OUTAGES
    if system != "teams" or outage == "gone"  # otherwise nobody knows whether the message arrived: see below
]


@pytest.mark.long
@pytest.mark.parametrize(("system", "outage"), CASES)
def test_without_an_optional_system_the_application_runs_degraded_and_a_retry_heals_it(
    desk: Desk, system: str, outage: str
) -> None:
    name, (branch, step) = f"{system.replace('_', '-')}-{outage}", SYSTEMS[system]
    desk.fault(system=system, times=None, agent="appstore", **OUTAGES[outage])
    request_id, digest = desk.planned(name)
    desk.approve(request_id, digest)
    degraded = desk.wait(request_id, "degraded", seconds=180)
    assert degraded["problem"]["step"] == step
    assert system in degraded["problem"]["detail"]
    assert {item["state"] for item in degraded["steps"] if item["branch"] == branch} <= {"failed", "retrying"}
    assert len(degraded["result"]["missing"]) == OBJECTS[system]
    assert desk.stack.vendors.get(f"https://{name}.dev.apps.contoso.com/health").json()["application"] == name
    _require_told(
        desk, request_id, {"degraded": "failed", "welcome": "failed"} if system == "teams" else {"degraded": "sent"}
    )
    desk.heal()
    before = desk.position()
    assert desk.decide(request_id, "retry").status_code == 202
    healed = desk.wait(request_id, "succeeded", seconds=120)
    assert (healed["problem"], healed["result"]["missing"]) == (None, [])
    assert [entry for entry in desk.mutations(before) if name in entry["url"]] == []
    Estate(desk.stack).require_exactly_once(name, request_id)
    assert Estate(desk.stack).told(request_id) == {"welcome": 1} | ({} if system == "teams" else {"degraded": 1})


def _require_told(desk: Desk, request_id: str, wanted: dict[str, str]) -> None:
    """The degraded request has told so, or says that it could not."""

    def look() -> bool | None:
        told = {message["kind"]: message["state"] for message in desk.request(request_id)["messages"]}
        return told == wanted or None

    until(f"messages of {request_id}", look)


@pytest.mark.long
@pytest.mark.parametrize("outage", ["down", "nonsense"])
def test_a_message_that_may_have_arrived_is_said_to_be_unconfirmed(desk: Desk, outage: str) -> None:
    desk.fault(system="teams", times=None, agent="appstore", **OUTAGES[outage])
    request = desk.onboard(f"unconfirmed-{outage}")
    assert request["state"] == "succeeded", request["problem"]
    assert [(told["kind"], told["state"]) for told in request["messages"]] == [("welcome", "unconfirmed")]
    assert [item for item in request["result"]["missing"] if "welcome" in item]
    assert Estate(desk.stack).told(request["id"]) == {}
    desk.heal()
    again = desk.call("POST", f"requests/{request['id']}/messages/welcome/resend", "requester", {})
    assert again.status_code == 202, again.text
    _require_told(desk, request["id"], {"welcome": "sent"})
    assert Estate(desk.stack).told(request["id"]) == {"welcome": 1}


@pytest.mark.long
def test_azure_boards_keeps_the_board_instead(fresh_stack: Callable[..., Stack]) -> None:
    desk = Desk(fresh_stack("azure-boards", host_environment={"BOARD_SYSTEM": "azure_boards"}))
    request = desk.onboard("stories-api")
    assert request["state"] == "succeeded", request["problem"]
    assert (request["result"]["unplanned"], request["result"]["missing"]) == ([], [])
    made = team(desk.stack, "stories-api")
    assert made is not None
    assert f"appstore:{request['id']}" in made["description"]
    assert len(stories(desk.stack, f"stories-api-{request['id']}")) == 9
    assert projects(desk.stack, "stories-api") == []
    (board,) = [step["link"] for step in request["steps"] if step["name"] == "ensure_board"]
    page = desk.stack.vendors.get(board, headers={"Accept": "text/html"})
    assert (page.status_code, page.text.count("threat model")) == (200, 1)
    assert desk.decide(request["id"], "undo").status_code == 202
    assert desk.wait(request["id"], "undone", seconds=120)["problem"] is None
    assert team(desk.stack, "stories-api") is None
    assert stories(desk.stack, f"stories-api-{request['id']}") == []
    if check := contracts.load_check():
        contracts.require_documented(check, desk.stack.journal(), contracts.BEYOND | contracts.AZURE_BOARDS)
