"""What does not comply with Azure Policy: remediated as far as the policy says how, in bounds, and once."""

import asyncio
import itertools
from datetime import UTC, datetime
from typing import Any

import pytest

from shared.clock import utc_now
from shared.models.controls import LegalHold, Scope
from shared.models.operations import ActionState, Occasion, OperationState
from shared.models.records import RequestRecord
from shared.register import controls, operations
from shared.register.audit import Entry
from tests.e2e import contracts
from tests.integration.day2 import GROUPS, WorkerDiedError, active, ask, group_of, operate, perform, rows
from tests.integration.world import DurableClient, World
from triggers.timer_compliance import ask_for_remediation

CORP = "/providers/Microsoft.Management/managementGroups/corp"
INITIATIVE = f"{CORP}/providers/Microsoft.Authorization/policyAssignments/tags"
DEFINITION = "/providers/Microsoft.Authorization/policyDefinitions/inherit-tag"
_numbers = itertools.count()


class Policies:
    """What Azure Policy says of an application's group."""

    def __init__(self, world: World, record: RequestRecord) -> None:
        self.world, self.record, self.group = world, record, group_of(record)

    def violation(self, **changes: Any) -> str:
        """A resource that lacks a tag which the policy sets; returns its id."""
        number = next(_numbers)
        resource = f"{self.group}/providers/Microsoft.Network/publicIPAddresses/ip{number:04}"
        self.world.azure(resource, "2024-05-01", "PUT", {"location": "westeurope", "tags": {"foreign": "kept"}})
        state = {
            "resourceId": resource,
            "policyAssignmentId": INITIATIVE,
            "policyDefinitionId": DEFINITION,
            "policyDefinitionReferenceId": "inherit",
            "policyDefinitionAction": "modify",
            "complianceState": "NonCompliant",
            "~after": {"cost-center": "CC-1001"},
        }
        self.world.seed("policy_insights", {f"state/{self.record.application}-{number:04}": state | changes})
        return resource

    def tags(self, resource: str) -> dict[str, str]:
        found: dict[str, str] = self.world.azure(resource, GROUPS)["tags"]
        return found

    def tasks(self, since: int) -> int:
        """Remediation tasks that were begun."""
        return self.world.committed(since, "PUT", "/remediations/")


@pytest.fixture
async def policies(world: World) -> Policies:
    return Policies(world, await active(world))


async def test_one_task_for_each_violation_and_the_rest_is_named(policies: Policies) -> None:
    fixed = [policies.violation() for _ in range(3)]
    other = policies.violation(policyDefinitionReferenceId="other")
    audited = policies.violation(policyDefinitionAction="audit")
    before = policies.world.position()
    done = await operate(policies.record, "remediate-compliance")
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert policies.tasks(before) == 4
    assert all(policies.tags(path) == {"foreign": "kept", "cost-center": "CC-1001"} for path in [*fixed, other])
    assert policies.tags(audited) == {"foreign": "kept"}
    assert [item["resource"] for item in done.facts["byHand"]] == [audited]
    again = await operate(policies.record, "remediate-compliance")
    assert (again.state, policies.tasks(before)) == (OperationState.SUCCEEDED, 4)
    check = contracts.load_check()
    calls = policies.world.calls(before, "policy_insights")
    assert calls
    if check is not None:
        assert [found for entry in calls for found in contracts.complaints(check, entry)] == []


async def test_what_a_policy_deploys_is_remediated_without_an_initiative(policies: Policies) -> None:
    """Vaults that had no topic of Event Grid: the definition is assigned alone, so that there is no reference."""
    alone = {"policyDefinitionReferenceId": "", "policyDefinitionAction": "deployIfNotExists"}
    vault = policies.violation(**alone)
    before = policies.world.position()
    done = await operate(policies.record, "remediate-compliance")
    assert (done.state, policies.tasks(before)) == (OperationState.SUCCEEDED, 1), done.problem
    [row] = await rows(done)
    assert row.action.target == vault
    assert row.action.calls[0].body == {
        "properties": {"policyAssignmentId": INITIATIVE, "resourceDiscoveryMode": "ExistingNonCompliant"}
    }


async def test_to_observe_begins_nothing_and_shows_the_exact_task(policies: Policies) -> None:
    policies.violation()
    before = policies.world.position()
    seen = await operate(policies.record, "remediate-compliance", dry_run=True)
    assert (seen.state, policies.tasks(before)) == (OperationState.OBSERVED, 0)
    [call] = (await rows(seen))[0].action.calls
    assert (call.body or {})["properties"]["policyAssignmentId"] == INITIATIVE


