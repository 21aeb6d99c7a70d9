import httpx
import pytest

from tests.e2e import contracts
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import SUBSCRIPTION, TAG, Estate
from tests.e2e.operations import require_commanded, require_operable

HOSTILE = '${file("/etc/passwd")} [[ 7*7 ]] ${{ github.token }} {{ .Values }} <!everyone>\nsecond line'


def test_a_request_becomes_a_running_service_and_undo_leaves_nothing(desk: Desk) -> None:
    began = desk.position()
    request = desk.onboard("whole-api", description=HOSTILE)
    assert request["state"] == "succeeded", request["problem"]
    result = request["result"]
    assert result["planned"] == result["made"] > 20
    assert (result["unplanned"], result["missing"]) == ([], [])
    estate = Estate(desk.stack)
    estate.require_exactly_once("whole-api", request["id"])
    health = desk.stack.vendors.get("https://whole-api.dev.apps.contoso.com/health")
    assert health.json()["application"] == "whole-api"
    _require_welcome(estate, request)
    _require_way_around(desk, request)
    _require_idempotent(desk, request["id"])
    require_operable(desk, estate, request)
    require_commanded(desk, request["application"])
    _require_undo(desk, estate, request["id"])
    _require_told(desk, estate, request["id"])
    if check := contracts.load_check():
        count = contracts.require_documented(check, desk.stack.journal(began))
        print(f"\n{count} calls, each as its vendor documents it")  # noqa: T201 - the proof
    again = desk.order("whole-api", key="whole-again", description=HOSTILE)
    desk.wait(again, "awaiting_approval")


def _require_welcome(estate: Estate, request: Document) -> None:
    """One message, with what is needed and every link; what somebody typed is text and nothing else."""
    assert estate.told(request["id"]) == {"welcome": 1}
    assert [(told["kind"], told["state"]) for told in request["messages"]] == [("welcome", "sent")]
    (message,) = [item["card"] for item in estate.channel() if request["id"] in str(item)]
    titles = {action["title"] for action in message["actions"]}
    assert titles == {"Service dev", "Repository", "Board", "Dashboards", "Change request", "Catalogue entry"}
    assert HOSTILE in [run["text"] for block in message["body"] for run in block["inlines"]]
    _require_pages(estate, request, [action["url"] for action in message["actions"]])


def _require_way_around(desk: Desk, request: Document) -> None:
    """From the application its owners reach everything that is told of it."""
    links = desk.call("GET", f"applications/{request['application']}", "requester").json()["links"]
    assert set(links) == {"self", "request", "operations", "promotions", "secrets", "backups", "drift", "costs"}
    answers = {topic: desk.call("GET", link.partition("/api/")[2], "requester") for topic, link in links.items()}
    assert {topic: answer.status_code for topic, answer in answers.items()} == dict.fromkeys(links, 200)


def _require_pages(estate: Estate, request: Document, told: list[str]) -> None:
    """Whoever follows a link, of the welcome or of a step, sees what it promises."""
    links = {*told, *(step["link"] for step in request["steps"] if step.get("link"))}
    assert links > set(told)
    pages = {link: estate.stack.vendors.get(link, headers={"Accept": "text/html"}) for link in links}
    assert {link: page.status_code for link, page in pages.items() if page.status_code != 200} == {}
    assert [link for link, page in pages.items() if request["application"] not in page.text] == []


def _require_told(desk: Desk, estate: Estate, request_id: str) -> None:
    """The undo is told once, and so is what it left."""

    def look() -> Document | None:
        document = desk.request(request_id)
        told = {message["kind"]: message["state"] for message in document["messages"]}
        return document if told == dict.fromkeys(("welcome", "undone", "residue"), "sent") else None

    until("everything was told", look)
    assert estate.told(request_id) == {"welcome": 1, "undone": 1, "residue": 1}


def _require_idempotent(desk: Desk, request_id: str) -> None:
    before = desk.position()
    assert desk.order("whole-api", description=HOSTILE) == request_id
    assert desk.request(request_id)["state"] == "succeeded"
    assert desk.mutations(before) == []
    assert [entry for entry in desk.stack.journal(before) if entry["mutating"] and "graphql" in entry["url"]] == []


