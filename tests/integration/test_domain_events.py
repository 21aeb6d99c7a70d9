"""What happened to an application is told to a topic: in order, at least once, with the same ids."""

import asyncio
import json
from collections.abc import Iterator
from typing import Any, cast

import azure.functions as func
import jsonschema
import pytest

from activities._activity import registered
from shared.clients._http import health
from shared.domain_events import schema_of
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models.operations import EndOperation, OperationState
from shared.models.records import RequestRecord
from shared.models.runs import Run
from shared.register import audit, publications
from tests.e2e import contracts
from tests.integration.day2 import active, ask
from tests.integration.world import DurableClient, World, caller
from triggers import timer_domain_events
from triggers._http import Call
from triggers.http_domain_events import replay_domain_events
from triggers.timer_domain_events import publish_domain_events

OPERATOR = caller("operator", "Operator")
ENDPOINT = "https://evgt-appstore.westeurope-1.eventgrid.azure.net/api/events"
TIMER: func.TimerRequest = None  # type: ignore[assignment] # the function does not look at it


class DiedError(BaseException):
    """The process ended here."""


@pytest.fixture
def topic(world: World, monkeypatch: pytest.MonkeyPatch) -> Iterator[World]:
    monkeypatch.setenv("EVENTGRID_TOPIC_ENDPOINT", ENDPOINT)
    monkeypatch.setenv("APPSTORE_PUBLIC_URL", "https://appstore.contoso.com")
    yield world
    world.heal()


async def test_what_happened_is_told_once_in_order_with_its_schema(topic: World) -> None:
    request = await active(topic)
    operation = await _operated(request)
    for _ in range(2):
        await publish_domain_events(TIMER)
    told = topic.published(request.application)
    names = ["appstore.application.requested", "appstore.operation.requested", "appstore.operation.finished"]
    assert [event["type"] for event in told] == names
    assert [event["id"] for event in told] == [f"{request.application}:{event['data']['position']}" for event in told]
    assert [event["sequence"] for event in told] == sorted(event["sequence"] for event in told)
    contract = contracts.FOLDER / "cloudevents-1.0.schema.json"
    for event in told:
        jsonschema.validate(event["data"], schema_of(event["type"]))
        assert event["dataschema"] == f"https://appstore.contoso.com/api/domain-events/types/{event['type']}"
        if contract.exists():
            jsonschema.validate(event, json.loads(contract.read_text()))
    assert told[0]["data"]["ownerTeam"] == "payments"
    assert told[2]["data"]["outcome"] == "cancelled"
    assert {"operationId": operation, "operation": "reconcile-tags", "dryRun": False}.items() <= told[1]["data"].items()
    assert "because of ann@contoso.com" not in json.dumps(told)


async def test_a_death_between_telling_and_keeping_it_tells_the_same_ids_again(
    topic: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    request = await active(topic)

    async def die(*_: object) -> None:
        raise DiedError

    with monkeypatch.context() as patch:
        patch.setattr(publications, "advance", die)
        with pytest.raises(DiedError):
            await _told_alone(request)
    await _told_alone(request)
    await _told_alone(request)
    ids = [event["id"] for event in topic.published(request.application)]
    assert ids == [f"{request.application}:1"] * 2


async def test_runs_at_the_same_instant_tell_the_same_ids_in_order_and_then_nothing_more(topic: World) -> None:
    request = await active(topic)
    await _operated(request)
    await asyncio.gather(*(publish_domain_events(TIMER) for _ in range(3)))
    ids = [event["id"] for event in topic.published(request.application)]
    positions = [int(identifier.rpartition(":")[2]) for identifier in dict.fromkeys(ids)]
    assert len(positions) == 3
    assert positions == sorted(positions), "whoever takes each id once has them in order"
    await publish_domain_events(TIMER)
    assert [event["id"] for event in topic.published(request.application)] == ids


async def test_a_topic_that_is_down_loses_nothing_and_is_asked_once_a_run(topic: World) -> None:
    request, other = await active(topic), await active(topic)
    topic.fault(system="event_grid", mode="status", status=503, times=None)
    began = topic.position()
    await publish_domain_events(TIMER)
    assert len([call for call in topic.calls(began, "event_grid") if call["status"] == 503]) <= 2  # one retry
    assert health()["event grid"].last_failure
    topic.heal()
    operation = await _operated(request)  # nothing waits for the topic
    await publish_domain_events(TIMER)
    told = topic.published(request.application)
    assert [event["subject"] for event in told] == [request.id, operation, operation]
    assert len(topic.published(other.application)) == 1


async def test_telling_from_a_position_again(topic: World) -> None:
    request = await active(topic)
    await _operated(request)
    await publish_domain_events(TIMER)
    first = topic.published(request.application)
    with pytest.raises(RequestRejectedError) as refused:
        await replay_domain_events(_call(caller("somebody", "Requester"), request.application, 2))
    assert refused.value.status == 403
    again = first[1]["data"]["position"]
    for _ in range(2):
        answer = await replay_domain_events(_call(OPERATOR, request.application, again))
        assert answer.document["told"] == again - 1
    await publish_domain_events(TIMER)
    assert topic.published(request.application) == [*first, *first[1:]]
    trail = [entry.action for entry in await audit.of_application(request.application)]
    assert trail.count("replay-events") == 1
    with pytest.raises(RequestRejectedError) as unknown:
        await replay_domain_events(_call(OPERATOR, "no-such-app", 1))
    assert unknown.value.status == 404


async def test_without_a_topic_nothing_is_told_and_nothing_is_kept(world: World) -> None:
    request = await active(world)
    await publish_domain_events(TIMER)
    assert request.application not in await publications.cursors()
    assert not world.published(request.application)


async def _told_alone(request: RequestRecord) -> None:
    await timer_domain_events.tell(request.application, (await publications.cursors()).get(request.application))


async def _operated(request: RequestRecord) -> str:
    operation = await ask(request, "reconcile-tags", reason="because of ann@contoso.com")
    run = Run(request_id=operation.id, application=request.application, branch="operation")
    await registered("end_operation")(EndOperation(run=run, state=OperationState.CANCELLED).document())
    return operation.id


def _call(who: Caller, application: str, position: int) -> Call:
    raw, client = json.dumps({"position": position}).encode(), cast("Any", DurableClient())
    headers = {"content-type": "application/json"}
    return Call(who, {"application": application}, {}, headers, client, raw, "/api/domain-events")
