"""Events and alerts: claimed once, handed over once, and what is poisonous kept with its reason."""

import asyncio
import json
import random
from collections.abc import Sequence
from typing import Any

import pytest

from activities._activity import registered
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models.events import EventRecord, EventState, ReceivedEvent
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Run
from shared.register import _batches, audit, events, operations
from shared.register._batches import Batches
from shared.register._table import Write, commit, scan
from tests.integration.day2 import active
from tests.integration.world import SUBSCRIPTION, TENANT, DurableClient, World, caller
from triggers import _event_intake, http_dead_letters, monitor_alert
from triggers._event_intake import event_id, from_event_grid, sweep_events, take_in
from triggers._http import Call

OPERATOR = caller("operator", "Operator")
CLAIMS = {
    "http://schemas.microsoft.com/identity/claims/objectidentifier": "somebody",
    "ipaddr": "10.1.2.3",
    "upn": "eve@contoso.com",
}


class Starts(DurableClient):
    def __init__(self) -> None:
        self.started: list[str] = []

    async def start_new(self, _name: str, instance: str, _payload: dict[str, Any]) -> str:
        self.started.append(instance)
        return instance


def _resource(application: str) -> str:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{application}-dev"
    return f"{group}/providers/Microsoft.Storage/storageAccounts/st"


def written(application: str, number: int = 1, **data: object) -> dict[str, Any]:
    """A successful write of a resource as Event Grid tells it."""
    return {
        "id": f"{application}-{number}",
        "topic": f"/subscriptions/{SUBSCRIPTION}",
        "subject": _resource(application),
        "eventType": "Microsoft.Resources.ResourceWriteSuccess",
        "eventTime": "2026-11-26T10:00:00Z",
        "data": {
            "correlationId": f"c{number}",
            "operationName": "Microsoft.Storage/storageAccounts/write",
            "claims": CLAIMS,
            "authorization": {"scope": "s"},
            "httpRequest": {"clientIpAddress": "10.1.2.3"},
            **data,
        },
    }


def expiring(application: str, number: int) -> dict[str, Any]:
    """A secret whose end is near, as Event Grid tells it."""
    vault = _resource(application).replace("Microsoft.Storage/storageAccounts/st", "Microsoft.KeyVault/vaults/kv-it")
    return {
        "id": f"{application}-secret-{number}",
        "topic": vault,
        "subject": f"secret{number}",
        "eventType": "Microsoft.KeyVault.SecretNearExpiry",
        "eventTime": "2026-11-26T10:00:00Z",
        "data": {"VaultName": "kv-it", "ObjectName": f"secret{number}", "Version": f"{number:032x}"},
    }


def alert(application: str, condition: str = "Fired") -> dict[str, Any]:
    """A metric alert in the common alert schema."""
    compared = {"metricName": "storage_percent", "operator": "GreaterThan", "threshold": 85, "dimensions": None}
    essentials = {
        "alertId": f"/subscriptions/{SUBSCRIPTION}/providers/Microsoft.AlertsManagement/alerts/{application}",
        "alertRule": "storage",
        "severity": "Sev2",
        "monitorCondition": condition,
        "alertTargetIDs": [_resource(application).lower()],
        "firedDateTime": "2026-11-26T10:00:00Z",
        "description": None,
    }
    context = {"condition": {"allOf": [compared]}}
    return {"schemaId": "azureMonitorCommonAlertSchema", "data": {"essentials": essentials, "alertContext": context}}


@pytest.fixture
async def request_(world: World) -> RequestRecord:
    return await active(world)


@pytest.fixture
def client() -> Any:
    return Starts()


async def test_five_times_and_shuffled_acts_once(request_: RequestRecord, client: Any) -> None:
    name = request_.application
    batch = [from_event_grid(expiring(name, number)) for number in (1, 2, 3)] * 5
    random.Random(7).shuffle(batch)  # noqa: S311 - no secret
    for record in await asyncio.gather(*(take_in(client, event) for event in batch)):
        assert record.state is EventState.HANDED_OVER, record.reason
    assert len(await operations.of_application(name)) == 3
    again = await take_in(client, batch[0])
    assert again.state is EventState.HANDED_OVER
    assert len(await operations.of_application(name)) == 3


async def test_an_operation_that_has_not_begun_stands_for_further_events_and_one_that_has_does_not(
    request_: RequestRecord, client: Any
) -> None:
    name = request_.application
    taken = [await take_in(client, from_event_grid(written(name, number))) for number in (1, 2, 3)]
    taken += await asyncio.gather(*(take_in(client, from_event_grid(written(name, number))) for number in (4, 5)))
    (operation,) = await operations.of_application(name)
    assert {(record.state, record.operation) for record in taken} == {(EventState.HANDED_OVER, operation.id)}
    assert set(client.started) == {operation.instance_id}
    payload = ActivityInput(run=Run(request_id=operation.id, application=name, branch="operation"))
    await registered("begin_operation")(payload.document())
    later = await take_in(client, from_event_grid(written(name, 6)))
    assert later.operation != operation.id
    assert len(await operations.of_application(name)) == 2