def _require_undo(desk: Desk, estate: Estate, request_id: str) -> None:
    assert desk.decide(request_id, "undo").status_code == 202
    request = desk.wait(request_id, "undone", seconds=120)
    assert estate.tagged(request_id) == []
    assert estate.repository("whole-api") is None
    assert estate.board("whole-api") == ([], [])
    _require_records_closed(estate, request)
    assert desk.call("GET", "applications/whole-api", "admin").status_code == 404
    tree = estate.github("/repos/contoso/infrastructure/git/trees/main?recursive=1")["tree"]
    assert not [item for item in tree if item["path"].startswith("apps/whole-api/")]
    with pytest.raises(httpx.HTTPStatusError):
        desk.stack.vendors.get("https://whole-api.dev.apps.contoso.com/health").raise_for_status()
    assert request["problem"] is None


def _require_records_closed(estate: Estate, request: Document) -> None:
    """What an ITSM and a CMDB keep is residue, and not alive."""
    kept = {(item["type"], item["name"]) for item in request["residue"] if item["system"] == "servicenow"}
    (change,) = estate.rows("change_request", f"correlation_id={request['id']}")
    assert kept == {("change request", change["number"]), ("configuration item", "whole-api")}
    assert [item["operational_status"] for item in estate.items("whole-api")] == ["6"]
    assert estate.folder(request["id"]) is None
    assert estate.locations("whole-api") == 0
    tasks = [item["type"] for item in request["residue"] if item["system"] == "backstage-template"]
    assert tasks == ["scaffolder task"]


@pytest.mark.long
def test_what_somebody_else_made_after_the_approval_is_a_conflict_and_stays(desk: Desk) -> None:
    request_id, digest = desk.planned("foreign-api")
    estate = Estate(desk.stack)
    stranger = {"name": "foreign-api", "visibility": "internal", "auto_init": True}
    headers = estate._github
    assert (
        desk.stack.vendors.post("https://api.github.com/orgs/contoso/repos", json=stranger, headers=headers).status_code
        == 201
    )
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-platform-dns"
    zone = f"{group}/providers/Microsoft.Network/dnsZones/dev.apps.contoso.com"
    record = f"https://management.azure.com{zone}/CNAME/foreign-api?api-version=2018-05-01"
    body = {"properties": {"TTL": 60, "CNAMERecord": {"cname": "elsewhere.example.com"}}}
    assert desk.stack.vendors.put(record, json=body, headers=estate._azure).status_code in (200, 201)
    desk.approve(request_id, digest)
    parked = desk.wait(request_id, "parked")
    failed = {step["name"]: step["problem"]["detail"] for step in parked["steps"] if step["state"] == "failed"}
    assert "not made by this request" in failed["ensure_repository"]
    assert "already exists" in failed["read_apply_result"]
    assert desk.decide(request_id, "undo").status_code == 202
    desk.wait(request_id, "undone", seconds=120)
    assert estate.tagged(request_id) == []
    repository = estate.repository("foreign-api")
    assert repository is not None
    assert TAG not in repository.get("custom_properties", {})
    kept = desk.stack.vendors.get(record, headers=estate._azure).json()
    assert kept["properties"]["CNAMERecord"]["cname"] == "elsewhere.example.com"


def test_the_contract_check_finds_what_is_wrong() -> None:
    check = contracts.load_check()
    if check is None:
        pytest.skip(f"the vendors' contracts are not at {contracts.FOLDER}: the whole run was not held against them")
    url = "https://api.github.com/orgs/contoso/repos"
    good = {"method": "POST", "url": url, "agent": "x", "content_type": "application/json", "body": {"name": "a"}}
    assert contracts.complaints(check, good) == []
    changes: list[Document] = [{"method": "PUT"}, {"url": f"{url}x"}, {"body": {}}, {"body": {"name": 1}}]
    for change in changes:
        assert contracts.complaints(check, good | change), change
    documents = {"query": "{ viewer { login } }"}, {"query": "{ viewer { nickname } }"}
    found = [
        contracts.complaints(check, good | {"url": "https://api.github.com/graphql", "body": body})
        for body in documents
    ]
    assert [len(each) for each in found] == [0, 1]
