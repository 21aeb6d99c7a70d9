import hashlib
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from tests.e2e.driver import Desk, body, until

JSON = {"Content-Type": "application/json"}


def test_a_preview_writes_nothing_and_says_what_it_costs(desk: Desk) -> None:
    before = desk.position()
    answer = desk.call("POST", "requests/preview", "requester", body("preview-api"))
    assert answer.status_code == 200, answer.text
    preview = answer.json()
    assert preview["kind"] == "estimate"
    assert 20 < float(preview["estimate"]["monthly"]) < 500
    assert len(preview["changes"]) >= 20
    assert [need["rule"] for need in preview["approvals"]] == ["platform"]
    told = [entry for entry in desk.stack.journal(before) if "preview-api" in f"{entry['url']} {entry['body']}"]
    assert told == []
    assert desk.call("GET", "applications/preview-api", "admin").status_code == 404


def test_fifty_identical_posts_are_one_operation(desk: Desk) -> None:
    headers = desk.stack.bearer("requester") | {"Idempotency-Key": "fifty"}

    def post(_number: int) -> httpx.Response:
        return httpx.post(
            f"{desk.stack.host_url}/api/requests", json=body("fifty-api"), headers=headers, timeout=60, trust_env=False
        )

    with ThreadPoolExecutor(50) as pool:
        answers = list(pool.map(post, range(50)))
    assert {answer.status_code for answer in answers} == {202}
    assert len({answer.json()["id"] for answer in answers}) == 1
    request_id = answers[0].json()["id"]
    listed = desk.call("GET", "requests?application=fifty-api", "operator").json()["requests"]
    assert [item["id"] for item in listed] == [request_id]
    desk.wait(request_id, "awaiting_approval")
    opened = [
        entry for entry in desk.mutations() if entry["url"].endswith("/pulls") and "fifty-api" in str(entry["body"])
    ]
    assert len(opened) == 1


def test_a_key_stands_for_one_body(desk: Desk) -> None:
    request_id = desk.order("keyed-api", key="keyed")
    assert desk.order("keyed-api", key="keyed") == request_id
    other = desk.call("POST", "requests", "requester", body("keyed-api", criticality="low"), Idempotency_Key="keyed")
    assert other.status_code == 409
    assert request_id in other.json()["detail"]
    stranger = desk.call("POST", "requests", "admin", body("keyed-two"), Idempotency_Key="keyed")
    assert stranger.status_code == 202, stranger.text


def test_a_taken_name_is_refused_at_once(desk: Desk) -> None:
    desk.order("taken-api", key="first")
    again = desk.call("POST", "requests", "requester", body("taken-api"), Idempotency_Key="second")
    assert again.status_code == 409
    assert again.json()["pointer"] == "/name"
    assert again.headers["content-type"].startswith("application/problem+json")