async def test_every_page_is_read(policies: Policies) -> None:
    policies.world.seed("policy_insights", {"settings/page": 2})
    try:
        fixed = [policies.violation() for _ in range(5)]
        done = await operate(policies.record, "remediate-compliance")
    finally:
        policies.world.seed("policy_insights", {"settings/page": 100})
    assert (done.state, done.scanned) == (OperationState.SUCCEEDED, 5)
    assert all("cost-center" in policies.tags(path) for path in fixed)


async def test_too_many_violations_at_once_are_left_to_a_person(policies: Policies) -> None:
    for number in range(120):
        state = {"resourceId": f"{policies.group}/providers/Microsoft.Network/publicIPAddresses/many{number}"}
        state |= {"policyAssignmentId": INITIATIVE, "policyDefinitionId": DEFINITION, "complianceState": "NonCompliant"}
        state |= {"policyDefinitionReferenceId": "many", "policyDefinitionAction": "modify"}
        policies.world.seed("policy_insights", {f"state/{policies.record.application}-many-{number}": state})
    before = policies.world.position()
    refused = await operate(policies.record, "remediate-compliance")
    assert (refused.state, refused.scanned, policies.tasks(before)) == (OperationState.REFUSED, 120, 0)
    assert refused.problem
    assert refused.problem.code == "blast-radius"


async def test_only_what_an_event_names_is_looked_at(policies: Policies) -> None:
    meant, other = policies.violation(), policies.violation()
    parameters = {"resource": meant.upper(), "assignment": INITIATIVE, "definition": DEFINITION}
    done = await operate(policies.record, "remediate-compliance", parameters=parameters)
    assert (done.state, done.scanned) == (OperationState.SUCCEEDED, 1)
    assert ("cost-center" in policies.tags(meant), "cost-center" in policies.tags(other)) == (True, False)


async def test_what_fails_is_said_with_the_place_that_says_why(policies: Policies) -> None:
    good, bad = policies.violation(), policies.violation(**{"~fails": True})
    done = await operate(policies.record, "remediate-compliance")
    assert done.state is OperationState.PARTIAL
    [row] = [row for row in await rows(done) if row.state is ActionState.FAILED]
    assert "0 of 1 resources put right, 1 failed" in str(row)
    assert "/remediations/appstore-op-" in str(row)
    assert ("cost-center" in policies.tags(good), "cost-center" in policies.tags(bad)) == (True, False)


@pytest.mark.parametrize("how", ["twice", "drop_after", "status_after"])
async def test_repeated_or_unanswered_it_is_one_task(policies: Policies, how: str) -> None:
    policies.violation()
    before = policies.world.position()
    if how != "twice":
        fault = {"system": "policy_insights", "method": "PUT", "path": "/remediations/", "mode": how, "times": 1}
        policies.world.fault(**fault, **({"status": 500} if how == "status_after" else {}))
    record = await ask(policies.record, "remediate-compliance")
    done = await perform(record, twice=how == "twice")
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert policies.tasks(before) == 1


async def test_killed_after_each_activity_it_ends_with_one_task(policies: Policies) -> None:
    policies.violation()
    before = policies.world.position()
    record = await ask(policies.record, "remediate-compliance")
    for number in range(1, 30):
        try:
            done = await perform(record, dies_after=number)
        except WorkerDiedError:
            continue
        break
    assert done.state is OperationState.SUCCEEDED, done.problem
    assert policies.tasks(before) == 1


async def test_what_is_held_is_left_alone_and_its_neighbour_is_put_right(policies: Policies) -> None:
    held, other = policies.violation(), policies.violation()
    at = utc_now()
    hold = LegalHold(
        id="hold-compliance1", scope=Scope(resource=held), reason="Test.", at=at, actor="a", actor_name="a"
    )
    await controls.declare(hold, Entry("hold-compliance1", at, "a", "hold", "hold-compliance1", "test"))
    await operate(policies.record, "remediate-compliance")
    assert ("cost-center" in policies.tags(held), "cost-center" in policies.tags(other)) == (False, True)


async def test_the_timer_asks_once_a_day(policies: Policies) -> None:
    client: Any = DurableClient()
    now = datetime(2026, 11, 26, 4, 40, tzinfo=UTC)
    for _ in range(3):
        await ask_for_remediation(client, now)
    found = await operations.of_application(policies.record.application)
    assert [(item.operation, item.occasion) for item in found] == [("remediate-compliance", Occasion.TIMER)]


async def test_five_equal_events_are_one_operation(policies: Policies) -> None:
    policies.violation()
    asked = [await ask(policies.record, "remediate-compliance", business_key="event-7") for _ in range(5)]
    assert len({record.id for record in asked}) == 1
    before = policies.world.position()
    await asyncio.gather(*(perform(record) for record in asked[:2]))
    assert policies.tasks(before) <= 2  # two runs at once may both PUT: the same name, so that it is one task
