"""Every route asks for exactly what the table says, before it does anything."""

import importlib
import json
import pkgutil
import uuid
from typing import Any

import pytest

import triggers
from shared.authorisation import ANYONE, EXEMPT, OPERATE, ORDER, PROMOTE, SEE, SIGNED_IN, Subject, subject_of, why_not
from shared.errors import AppStoreError
from shared.identity import Caller
from shared.models.clean_up import TombstoneRecord, TombstoneState
from shared.models.controls import Exemption, Scope
from shared.models.operations import Occasion, OperationRecord, OperationState
from shared.models.promotions import PromotionRecord, PromotionState
from shared.models.records import RequestRecord, RequestState
from shared.register import controls, operations, promotions, requests, tombstones
from shared.register.audit import Entry
from tests.e2e.driver import body
from tests.integration.world import REQUESTER, SUBSCRIPTION, TENANT, DurableClient, World
from triggers._http import ENDPOINTS, Call, Endpoint

MODULES = [importlib.import_module(f"triggers.{found.name}") for found in pkgutil.iter_modules(triggers.__path__)]
ROUTES = {f"{item.method} {item.path}": item for item in ENDPOINTS}
OWN = ("requests/{id}", "applications/{name}")
# Bodies that are refused for another reason once the caller is let in, or change nothing.
BODIES = {
    "break_glass": {
        "planDigest": "0" * 64,
        "reason": "the shop is down",
        "ticket": "INC0012345",
        "hours": 1,
        "secondPerson": "auditor@contoso.com",
    },
    "close_review": {"justified": True, "findings": "nothing to see"},
    "create_delegation": {"delegate": "nobody@contoso.com", "until": "2099-01-01T00:00:00Z", "reason": "holiday"},
}


def callers() -> list[Caller]:
    """Each role alone and none, as the requester, in the owner team, elsewhere; people and services."""
    found = []
    for role in ("", "Requester", "Approver", "FinOps", "Operator", "Auditor", "Admin"):
        for name, team in ((REQUESTER.id, ""), ("somebody", "payments"), ("somebody", "web")):
            for service in (False, True):
                roles, teams = frozenset({role} - {""}), frozenset({team} - {""})
                found.append(Caller(name, TENANT, name, roles, teams, (), is_service=service))
    return found


@pytest.fixture
async def settled(world: World) -> RequestRecord:
    """A request that is undone: no decision fits any more, so that whoever is let in changes nothing."""
    record = await world.order()
    for state in (RequestState.CANCELLED, RequestState.UNDOING, RequestState.UNDONE):
        entry = Entry(f"{record.id}:{state}", record.created_at, "test", state, record.id, "test")
        change = {"state": state}
        record = await requests.transition(
            record.application,
            record.id,
            lambda old, change=change: old.model_copy(update=change),  # type: ignore[misc]
            entry,
            expect=[record.state],
        )
    return record


async def _promotion(record: RequestRecord) -> PromotionRecord:
    """A promotion of the request's application that was rejected: no decision fits it any more."""
    promotion = PromotionRecord(
        id=f"pro-{record.id.removeprefix('req-')}",
        application=record.application,
        state=PromotionState.REJECTED,
        source="dev",
        target="qa",
        body_hash="x",
        tenant=record.tenant,
        requester=record.requester,
        requester_name=record.requester_name,
        owner_team=record.body.owner_team,
        request_id=record.id,
        instance_id="none",
        created_at=record.created_at,
        updated_at=record.created_at,
    )
    entry = Entry(f"{promotion.id}:promote", record.created_at, "test", "promote", promotion.id, "test")
    return await promotions.create(promotion, entry)


async def _operation(record: RequestRecord) -> OperationRecord:
    """A Day-2 operation on the request's application that was rejected: no decision fits it any more."""
    operation = OperationRecord(
        id=f"op-{record.id.removeprefix('req-')}",
        operation="reconcile-tags",
        application=record.application,
        occasion=Occasion.REQUEST,
        business_key="test",
        state=OperationState.REJECTED,
        requester=record.requester,
        requester_name=record.requester_name,
        owner_team=record.body.owner_team,
        body_hash="x",
        instance_id="none",
        created_at=record.created_at,
        updated_at=record.created_at,
    )
    entry = Entry(f"{operation.id}:operate", record.created_at, "test", "operate", operation.id, "test")
    return await operations.create(operation, entry)


async def _exemption(record: RequestRecord) -> Exemption:
    """An exemption that the requester asked for."""
    exemption = Exemption(
        id=f"exemption-{uuid.uuid4().hex[:12]}",
        scope=Scope(application=record.application, rule="reconcile-tags"),
        reason="test",
        owner=record.requester,
        owner_name=record.requester_name,
        owner_team=record.body.owner_team,
        at=record.created_at,
        expires_at=record.created_at,
    )
    entry = Entry(f"{exemption.id}:exempt", record.created_at, "test", "exempt", exemption.id, "test")
    return await controls.declare(exemption, entry)


