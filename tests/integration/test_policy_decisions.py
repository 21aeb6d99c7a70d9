"""By which rules a plan was allowed or denied is kept beside the request, once, whatever happens in between."""

import asyncio
import json
from collections import Counter
from typing import Any

import pytest
from azure.storage.blob.aio import BlobClient

from shared import approvers
from shared.canonical import canonical_json, digest, sha256_hex
from shared.clients import blobs
from shared.credential import credential
from shared.errors import RequestRejectedError
from shared.models.plan import EnvironmentPlan
from shared.models.policy_decision import About, PolicyDecision
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import SetPlan
from shared.register import audit, policy_decisions, requests
from shared.register.audit import Entry
from shared.rule_set import rules_revision
from shared.settings import load
from tests.integration.world import REQUESTER, World, caller, run_of
from tests.unit.rego_cases import plan_input
from triggers._http import Call
from triggers.http_requests import list_policy_decisions

SECRET = "hunter2-in-a-description"  # noqa: S105 - what must not be kept


async def _planning(world: World, action: str = "create", **vault: Any) -> tuple[RequestRecord, SetPlan]:
    """A request whose environment has been planned: the change set lies in the pipeline's storage."""
    record = await world.order(environments=["dev"], description=SECRET)
    change_set = _change_set(record, action, **vault)
    run_id = f"{record.id}-plan"
    settings = load(blobs.TerraformSettings)
    url = f"https://{settings.state_account}.blob.core.windows.net"
    place = f"{run_id}/changeset.json"
    async with BlobClient(url, settings.plans_container, place, credential=credential()) as blob:
        await blob.upload_blob(canonical_json(change_set), overwrite=True)
    plan = EnvironmentPlan(
        environment="dev",
        run_id=run_id,
        commit="0" * 40,
        pull_number=1,
        pull_url="https://github.com/contoso/infrastructure/pull/1",
        plan_sha256="0" * 64,
        changeset_digest=digest(change_set),
        summary=change_set["summary"],
        changes=[],
    )
    entry = Entry(f"{record.id}:planning", record.created_at, "test", "plan", record.id, "test")
    planning = {"state": RequestState.PLANNING}
    record = await requests.transition(
        record.application, record.id, lambda old: old.model_copy(update=planning), entry, expect=[record.state]
    )
    at = "2026-11-26T08:00:00Z"
    return record, SetPlan(run=run_of(record, "request"), round=record.round, environments=[plan], at=at)


def _change_set(record: RequestRecord, action: str, **vault: Any) -> dict[str, Any]:
    """What the module would plan for the request, its vault altered."""
    body, change_set = record.body, dict(plan_input()["changeSet"])
    tags = {
        "application": body.name,
        "owner-team": body.owner_team,
        "cost-center": body.cost_center,
        "data-classification": str(body.data_classification),
        "criticality": str(body.criticality),
    }
    for change in change_set["changes"]:
        change["after"].get("tags", {}).update(tags)
        if change["type"] == "azurerm_key_vault":
            change["after"].update(vault)
            change["action"] = action
    counts = Counter(change["action"] for change in change_set["changes"])
    change_set["summary"] = {name: counts[name] for name in change_set["summary"]}
    return change_set


def _call(record: RequestRecord, who: Any = REQUESTER) -> Call:
    client: Any = None
    return Call(who, {"id": record.id}, {}, {}, client, b"", f"/api/requests/{record.id}/policy-decisions")


async def _shown(record: RequestRecord) -> list[dict[str, Any]]:
    answer = await list_policy_decisions(_call(record))
    decisions: list[dict[str, Any]] = answer.document["decisions"]
    return decisions


async def test_what_denied_a_plan_is_kept_once_and_without_the_input(world: World) -> None:
    record, payload = await _planning(world, public_network_access_enabled=True)
    for _ in range(2):
        outcome = await world.run("set_plan", payload)
        assert outcome.problem
        assert outcome.problem.code == "policy-denied"
    shown = {item["package"]: item for item in await _shown(record)}
    assert len(await _shown(record)) == 3, "the request when it was taken in and with the plan, and the plan"
    plan = shown["appstore.plan"]
    assert plan["deny"] == ["PLN-004"]
    assert plan["revision"] == rules_revision()
    assert plan["engine"] == "regorus"
    assert plan["about"] == {"requestId": record.id, "application": record.application, "environment": "dev"}
    assert len(plan["inputDigest"]) == 64
    assert SECRET not in json.dumps(await _shown(record))


