"""An environment by a deployment stack: planned, judged, applied, found stale, and removed, at least once each."""

import asyncio
import importlib
import json
import warnings
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from shared.clients import blobs
from shared.errors import RequestRejectedError
from shared.models.plan import EnvironmentPlan
from shared.models.records import RequestRecord
from shared.models.runs import (
    ComparePlans,
    IacRun,
    InfrastructureChange,
    OpenInfrastructureChange,
    PipelineRun,
    ReadApplyResult,
    ReadPipelineRun,
    ReadPlanResult,
)
from shared.models.undo import DestroyResult
from tests.integration.scenes import vault_topic_in
from tests.integration.world import SUBSCRIPTION, TAG, TENANT, World, run_of
from tests.sdk_models import complaints

NORTH = {"region": "northeurope"}
NOTHING = {"database": "none", "publicEndpoint": True}
_ALL_AWAY = {
    "unmanage_action_resources": "delete",
    "unmanage_action_resource_groups": "delete",
    "unmanage_action_management_groups": "detach",
}
SDK = "azure.mgmt.resource.deploymentstacks.operations._operations"
# How Microsoft's SDK asks: (method, kind, whether it asks for the changes) -> who builds the request.
BUILDERS: dict[tuple[str, str, bool], tuple[str, dict[str, str]]] = {
    ("GET", "stack", False): ("stacks_get_at_subscription", {}),
    ("PUT", "stack", False): ("stacks_create_or_update_at_subscription", {}),
    ("DELETE", "stack", False): ("stacks_delete_at_subscription", _ALL_AWAY),
    ("GET", "what_if", False): ("stacks_what_if_results_at_subscription_get", {}),
    ("PUT", "what_if", False): ("stacks_what_if_results_at_subscription_create_or_update", {}),
    ("POST", "what_if", True): ("stacks_what_if_results_at_subscription_what_if", {}),
}
LOST: dict[str, dict[str, Any]] = {
    "commit-then-500": {"mode": "status_after", "status": 500, "headers": {"Retry-After": "30"}},
    "timeout-after-commit": {"mode": "drop_after"},
}


class Environment:
    """One environment of one request, and its steps as the orchestrators call them."""

    def __init__(self, world: World, record: RequestRecord) -> None:
        self.world, self.record = world, record
        self.run = run_of(record, "plan", "dev")
        self.stack = f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.Resources/deploymentStacks/"
        self.stack += f"appstore-{record.application}-dev"
        self.group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{record.application}-dev"

    async def propose(self) -> InfrastructureChange:
        payload = OpenInfrastructureChange(run=self.run, round=1)
        return InfrastructureChange.model_validate(await self.world.value("open_infrastructure_change", payload))

    def iac(self, action: str, change: InfrastructureChange, number: str = "1.1", **more: str) -> IacRun:
        undo = action.startswith("destroy")
        run = run_of(self.record, "undo" if undo else "environment", "dev", undo=undo)
        name = f"{self.record.id}-dev-{action}-{number}"
        return IacRun(run=run, run_id=name, action=action, commit=change.commit, **more)

    async def follow(self, started: dict[str, Any]) -> PipelineRun:
        look = ReadPipelineRun(run=self.run, place=PipelineRun.model_validate(started).place)
        for _ in range(200):
            current = PipelineRun.model_validate(await self.world.value("read_pipeline_run", look))
            if current.status == "completed":
                return current
            await asyncio.sleep(0.05)
        raise AssertionError("the run does not end")

    async def plan(self, change: InfrastructureChange, number: str = "1.1") -> EnvironmentPlan:
        iac = self.iac("plan", change, number)
        ended = await self.follow(await self.world.value("start_plan", iac))
        read = ReadPlanResult(run=iac.run, run_id=iac.run_id, round=1, change=change, pipeline=ended)
        return EnvironmentPlan.model_validate((await self.world.value("read_plan_result", read))["plan"])

    def applying(self, change: InfrastructureChange, plan: EnvironmentPlan, number: str = "1.1") -> IacRun:
        return self.iac("apply", change, number, plan_run_id=plan.run_id, plan_sha256=plan.plan_sha256)

    async def applied(self, iac: IacRun, plan: EnvironmentPlan, started: dict[str, Any]) -> dict[str, Any]:
        ended = await self.follow(started)
        read = ReadApplyResult(run=iac.run, run_id=iac.run_id, plan=plan, approved=plan, pipeline=ended)
        return await self.world.value("read_apply_result", read)

    async def change_set(self, plan: EnvironmentPlan) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(await blobs.read_document(f"change-sets/{plan.run_id}.json"))
        return document

    def there(self, path: str) -> Any:
        version = "2025-07-01" if "deploymentStacks" in path else "2025-04-01"
        return self.world.azure(path, version)


async def _environment(world: World, **changes: Any) -> Environment:
    return Environment(world, await world.order(**NORTH, **changes))