async def _tombstone(record: RequestRecord) -> TombstoneRecord:
    """Something that was removed from the request's application, and cannot be brought back any more."""
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-gone"
    tombstone = TombstoneRecord(
        id=f"tmb-{record.id.removeprefix('req-')}",
        application=record.application,
        environment="dev",
        owner_team=record.body.owner_team,
        resource=f"{group}/providers/Microsoft.Network/routeTables/rt",
        kind="Microsoft.Network/routeTables",
        policy="test",
        blob="none",
        digest="0" * 64,
        state=TombstoneState.FORGOTTEN,
        operation_id="op-000000000000",
        removed_at=record.created_at,
        keep_until=record.created_at,
    )
    return await tombstones.prepare(tombstone)


async def _identifier(route: Endpoint, record: RequestRecord) -> str:
    if "promotions/{id}" in route.path:
        return (await _promotion(record)).id
    return record.id


async def _refused(route: Endpoint, record: RequestRecord, who: Caller) -> bool:
    """Whether the caller is refused, or told that there is nothing."""
    client: Any = DurableClient()
    params = {
        "id": await _identifier(route, record),
        "operation": (await _operation(record)).id if "{operation}" in route.path else "",
        "exemption": (await _exemption(record)).id if "{exemption}" in route.path else "",
        "tombstone": (await _tombstone(record)).id if "{tombstone}" in route.path else "",
        "name": record.application,
        "kind": "welcome",
        "number": "1",
    }
    headers = {"content-type": "application/json", "idempotency-key": f"{who.id}-{route.name}"}
    raw = b""
    if route.action == ORDER:  # refused after the caller is let in: no landing zone takes it
        raw = json.dumps(body(record.application, region="nowhere1")).encode()
    elif route.action == EXEMPT:  # it has ended before it began
        scope = {"application": record.application, "rule": "reconcile-tags"}
        past = {"scope": scope, "expiresAt": "2020-01-01T00:00:00Z", "reason": "test"}
        raw = json.dumps(past).encode()
    elif route.path.endswith("operations/{operation}/approve"):
        raw = b'{"digest": "%s"}' % (b"0" * 64)
    elif route.path.endswith("/approve"):
        raw = b'{"planDigest": "%s"}' % (b"0" * 64)
    elif route.name in BODIES:
        raw = json.dumps(BODIES[route.name]).encode()
    try:
        await _handler(route.name)(Call(who, params, {}, headers, client, raw, f"/api/{route.path}"))
    except AppStoreError as error:
        return error.code in (
            *(
                "forbidden",
                "unauthenticated",
                "unknown-request",
                "unknown-application",
                "unknown-promotion",
                "unknown-operation",
                "unknown-tombstone",
            ),
        )
    return False


def _handler(name: str) -> Any:
    return next(getattr(module, name) for module in MODULES if hasattr(module, name))


def _subject(route: Endpoint, record: RequestRecord) -> Subject:
    """An application, or one that is yet to be, belongs to its team: who asked for it does not count."""
    team = record.body.owner_team
    asked_for = any(part in route.path for part in ("requests/{id}", "promotions/{id}", "{operation}", "{exemption}"))
    return subject_of(record) if asked_for and route.action not in (PROMOTE, OPERATE) else Subject("", team)


@pytest.mark.parametrize("name", sorted(ROUTES))
async def test_each_route_lets_in_whom_its_action_allows(name: str, settled: RequestRecord) -> None:
    route = ROUTES[name]
    if route.action in (ANYONE, SIGNED_IN) or (route.action == SEE and not route.path.startswith(OWN)):
        assert not [who for who in callers() if await _refused(route, settled, who) and "{" not in route.path]
        return  # everybody gets an answer; what is in it: test_lists_show_only_what_may_be_seen
    wrong = []
    for who in callers():
        allowed = why_not(who, route.action, _subject(route, settled)) is None
        if allowed is await _refused(route, settled, who):
            wrong.append((who.id, sorted(who.roles), sorted(who.teams), who.is_service))
    assert not wrong


async def test_lists_show_only_what_may_be_seen(settled: RequestRecord, world: World) -> None:
    existing, gone = await world.order(), await _tombstone(settled)
    client: Any = None
    for who in callers():
        call = Call(who, {}, {}, {}, client, b"", "/api")
        listed = (await _handler("list_requests")(call)).document["requests"]
        stones = (await _handler("list_tombstones")(call)).document["tombstones"]
        names = (await _handler("list_applications")(call)).document["applications"]
        sees = why_not(who, SEE, subject_of(settled)) is None
        assert (settled.id in {item["id"] for item in listed}) is sees
        of_team = why_not(who, SEE, Subject("", settled.body.owner_team)) is None
        assert (gone.id in {item["id"] for item in stones}) is of_team
        owner = why_not(who, SEE, subject_of(existing)) is None and (who.roles - {"Requester"} or who.teams)
        assert (existing.application in {item["name"] for item in names}) is bool(owner)