async def test_a_need_that_only_the_plan_shows_parks_what_nobody_could_approve(world: World) -> None:
    """The request alone needs an approver; the plan replaces a vault, and nobody who answers for that is left."""
    record, payload = await _planning(world, "replace")
    world.seed("entra", {"personas/admin": {"roles": ["Admin"], "teams": ["platform"], "enabled": False}})
    approvers._kept().good_until = 0
    try:
        outcome = await world.run("set_plan", payload)
        assert outcome.problem
        assert outcome.problem.code == "no-approver", outcome.problem
        assert "not enough people could approve by the rule security (" in outcome.problem.detail
        assert "Give membership in security or the role Admin to somebody else" in outcome.problem.detail
        assert outcome.problem.detail.endswith(" Then retry.")
        assert (await requests.get(record.application, record.id)).state is RequestState.PLANNING
    finally:
        world.seed("entra", {"personas/admin": {"roles": ["Admin"], "teams": ["platform"]}})
    approvers._kept().good_until = 0
    await world.value("set_plan", payload)
    waiting = await requests.get(record.application, record.id)
    assert waiting.plan
    assert {need["rule"] for need in waiting.plan.approvals} == {"platform", "security"}


async def test_what_allowed_a_plan_is_kept_and_its_rules_are_in_plan_and_trail(world: World) -> None:
    record, payload = await _planning(world)
    first = await world.value("set_plan", payload)
    kept = await _shown(record)
    packages = ["appstore.request", "appstore.request", "appstore.plan"]
    assert [(item["package"], item["deny"]) for item in kept] == [(package, []) for package in packages]
    assert await world.value("set_plan", payload) == first
    assert await _shown(record) == kept
    found = await requests.get(record.application, record.id)
    assert found.plan
    content = await blobs.read_document(found.plan.blob)
    assert sha256_hex(content) == found.plan.digest
    assert json.loads(content)["pins"]["rulesRevision"] == kept[0]["revision"] == rules_revision()
    trail = [entry for entry in await audit.of_application(record.application) if entry.action == "planned"]
    assert [f"allowed by the rules {rules_revision()[:12]}" in entry.detail for entry in trail] == [True]


async def test_the_same_decision_from_many_workers_is_one_row(world: World) -> None:
    record = await world.order()
    (taken_in,) = await policy_decisions.of_request(record.application, record.id)
    assert taken_in.about == About(request_id=record.id, application=record.application)
    about = About(request_id=record.id, application=record.application)
    decisions = [
        PolicyDecision(
            package=package, about=about, revision="r", input_digest="i", engine="regorus", duration_ms=n, at=f"{n}"
        )
        for n, package in enumerate(("appstore.request", "appstore.plan", "appstore.promotion"))
    ]
    writers = [policy_decisions.keep(record.application, decisions[: 1 + n % 3]) for n in range(12)]
    await asyncio.gather(*writers)
    later = decisions[0].model_copy(update={"at": "9", "duration_ms": 9.0})
    await policy_decisions.keep(record.application, [later])
    await policy_decisions.keep(record.application, [])
    assert await policy_decisions.of_request(record.application, record.id) == [*decisions, taken_in]
    other = decisions[0].model_copy(update={"deny": ("REQ-001",), "at": "9"})
    await policy_decisions.keep(record.application, [other])
    assert len(await policy_decisions.of_request(record.application, record.id)) == 5


async def test_strangers_do_not_see_them(world: World) -> None:
    record = await world.order()
    with pytest.raises(RequestRejectedError, match="no request"):
        await list_policy_decisions(_call(record, caller("stranger", "Requester", teams=("web",))))
    assert (await list_policy_decisions(_call(record, caller("auditor", "Auditor")))).status == 200