async def test_planned_applied_and_removed(world: World) -> None:
    here = await _environment(world)
    change = await here.propose()
    plan = await here.plan(change)
    document = await here.change_set(plan)
    uncertain = [item for item in document["changes"] if item["certainty"] != "definite"]
    assert [item["type"] for item in uncertain] == ["azurerm_postgresql_flexible_server_active_directory_administrator"]
    assert plan.engine == "deployment_stack"
    iac = here.applying(change, plan)
    made = await here.applied(iac, plan, await world.value("start_apply", iac))
    assert {"identity_client_id", "key_vault_uri", "database_host", "cluster_id"} <= made["outputs"].keys()
    again = await here.change_set(await here.plan(change, "1.2"))
    assert {item["action"] for item in again["changes"] if item["certainty"] == "definite"} == {"noop"}
    planning = here.iac("destroy-plan", change)
    ended = await here.follow(await world.value("start_destroy_plan", planning))
    read = DestroyResult(run=planning.run, run_id=planning.run_id, pipeline=ended)
    digest = (await world.value("read_destroy_plan", read))["planSha256"]
    destroying = here.iac("destroy", change, plan_run_id=planning.run_id, plan_sha256=digest)
    started = await world.value("start_destroy", destroying)
    await world.forget("start_destroy", destroying)
    await world.value("start_destroy", destroying)
    ended = await here.follow(started)
    result = DestroyResult(run=destroying.run, run_id=destroying.run_id, pipeline=ended, plan_sha256=digest)
    gone = await world.value("read_destroy_result", result)
    assert [item["type"] for item in gone["residue"]] == ["soft-deleted Key Vault"]
    assert here.there(here.group) is None


EFFECTS = {
    "start_plan": ("PUT", "/deploymentStacksWhatIfResults/"),
    "start_apply": ("PUT", "/deploymentStacks/"),
    "start_destroy": ("DELETE", "/deploymentStacks/"),
}


async def _made(here: Environment) -> tuple[InfrastructureChange, EnvironmentPlan]:
    """An applied environment."""
    change = await here.propose()
    plan = await here.plan(change)
    iac = here.applying(change, plan)
    await here.applied(iac, plan, await here.world.value("start_apply", iac))
    return change, plan


async def _scene(here: Environment, activity: str) -> IacRun:
    """What the activity is called with, everything before it done."""
    if activity == "start_plan":
        return here.iac("plan", await here.propose())
    if activity == "start_apply":
        change = await here.propose()
        return here.applying(change, await here.plan(change))
    change, _ = await _made(here)
    planning = here.iac("destroy-plan", change)
    ended = await here.follow(await here.world.value("start_destroy_plan", planning))
    read = DestroyResult(run=planning.run, run_id=planning.run_id, pipeline=ended)
    digest = (await here.world.value("read_destroy_plan", read))["planSha256"]
    return here.iac("destroy", change, plan_run_id=planning.run_id, plan_sha256=digest)


# The suite takes one way to lose an answer of two effects; all are proven by make proofs.
SAMPLE = {("start_apply", "timeout-after-commit"), ("start_destroy", "commit-then-500")}
LOSSES = [
    pytest.param(activity, lost, marks=[pytest.mark.long] * ((activity, lost) not in SAMPLE))
    for activity in EFFECTS
    for lost in LOST
]


@pytest.mark.parametrize(("activity", "lost"), LOSSES)
async def test_a_lost_answer_has_one_effect(world: World, activity: str, lost: str) -> None:
    here = await _environment(world, parameters=NOTHING)
    payload = await _scene(here, activity)
    method, path = EFFECTS[activity]
    began = world.position()
    world.fault(system="arm", method=method, path=path, **LOST[lost])
    outcome = await world.insist(activity, payload)
    assert [entry for entry in world.calls(began) if entry["fault"]], "the fault met nothing"
    assert outcome.ok, outcome.problem
    await world.forget(activity, payload)
    again = await world.value(activity, payload)
    assert again["place"] == (outcome.value or {})["place"]
    sent = [entry["body"] for entry in world.calls(began, "arm") if entry["method"] == method and path in entry["url"]]
    assert sent == [sent[0]] * len(sent), "the same object under the same name, however often it is sent"
    assert len(sent) == 1 or lost == "timeout-after-commit"
    assert world.committed(began, method, path) == 1 or activity != "start_apply"
    ended = await here.follow(again)
    assert ended.conclusion == "success"


@pytest.mark.long
async def test_a_plan_is_stale_when_the_estate_has_moved(world: World) -> None:
    here = await _environment(world, parameters=NOTHING)
    change, _ = await _made(here)
    vault = here.there(f"{here.group}/resources")["value"]
    [vault_id] = [item["id"] for item in vault if item["type"].lower() == "microsoft.keyvault/vaults"]
    plan = await here.plan(change, "2.1")
    world.azure(vault_id, "2026-05-15", "PATCH", {"properties": {"publicNetworkAccess": "Enabled"}})
    began = world.position()
    iac = here.applying(change, plan, "2.1")
    applied = await here.applied(iac, plan, await world.value("start_apply", iac))
    assert applied["stale"] is True
    assert world.committed(began, "PUT", r"/deploymentStacks/") == 0
    fresh = await here.plan(change, "2.101")
    compared = await world.value("compare_plans", ComparePlans(run=iac.run, approved=plan, again=fresh))
    assert any("azurerm_key_vault.this: update was not approved" in text for text in compared["deviations"])
    repair = here.applying(change, fresh, "2.2")
    assert (await here.applied(repair, fresh, await world.value("start_apply", repair)))["stale"] is False
    assert here.there(vault_id)["properties"]["publicNetworkAccess"] == "Disabled"


