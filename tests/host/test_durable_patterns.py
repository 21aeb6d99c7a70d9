"""Every durable pattern, on a real host, mostly through the SDK's own client."""

import uuid
from collections.abc import Callable
from typing import Any

import pytest

DURABLE = "/runtime/webhooks/durabletask"


def unique(prefix: str = "t") -> str:
    return f"{prefix}-{uuid.uuid4().hex[:8]}"


@pytest.mark.parametrize(
    ("name", "payload", "output"),
    [
        ("chain", 2, 5),
        ("fan", None, 55),
        ("parent", None, [3, 4, 5, 103]),
        ("retry_in_vain", None, 42),
        ("eternal", 0, 5),
    ],
)
def test_pattern(patterns: Any, name: str, payload: Any, output: Any) -> None:
    done = patterns.outcome(patterns.orchestrate(name, payload))
    assert (done["runtimeStatus"], done["output"]) == ("Completed", output)


def test_ids_may_carry_colons(patterns: Any) -> None:
    instance = f"{unique('req')}:onboard:1"
    assert patterns.orchestrate("parent", None, instance) == instance
    patterns.outcome(instance)
    children = patterns.get(f"{DURABLE}/instances?instanceIdPrefix={instance}:child:").json()
    assert [child["output"] for child in children] == [3, 4, 5]


def test_failed_activity_fails_the_orchestration_with_its_text(patterns: Any) -> None:
    done = patterns.outcome(patterns.orchestrate("failing", "boom"))
    assert done["runtimeStatus"] == "Failed"
    assert done["output"].startswith("Orchestrator function 'failing' failed: ")
    assert "Activity function 'fail' failed:  ValueError: boom" in done["output"]


def test_failed_child_reaches_its_parent_as_an_exception(patterns: Any) -> None:
    done = patterns.outcome(patterns.orchestrate("failing_child"))
    assert done["runtimeStatus"] == "Completed"
    assert "ValueError: deep" in done["output"]


def test_retry_runs_again_until_it_works(patterns: Any) -> None:
    assert patterns.outcome(patterns.orchestrate("retrying", unique()))["output"] == 3


def test_durable_timers_advance_the_orchestrators_clock(patterns: Any) -> None:
    assert 0.4 <= patterns.outcome(patterns.orchestrate("timer_chain"))["output"] < 5


def test_approval_by_event_and_by_deadline(patterns: Any, eventually: Callable[..., None]) -> None:
    approved, expired = patterns.orchestrate("approval", 60), patterns.orchestrate("approval", 0.3)
    eventually(lambda: patterns.status(approved)["customStatus"] == {"waiting": "decision"})
    assert patterns.control(approved, "raiseEvent/decision", json={"by": "ann"}) == 202
    assert patterns.outcome(approved)["output"] == {"by": "ann"}
    assert patterns.outcome(expired)["output"] == "expired"


def test_event_through_the_sdk_arrives_as_json_text(patterns: Any) -> None:
    instance = patterns.orchestrate("approval", 60)
    assert patterns.post(f"/api/client/raise/{instance}?event=decision", json={"a": 1}).status_code == 202
    assert patterns.outcome(instance)["output"] == '{"a": 1}'


def test_early_events_wait_for_their_waiter(patterns: Any) -> None:
    instance = patterns.orchestrate("two_events")
    for name, value in (("two", 2), ("one", 1), ("never", 0)):
        assert patterns.control(instance, f"raiseEvent/{name}", json=value) == 202
    (patterns.folder / f"{instance}.open").touch()
    assert patterns.outcome(instance)["output"] == [1, 2]


def test_duplicate_events_each_wake_once(patterns: Any, eventually: Callable[..., None]) -> None:
    instance = patterns.orchestrate("hint")
    for count, value in enumerate(("x", "x", "done"), 1):
        patterns.control(instance, "raiseEvent/wake", json=value)
        if value != "done":
            eventually(lambda seen=count: patterns.status(instance)["customStatus"] == seen)
    assert patterns.outcome(instance)["output"] == 3


