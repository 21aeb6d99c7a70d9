"""Each step fails: once, and a retry goes on; for good, and undo takes all back; with nonsense, and nothing is done."""

import os
import random
import re
from collections.abc import Callable
from typing import Any

import pytest

from local.stack import Stack
from tests.e2e.driver import Desk, Document, body
from tests.e2e.estate import Estate

# The call by which a step has its effect, in the order of the flow.
STEPS: dict[str, dict[str, str]] = {
    "open_infrastructure_change": {"system": "github", "method": "POST", "path": "/infrastructure/pulls$"},
    "start_plan": {"system": "github", "method": "POST", "path": "iac.yml/dispatches$"},
    "ensure_repository": {"system": "github", "method": "POST", "path": "/orgs/contoso/repos$"},
    "set_content": {"system": "github", "method": "POST", "path": "/NAME/git/commits$"},
    "set_team_access": {"system": "github", "method": "PUT", "path": "/teams/payments/repos/contoso/NAME$"},
    "set_protection": {"system": "github", "method": "PUT", "path": "/NAME/branches/main/protection$"},
    "merge_infrastructure_change": {"system": "github", "method": "PUT", "path": "/merge$"},
    "read_apply_result": {"system": "arm", "method": "PUT", "path": "/vaults/kv-"},
    "ensure_namespace": {"system": "arm", "method": "PUT", "path": "/managedNamespaces/NAME-dev"},
    "ensure_federated_credential": {
        "system": "arm",
        "method": "PUT",
        "path": "/federatedIdentityCredentials/github-dev",
    },
    "ensure_environment": {"system": "github", "method": "PUT", "path": "/NAME/environments/dev$"},
    "start_deployment": {"system": "github", "method": "POST", "path": "ci.yml/dispatches$"},
}
APPROVED = list(STEPS)[2:]


def _fault(step: str, name: str, times: int | None) -> dict[str, Any]:
    where = {key: value.replace("NAME", name) for key, value in STEPS[step].items()}
    return {**where, "mode": "status", "status": 400, "times": times, "body": {"error": {"code": "Broken"}}}


def _created(desk: Desk, since: int, name: str) -> list[str]:
    """Successful creating calls of the flow, by URL; waiting and reading ones left out."""
    calls = [entry for entry in desk.mutations(since) if entry["fault"] is None and (entry["status"] or 500) < 300]
    creating = [
        entry for entry in calls if name in entry["url"] + str(entry["body"]) and entry["method"] in ("POST", "PUT")
    ]
    return [f"{entry['method']} {entry['url'].split('?')[0]} {_inputs(entry)}" for entry in creating]


def _inputs(entry: Document) -> str:
    sent = entry["body"] if isinstance(entry["body"], dict) else {}
    inputs = sent.get("inputs") or {}
    return str(inputs.get("run_id") or inputs.get("request_id") or sent.get("ref") or sent.get("name") or "")


def _drawn(names: list[str], count: int) -> list[str]:
    """Some of the steps, repeatable by the printed seed."""
    seed = int(os.environ.get("FAILURE_SEED", "0")) or random.SystemRandom().randrange(1, 10**6)
    chosen = random.Random(seed).sample(names, count)  # noqa: S311 - a drawn sample, repeatable by its seed
    print(f"\nfailure sample: seed {seed}: {', '.join(chosen)}")  # noqa: T201 - the proof
    return chosen


@pytest.mark.long
def test_some_steps_fail_once_and_a_retry_makes_no_earlier_call_again(desk: Desk) -> None:
    _fail_once(desk, "retried-api", _drawn(list(STEPS), 1))


@pytest.mark.long
def test_each_step_fails_once_and_a_retry_makes_no_earlier_call_again(desk: Desk) -> None:
    _fail_once(desk, "retried-all-api", sorted(STEPS))


def _fail_once(desk: Desk, name: str, steps: list[str]) -> None:
    """Each of these steps fails once and is retried."""
    before = desk.position()
    for step in steps:
        desk.fault(**_fault(step, name, 1))
    request_id, parked = desk.order(name), []
    for _ in range(3 * len(steps)):
        request = desk.wait(request_id, "parked", "awaiting_approval", "succeeded", seconds=120)
        if request["state"] == "succeeded":
            break
        if request["state"] == "awaiting_approval":
            desk.approve(request_id, request["plan"]["digest"])
            continue
        parked += [step["name"] for step in request["steps"] if step["state"] == "failed"]
        assert len(request["problem"]["detail"]) > 10
        assert desk.decide(request_id, "retry").status_code == 202
    assert request["state"] == "succeeded", request["problem"]
    assert set(parked) == set(steps), parked
    created = _created(desk, before, name)
    tree_and_commit = re.compile(r"/git/(trees|commits|blobs) ")
    repeated = {call for call in created if created.count(call) > 1 and not tree_and_commit.search(call)}
    assert not repeated, repeated
    Estate(desk.stack).repository(name)
    assert request["result"]["missing"] == []