@pytest.mark.long
async def test_a_failed_deployment_says_why_and_what_is_left_can_be_removed(world: World) -> None:
    here = await _environment(world, parameters=NOTHING)
    change = await here.propose()
    plan = await here.plan(change)
    vault = next(item for item in (await here.change_set(plan))["changes"] if item["type"] == "azurerm_key_vault")
    elsewhere = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-appstore/providers/Microsoft.KeyVault/vaults"
    body = {"location": "westeurope", "properties": {"tenantId": TENANT, "sku": {"family": "A", "name": "standard"}}}
    world.azure(f"{elsewhere}/{vault['after']['name']}", "2026-05-15", "PUT", body)
    iac = here.applying(change, plan)
    ended = await here.follow(await world.value("start_apply", iac))
    assert ended.conclusion == "failure"
    read = ReadApplyResult(run=iac.run, run_id=iac.run_id, plan=plan, approved=plan, pipeline=ended)
    outcome = await world.run("read_apply_result", read)
    assert outcome.problem is not None
    assert "VaultAlreadyExists" in outcome.problem.detail
    planning = here.iac("destroy-plan", change)
    ended = await here.follow(await world.value("start_destroy_plan", planning))
    planned = DestroyResult(run=planning.run, run_id=planning.run_id, pipeline=ended)
    digest = (await world.value("read_destroy_plan", planned))["planSha256"]
    destroying = here.iac("destroy", change, plan_run_id=planning.run_id, plan_sha256=digest)
    assert (await here.follow(await world.value("start_destroy", destroying))).conclusion == "success"
    assert here.there(here.group) is None


async def test_a_stack_stays_while_its_group_holds_what_others_put_there(world: World) -> None:
    here = await _environment(world, parameters=NOTHING)
    payload = await _scene(here, "start_destroy")
    identity = f"{here.group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/id-of-somebody-else"
    world.azure(identity, "2024-11-30", "PUT", {"location": "northeurope"})
    outcome = await world.run("start_destroy", payload)
    assert outcome.problem is not None
    assert "id-of-somebody-else" in outcome.problem.detail
    assert here.there(here.stack) is not None


async def test_a_topic_that_azure_policy_made_goes_with_the_stack_and_another_one_keeps_it(world: World) -> None:
    here = await _environment(world, parameters=NOTHING)
    payload = await _scene(here, "start_destroy")
    topic = vault_topic_in(world, here.record, **{TAG: "req-of-somebody"})
    outcome = await world.run("start_destroy", payload)
    assert outcome.problem is not None
    assert topic in outcome.problem.detail
    assert here.there(here.stack) is not None
    assert vault_topic_in(world, here.record) == topic
    began = world.position()
    assert (await here.follow(await world.value("start_destroy", payload))).conclusion == "success"
    assert world.committed(began, "DELETE", "/systemTopics/evgt-") == 1
    assert here.there(here.group) is None


async def test_an_archetype_without_a_template_is_refused_there(world: World) -> None:
    parameters: dict[str, Any] = {}
    with pytest.raises(RequestRejectedError) as caught:
        await world.order(archetype="worker", parameters=parameters, **NORTH)
    assert caught.value.code == "no-landing-zone"


def _request(form: tuple[str, str, bool], name: str) -> Any:
    """The request that the SDK builds."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", SyntaxWarning)  # of its docstrings
        operations = importlib.import_module(SDK)
    builder, more = BUILDERS[form]
    return getattr(operations, f"build_deployment_{builder}_request")(name, SUBSCRIPTION, **more)


async def test_every_call_is_one_that_the_sdk_makes(world: World) -> None:
    began = world.position()
    here = await _environment(world, parameters=NOTHING)
    await world.value("start_destroy", await _scene(here, "start_destroy"))
    calls = [entry for entry in world.calls(began, "arm") if "/deploymentStacks" in entry["url"]]
    seen = set()
    for entry in calls:
        url = urlsplit(entry["url"])
        name, query = url.path.split("/")[6], dict(parse_qsl(url.query))
        if "/operationResults/" in url.path:
            continue  # where the answer before has led
        kind = "what_if" if "WhatIfResults" in url.path else "stack"
        form = (entry["method"], kind, url.path.endswith("/whatIf"))
        expected = _request(form, name)
        wanted = urlsplit(expected.url)
        assert (entry["method"], url.path, query) == (expected.method, wanted.path, dict(parse_qsl(wanted.query)))
        if entry["method"] == "PUT":
            model = "DeploymentStacksWhatIfResult" if kind == "what_if" else "DeploymentStack"
            assert not complaints("resource.deploymentstacks", model, entry["body"])
        seen.add(form)
    assert seen == BUILDERS.keys()