def test_a_burst_of_duplicate_events_does_no_harm(patterns: Any) -> None:
    instance = patterns.orchestrate("hint")
    for value in ("x", "x", "x", "done"):
        patterns.control(instance, "raiseEvent/wake", json=value)
    assert patterns.outcome(instance)["runtimeStatus"] == "Completed"


def test_terminate_suspend_resume(patterns: Any, eventually: Callable[..., None]) -> None:
    instance = patterns.orchestrate("approval", 60)
    assert patterns.post(f"/api/client/suspend/{instance}").status_code == 202
    eventually(lambda: patterns.status(instance)["runtimeStatus"] == "Suspended")
    assert patterns.control(instance, "suspend") == 500
    assert patterns.control(instance, "raiseEvent/decision", json="yes") == 202
    assert patterns.status(instance)["runtimeStatus"] == "Suspended"
    assert patterns.post(f"/api/client/resume/{instance}").status_code == 202
    assert patterns.outcome(instance)["output"] == "yes"
    other = patterns.orchestrate("approval", 60)
    assert patterns.post(f"/api/client/terminate/{other}").status_code == 202
    done = patterns.outcome(other)
    assert (done["runtimeStatus"], done["output"]) == ("Terminated", "because")
    assert patterns.control(other, "raiseEvent/decision", json=1) == 410
    assert patterns.control(other, "terminate") == 410


def test_purge_removes_finished_instances_only(patterns: Any) -> None:
    running, done = patterns.orchestrate("approval", 60), patterns.orchestrate("chain")
    patterns.outcome(done)
    assert patterns.post(f"/api/client/purge/{done}").text == "1"
    assert patterns.get(f"{DURABLE}/instances/{done}").status_code == 404
    assert patterns.post(f"/api/client/status/{done}").text == "None"
    assert patterns.request("DELETE", f"{DURABLE}/instances/{running}").status_code == 404
    assert patterns.status(running)["runtimeStatus"] in ("Pending", "Running")
    assert patterns.request("DELETE", f"{DURABLE}/instances").status_code == 400
    for _ in range(2):
        patterns.outcome(patterns.orchestrate("chain"))
    answer = patterns.request("DELETE", f"{DURABLE}/instances?createdTimeFrom=2020-01-01T00:00:00Z")
    assert answer.json()["instancesDeleted"] >= 2
    patterns.control(running, "terminate")


def test_a_running_id_is_refused_and_a_finished_one_starts_again(patterns: Any) -> None:
    instance = patterns.orchestrate("approval", 60, unique())
    refused = patterns.post(f"/api/start/approval/{instance}", json=1)
    assert refused.status_code == 409
    assert "already exists" in refused.text
    direct = patterns.post(f"{DURABLE}/orchestrators/approval/{instance}", json={})
    assert direct.status_code == 500
    assert "already exists" in direct.json()["ExceptionMessage"]
    patterns.control(instance, "raiseEvent/decision", json=1)
    patterns.outcome(instance)
    patterns.orchestrate("chain", 1, instance)
    assert patterns.outcome(instance)["output"] == 4


def test_start_through_the_http_api(patterns: Any) -> None:
    answer = patterns.post(f"{DURABLE}/orchestrators/approval?code=any", json={"x": 1})
    assert answer.status_code == 202
    assert answer.headers["Retry-After"] == "10"
    assert answer.headers["Location"] == answer.json()["statusQueryGetUri"]
    assert answer.headers["Location"].startswith(patterns.url)
    assert patterns.post(f"{DURABLE}/orchestrators/approval", content=b"{").status_code == 400
    unknown = patterns.post(f"{DURABLE}/orchestrators/nobody")
    assert unknown.status_code == 400
    assert "known orchestrator functions" in unknown.json()["ExceptionMessage"]
    assert patterns.post(f"{DURABLE}/orchestrators/chain/bad%23id").status_code == 400
    waited = patterns.post(f"{DURABLE}/orchestrators/chain?timeout=10&pollingInterval=1", json="1")
    assert (waited.status_code, waited.json()) == (200, 4)