def _undo_after_failure(desk: Desk, step: str) -> None:
    name = f"undo-{step.replace('_', '-')}"[:30].rstrip("-")
    estate = Estate(desk.stack)
    request_id, digest = desk.planned(name)
    desk.fault(**_fault(step, name, None))
    desk.approve(request_id, digest)
    parked = desk.wait(request_id, "parked", seconds=120)
    assert parked["problem"]["step"] == step
    desk.heal()
    assert desk.decide(request_id, "undo").status_code == 202
    undone = desk.wait(request_id, "undone", seconds=120)
    assert estate.tagged(request_id) == []
    assert estate.repository(name) is None
    assert [pull for pull in estate.pulls(name) if pull["state"] == "open"] == []
    assert undone["problem"] is None
    again = desk.order(name, key=f"again-{name}")
    desk.wait(again, "awaiting_approval")


@pytest.mark.long
@pytest.mark.timeout(600)
@pytest.mark.parametrize("step", APPROVED)
def test_undo_after_a_failure_at_each_step(desk: Desk, step: str) -> None:
    _undo_after_failure(desk, step)


NONSENSE = {"nothing": {}, "page": "<html><body>Sign in to continue</body></html>"}


@pytest.mark.long
@pytest.mark.parametrize("content", NONSENSE)
def test_a_vendor_that_answers_200_with_nonsense_is_never_believed(desk: Desk, content: str) -> None:
    name = f"nonsense-{content}"
    desk.fault(system="github", mode="body", status=200, body=NONSENSE[content], times=None, agent="appstore")
    request_id = desk.order(name)
    parked = desk.wait(request_id, "parked", seconds=120)
    assert [step for step in parked["steps"] if step["state"] == "done"] == []
    assert "not what the vendor documents" in parked["problem"]["detail"]
    desk.heal()
    assert desk.decide(request_id, "retry").status_code == 202
    planned = desk.wait(request_id, "awaiting_approval")
    done = {step["name"] for step in planned["steps"] if step["state"] == "done"}
    desk.fault(system="arm", mode="body", status=200, body=NONSENSE[content], times=None)
    desk.approve(request_id, planned["plan"]["digest"])
    parked = desk.wait(request_id, "parked", seconds=120)
    believed = {step["name"] for step in parked["steps"] if step["state"] == "done"} - done
    assert not believed & {"read_apply_result", "ensure_namespace", "ensure_federated_credential", "verify_health"}
    desk.heal()
    assert desk.decide(request_id, "undo").status_code == 202
    desk.wait(request_id, "undone", seconds=120)


@pytest.mark.long
def test_keys_and_secrets_that_are_nonsense_let_nothing_begin(fresh_stack: Callable[..., Stack]) -> None:
    """Sign-in keys, the app's own tokens and GitHub's key are asked for at the first use after a start."""
    desk = Desk(fresh_stack("nonsense", host_environment={"APPSTORE_RETRY_SECONDS": "0.2"}))
    for content in NONSENSE.values():
        desk.fault(system="entra", mode="body", status=200, body=content, times=None, agent="appstore")
        refused = desk.call("POST", "requests", "requester", body("keyless-api"), Idempotency_Key="keyless")
        assert (refused.status_code, refused.headers["content-type"]) == (503, "application/problem+json"), refused.text
        assert "entra id" in refused.json()["detail"]
        desk.heal()
    secret: Document = {"system": "key_vault", "mode": "body", "status": 200, "times": None, "agent": "appstore"}
    desk.fault(**secret, body=NONSENSE["nothing"])
    request_id = desk.order("keyless-api", key="keyless")
    _require_parked_at_the_vault(desk, request_id)
    desk.fault(**secret, body=NONSENSE["page"])
    assert desk.decide(request_id, "retry").status_code == 202
    _require_parked_at_the_vault(desk, request_id)
    assert desk.decide(request_id, "retry").status_code == 202
    desk.wait(request_id, "awaiting_approval")


def _require_parked_at_the_vault(desk: Desk, request_id: str) -> None:
    parked = desk.wait(request_id, "parked", seconds=120)
    assert [step for step in parked["steps"] if step["state"] == "done"] == []
    assert "key vault" in parked["problem"]["detail"]
    desk.heal()