@pytest.mark.usefixtures("world")
async def test_rows_written_together_fail_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    sizes: list[int] = []

    async def counted(partition: str, writes: Sequence[Write]) -> list[str]:
        sizes.append(len(writes))
        return await commit(partition, writes)

    monkeypatch.setattr(_batches, "commit", counted)
    batches = Batches("batches-test")
    etags = await asyncio.gather(*(batches.write(Write(f"row:{number}", {"n": number})) for number in range(150)))
    assert sizes == [100, 50]
    again = [Write(f"row:{number}", {"n": "new"}) for number in (3, 150, 151)]
    again += [Write("row:152", {"n": "x" * 70_000}), Write("row:4", {"n": "4b"}, etag=etags[4])]
    again += [
        Write("row:5", {"n": "5b"}, etag="W/\"datetime'2020-01-01T00%3A00%3A00.0000000Z'\""),
        Write("row:150", {"n": "twice"}),
    ]
    results = await asyncio.gather(*map(batches.write, again), return_exceptions=True)
    told = [type(result).__name__ for result in results]
    conflict, refused = "RowConflictError", "TransientIntegrationError"
    assert told == [conflict, "str", "str", refused, "str", conflict, conflict]
    found = {row.key: row.document["n"] async for row in scan("batches-test", "row:")}
    assert len(found) == 152
    assert [found[f"row:{number}"] for number in (3, 4, 5, 150)] == [3, "4b", 5, "new"]


async def test_what_is_kept_names_nobody(request_: RequestRecord, client: Any) -> None:
    record = await take_in(client, from_event_grid(written(request_.application)))
    kept = (await events.find(record.id) or record).model_dump_json()
    assert record.event.principal == "somebody"
    assert not [secret for secret in ("eve@", "10.1.2.3", "clientIp", "authorization") if secret in kept]


@pytest.mark.parametrize("group", ["rg-nobody-knows-dev", "MC_cluster", "rg-other-test"])
async def test_other_peoples_resources_are_ignored_without_asking_azure(world: World, client: Any, group: str) -> None:
    event = written("x") | {"id": group, "subject": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}/providers/a"}
    began = world.position()
    record = await take_in(client, from_event_grid(event))
    assert (record.state, client.started) == (EventState.IGNORED, [])
    assert not world.calls(began, "arm")


async def test_the_resources_of_an_application_that_is_being_made_are_no_news(world: World, client: Any) -> None:
    order = await world.order()
    record = await take_in(client, from_event_grid(written(order.application)))
    assert (record.state, client.started) == (EventState.IGNORED, [])
    assert "being made" in record.reason
    late = await take_in(client, from_event_grid(written(order.application)))
    assert (late.id, late.state) == (record.id, EventState.IGNORED)