@pytest.mark.parametrize(
    ("changes", "status", "pointer"),
    [
        ({"name": "Payments"}, 422, "/name"),
        ({"name": "a--b"}, 422, "/name"),
        ({"archetype": "nothing"}, 422, "/archetype"),
        ({"ownerTeam": "nobody"}, 422, "/ownerTeam"),
        ({"ownerTeam": "web"}, 403, "/ownerTeam"),
        ({"environments": ["dev", "dev"]}, 422, "/environments"),
        ({"environments": []}, 422, "/environments"),
        ({"region": "northeurope", "dataClassification": "confidential"}, 422, None),
        ({"parameters": {"database": "oracle"}}, 422, "/parameters/database"),
        ({"parameters": {"unknown": 1}}, 422, "/parameters"),
        ({"monthlyBudget": -1}, 422, "/monthlyBudget"),
        ({"description": "\u0000"}, 422, "/description"),
        ({"surprise": 1}, 422, "/surprise"),
    ],
)
def test_a_bad_field_is_named(desk: Desk, changes: dict[str, object], status: int, pointer: str | None) -> None:
    for path in ("requests/preview", "requests"):
        answer = desk.call("POST", path, "requester", body("named-api") | changes, Idempotency_Key="named")
        assert answer.status_code == status, answer.text
        assert answer.json().get("pointer") == pointer or pointer is None
        assert len(answer.json()["detail"]) > 10


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b'{"name": "a", "name": "b"}', "application/json", 400),
        (b'{"monthlyBudget": NaN}', "application/json", 400),
        (b"[" * 2000 + b"]" * 2000, "application/json", 400),
        (b'{"description": "\\ud800"}', "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"{}", "text/plain", 415),
        (b"[]", "application/json", 422),
        (b'"' + b"a" * 300_000 + b'"', "application/json", 413),
        (b"", "application/json", 400),
    ],
)
def test_hostile_bodies_get_a_clear_4xx(desk: Desk, content: bytes, kind: str, status: int) -> None:
    headers = desk.stack.bearer("requester") | {"Content-Type": kind, "Idempotency-Key": "hostile"}
    for path in ("requests/preview", "requests"):
        answer = desk.stack.api.post(f"/api/{path}", content=content, headers=headers)
        assert answer.status_code == status, answer.text
        assert answer.json()["detail"]


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "nothing", 404),
        ("DELETE", "requests", 405),
        ("PUT", "requests/req-1/approve", 405),
        ("GET", "requests/req-ffffffffffff", 404),
        ("GET", "requests/%27%20or%201%20eq%201", 404),
        ("GET", "archetypes/nothing", 404),
        ("GET", "applications/nothing", 404),
    ],
)
def test_what_does_not_exist_is_said_in_words(desk: Desk, method: str, path: str, status: int) -> None:
    answer = desk.call(method, path, "operator")
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"].startswith("application/problem+json")
    assert (answer.headers.get("allow") is not None) is (status == 405)


@pytest.mark.parametrize("token", [None, "Bearer nonsense", "Bearer a.b.c", "Basic YTpi"])
def test_nobody_gets_in_without_a_token_of_our_tenant(desk: Desk, token: str | None) -> None:
    headers = {"Authorization": token} if token else {}
    principal = {"X-MS-CLIENT-PRINCIPAL": "eyJjbGFpbXMiOltdfQ=="}
    for given in (headers, headers | principal):
        answer = desk.stack.api.get("/api/requests", headers=given)
        assert answer.status_code == 401, answer.text
        assert answer.headers["www-authenticate"] == "Bearer"


def test_only_the_plan_that_was_shown_can_be_approved_and_not_by_the_requester(desk: Desk) -> None:
    request_id, digest = desk.planned("approve-api")
    plan = desk.call("GET", f"requests/{request_id}/plan", "approver")
    assert hashlib.sha256(plan.content).hexdigest() == digest
    assert desk.decide(request_id, "approve", "requester", planDigest=digest).status_code == 403
    assert desk.decide(request_id, "approve", "auditor", planDigest=digest).status_code == 403
    wrong = desk.decide(request_id, "approve", "approver", planDigest="0" * 64)
    assert wrong.status_code == 409
    assert digest[:12] in wrong.json()["detail"]
    assert desk.request(request_id)["state"] == "awaiting_approval"


def test_a_rejected_request_leaves_nothing_and_frees_the_name(desk: Desk) -> None:
    request_id, _ = desk.planned("rejected-api")
    assert desk.decide(request_id, "reject", "approver", reason="not now").status_code == 202
    until("the name is free", lambda: desk.call("GET", "applications/rejected-api", "admin").status_code == 404 or None)
    record = desk.request(request_id)
    assert record["state"] == "rejected"
    assert record["decisions"][-1]["reason"] == "not now"
    assert desk.decide(request_id, "approve", "approver", planDigest="0" * 64).status_code == 409
    assert desk.order("rejected-api", key="again") != request_id


def test_the_catalogue_shows_what_the_caller_may_order(desk: Desk) -> None:
    shown = desk.call("GET", "archetypes", "requester").json()["archetypes"]
    assert "api" in [item["id"] for item in shown]
    assert desk.call("GET", "archetypes/api", "auditor").status_code == 404
    document = desk.stack.api.get("/api/openapi.json").json()
    assert document["openapi"] == "3.1.0"
    assert "/api/requests/{id}/approve" in document["paths"]


def test_health_names_the_vendors(desk: Desk) -> None:
    answer = desk.stack.api.get("/api/health")
    assert answer.status_code == 200, answer.text
    assert answer.json()["configuration"] == []
    assert desk.stack.api.get("/api/health/live").status_code == 200