def test_status_query_and_paging(patterns: Any) -> None:
    prefix = unique()
    instances = [patterns.orchestrate("chain", n, f"{prefix}:{n}") for n in range(3)]
    for instance in instances:
        patterns.outcome(instance)
    query = f"{DURABLE}/instances?instanceIdPrefix={prefix}&runtimeStatus=Completed,Failed&top=2"
    page = patterns.get(query)
    token = page.headers["x-ms-continuation-token"]
    rest = patterns.get(query, headers={"x-ms-continuation-token": token})
    assert [i["instanceId"] for i in page.json() + rest.json()] == instances
    assert rest.headers["x-ms-continuation-token"] == ""
    assert patterns.get(f"{DURABLE}/instances?instanceIdPrefix={prefix}&runtimeStatus=Failed").json() == []


def test_history_is_shown_on_request(patterns: Any) -> None:
    instance = patterns.orchestrate("chain", 7)
    patterns.outcome(instance)
    assert "historyEvents" not in patterns.status(instance)
    events = patterns.status(instance, "?showHistory=true&showHistoryOutput=true")["historyEvents"]
    kinds = [item["EventType"] for item in events]
    assert kinds == ["ExecutionStarted", *["TaskCompleted"] * 3, "ExecutionCompleted"]
    assert [item["Result"] for item in events[1:]] == [8, 9, 10, 10]
    assert events[1]["FunctionName"] == "add_one"


@pytest.mark.parametrize(
    ("name", "sentence"),
    [
        ("unknown_activity", "The function 'nobody' doesn't exist"),
        ("entity_call", "The durable call call_entity is not implemented by this local host"),
        ("http_call", "The durable call call_http is not implemented by this local host"),
    ],
)
def test_what_the_host_cannot_do_fails_by_name(patterns: Any, name: str, sentence: str) -> None:
    done = patterns.outcome(patterns.orchestrate(name))
    assert done["runtimeStatus"] == "Failed"
    assert sentence in done["output"]


@pytest.mark.parametrize("path", ["entities/counter/one", "instances/{}/rewind", "instances/{}/restart"])
def test_operations_not_implemented_are_refused_by_name(patterns: Any, path: str) -> None:
    instance = patterns.orchestrate("chain")
    answer = patterns.post(f"{DURABLE}/{path.format(instance)}")
    assert answer.status_code == 501
    assert "not implemented by this local host" in answer.json()["Message"]


def test_blocking_activities_do_not_freeze_the_host(patterns: Any) -> None:
    """Twenty sync activities fill the worker's pool; the durable API and ping still answer at once."""
    instance = patterns.orchestrate("blocked", 0.4)
    slowest = max(
        response.elapsed.total_seconds()
        for response in (
            patterns.get("/admin/host/ping"),
            patterns.get(f"{DURABLE}/instances/{instance}"),
            patterns.post(f"{DURABLE}/orchestrators/chain", json={}),
        )
    )
    assert patterns.status(instance)["runtimeStatus"] != "Completed"
    assert slowest < 0.5
    assert patterns.outcome(instance)["output"] == 20


def test_results_of_an_earlier_execution_are_fenced_off(patterns: Any, eventually: Callable[..., None]) -> None:
    """The id was terminated and started again: the old activity ends later and must not answer the new task."""
    instance, old, new = unique(), unique("old"), unique("new")
    for door in (old, new):
        patterns.orchestrate("gated", door, instance)
        eventually(lambda name=door: (patterns.folder / f"{name}.began").exists())
        if door == old:
            patterns.control(instance, "terminate")
            patterns.outcome(instance)
    (patterns.folder / f"{old}.open").touch()
    eventually(lambda: patterns.log().count("Executed 'Functions.gate'") > 0)
    assert patterns.orchestrate("chain", 1)
    assert patterns.status(instance)["runtimeStatus"] == "Running"
    (patterns.folder / f"{new}.open").touch()
    assert patterns.outcome(instance)["output"] == new