async def test_our_own_tags_are_no_news(request_: RequestRecord, client: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("EVENTS_OWN_PRINCIPAL", "somebody")
    tags = from_event_grid(written(request_.application, operationName="Microsoft.Resources/tags/write"))
    assert (await take_in(client, tags)).state is EventState.IGNORED
    other = from_event_grid(written(request_.application, 2))
    assert (await take_in(client, other)).state is EventState.HANDED_OVER


async def test_the_sweep_finishes_what_a_dead_process_claimed(request_: RequestRecord, client: Any) -> None:
    event = from_event_grid(written(request_.application))
    long_ago = "2026-01-01T00:00:00.000Z"
    claimed = EventRecord(id=event_id(event), event=event, received_at=long_ago, updated_at=long_ago)
    await events.claim(claimed)
    await sweep_events(client)
    await sweep_events(client)
    found = await events.find(claimed.id)
    assert found is not None
    assert found.state is EventState.HANDED_OVER
    assert [item.id for item in await operations.of_application(request_.application)] == [found.operation]


async def test_a_failure_is_tried_three_times_more_and_then_a_dead_letter_that_can_be_replayed(
    request_: RequestRecord, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def down(*_: object) -> None:
        raise OSError("password=hunter2 is what it was")

    event = from_event_grid(written(request_.application))
    with monkeypatch.context() as patch:
        patch.setattr(_event_intake, "accept", down)
        patch.setattr(_event_intake, "ORPHAN_SECONDS", -1)
        states = [(await take_in(client, event)).state]
        for _ in range(4):
            await sweep_events(client)
            states.append((await _found(event)).state)
    assert states == [EventState.CLAIMED] * 3 + [EventState.DEAD] * 2
    dead = await _found(event)
    assert dead.tries == 4
    assert "hunter2" not in dead.reason
    call = _call(OPERATOR, client, id=dead.id)
    for _ in range(2):
        answer = await http_dead_letters.replay_dead_letter(call)
        assert answer.document["state"] == EventState.HANDED_OVER
    assert len(await operations.of_application(request_.application)) == 1
    told = [item for item in await audit.of_application(events.PARTITION) if item.request_id == dead.id]
    assert [(item.action, item.actor) for item in told] == [("replay", OPERATOR.id)]


@pytest.mark.parametrize("count", [40, pytest.param(200, marks=pytest.mark.long)])
async def test_one_poisonous_event_of_many_harms_no_other(request_: RequestRecord, client: Any, count: int) -> None:
    batch = [from_event_grid(written(request_.application, number)) for number in range(count - 1)]
    poison = written(request_.application, 999) | {"data": "not an object"}
    batch.insert(17, from_event_grid(poison))
    ended: list[EventRecord] = []
    for start in range(0, count, 20):
        ended += await asyncio.gather(*(take_in(client, event) for event in batch[start : start + 20]))
    assert [record.state for record in ended].count(EventState.HANDED_OVER) == count - 1
    assert "correlationId" in ended[17].reason
    listed = await _every_dead_letter(client)
    assert ended[17].id in listed
    discarded = await http_dead_letters.discard_dead_letter(_call(OPERATOR, client, id=ended[17].id))
    assert discarded.document["state"] == EventState.DISCARDED
    assert ended[17].id not in await _every_dead_letter(client)


async def test_an_alert_of_an_action_group_is_answered_and_nobody_elses(request_: RequestRecord, client: Any) -> None:
    for name, roles, service in (
        ("461e8683-5575-4561-ac7f-899cc907d62a", frozenset[str](), True),
        ("461e8683-5575-4561-ac7f-899cc907d62a", frozenset({"ActionGroupsSecureWebhook"}), False),
        ("another-app", frozenset({"ActionGroupsSecureWebhook"}), True),
        ("admin", frozenset({"Admin"}), False),
    ):
        who = Caller("o", TENANT, name, roles, frozenset(), (), is_service=service)
        with pytest.raises(RequestRejectedError) as refused:
            await monitor_alert.take_alert(_call(who, client, alert(request_.application)))
        assert refused.value.status == 401
    assert not await operations.of_application(request_.application)
    for condition in ("Fired", "Fired", "Resolved", "Fired"):
        answer = await monitor_alert.take_alert(_call(_sender(), client, alert(request_.application, condition)))
        assert (answer.status, answer.document["state"]) == (202, EventState.HANDED_OVER)
    made = await operations.of_application(request_.application)
    assert sorted(item.parameters["condition"] for item in made) == ["Fired", "Resolved"]
    assert len({item.parameters["fingerprint"] for item in made}) == 1


async def test_fifty_duplicates_at_once_are_one_answer_and_all_are_told_which(
    request_: RequestRecord, client: Any
) -> None:
    duplicates = (monitor_alert.take_alert(_call(_sender(), client, alert(request_.application))) for _ in range(50))
    answers = [answer.document for answer in await asyncio.gather(*duplicates)]
    (made,) = await operations.of_application(request_.application)
    assert {(answer["state"], answer["operation"]) for answer in answers} == {(EventState.HANDED_OVER, made.id)}
    assert len({answer["id"] for answer in answers}) == 1
    assert set(client.started) == {made.instance_id}


@pytest.mark.usefixtures("world")
async def test_an_alert_in_another_schema_is_kept_as_a_dead_letter(client: Any) -> None:
    answer = await monitor_alert.take_alert(_call(_sender(), client, {"status": "Activated", "context": {"id": "x"}}))
    assert (answer.status, answer.document["state"]) == (202, EventState.DEAD)
    found = await events.find(answer.document["id"])
    assert found is not None
    assert "common alert schema" in found.reason


def _sender() -> Caller:
    name = "461e8683-5575-4561-ac7f-899cc907d62a"
    return Caller("azns", TENANT, name, frozenset({"ActionGroupsSecureWebhook"}), frozenset(), (), is_service=True)


def _call(who: Caller, client: Any, document: object = None, **params: str) -> Call:
    raw = b"" if document is None else json.dumps(document).encode()
    return Call(who, params, {}, {"content-type": "application/json"}, client, raw, "/api")


async def _found(event: ReceivedEvent) -> EventRecord:
    found = await events.find(event_id(event))
    assert found is not None
    return found


async def _every_dead_letter(client: Any) -> set[str]:
    found, after = set(), ""
    while True:
        call = Call(OPERATOR, {}, {"after": after} if after else {}, {}, client, b"", "/api/dead-letters")
        page = (await http_dead_letters.list_dead_letters(call)).document
        found |= {item["id"] for item in page["items"]}
        if not page["next"]:
            return found
        after = page["next"]
