"""The register on a real table service: who wins, what is written together, and a chain that proves it."""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Awaitable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared import approval_rules
from shared import plan as plans
from shared.canonical import digest
from shared.clock import utc_now
from shared.errors import StateConflictError
from shared.identity import Caller
from shared.models.plan import PlanReference
from shared.models.records import (
    ApplicationRecord,
    AuditRecord,
    ClaimRecord,
    ClaimState,
    RequestRecord,
    RequestState,
    StepState,
)
from shared.models.runs import ActivityInput, Deployment
from shared.outcome import OutcomeStatus
from shared.register import audit, claims, leases, requests, steps
from shared.register._table import Write, commit, scan
from shared.register.audit import Entry
from tests.integration.world import DurableClient, World, caller, run_of
from triggers._http import Call
from triggers.http_decisions import approve_request, cancel_request

AT_ONCE = 8
SHOWN = "a" * 64
APPROVER = caller("approver", "Approver")
OPERATOR = caller("operator", "Operator")


def _entry(record: RequestRecord, key: str) -> Entry:
    return Entry(f"{record.id}:{key}", utc_now(), "test", key.partition(":")[0], record.id, "for a test")


async def _audit(application: str) -> list[AuditRecord]:
    """The verified chain of an application."""
    rows = [row async for row in scan(application, "audit")]
    entries = sorted(
        (AuditRecord.model_validate(row.document) for row in rows if row.key != audit.HEAD),
        key=lambda entry: entry.sequence,
    )
    previous = audit.GENESIS
    for number, entry in enumerate(entries, 1):
        assert (entry.sequence, entry.previous_hash) == (number, previous)
        fields = entry.document()
        covered = {name: fields[name] for name in fields if name not in ("hash", "schemaVersion")}
        assert digest(covered) == entry.hash
        previous = entry.hash
    head = next(row.document for row in rows if row.key == audit.HEAD)
    assert (head["sequence"], head["hash"]) == (len(entries), previous)
    return entries


async def test_twenty_requests_for_one_name_are_one(world: World) -> None:
    first = await world.order()
    name = f"{first.application}-race"
    body = first.body.model_copy(update={"name": name})

    async def create(number: int) -> str | None:
        record = first.model_copy(update={"id": f"{first.id}-{number}", "application": name, "body": body})
        reservation = ApplicationRecord(
            name=name, archetype="api", archetype_version="1", owner_team="payments", request_id=record.id,
            state="reserved", environments=["dev"], created_at=record.created_at,
        )  # fmt: skip
        try:
            return (await requests.create(record, reservation, _entry(record, "request"))).id
        except StateConflictError:
            return None

    won = [winner for winner in await asyncio.gather(*map(create, range(20))) if winner]
    reserved = await requests.application(name)
    assert reserved is not None
    assert won == [reserved.request_id]
    assert [row.key async for row in scan(name, "request:")] == [f"request:{won[0]}"]
    assert [entry.request_id for entry in await _audit(name)] == won


async def test_twenty_creations_of_the_same_request_are_one(world: World) -> None:
    record = await world.order()
    reservation = await requests.application(record.application)
    assert reservation is not None
    again = [requests.create(record, reservation, _entry(record, "request")) for _ in range(20)]
    assert {found.id for found in await asyncio.gather(*again)} == {record.id}
    assert len(await _audit(record.application)) == 1


async def _awaiting(world: World, count: int) -> list[RequestRecord]:
    """Requests that wait for approval, in the partition of one application."""
    first = await world.order()
    soon = (datetime.now(UTC) + timedelta(hours=1)).isoformat()
    need = approval_rules.needed(plans.facts_of(first.body, plans.estimate(first.body), [], destructive=False), "rita")
    plan = PlanReference(
        digest=SHOWN, blob="x", round=1, pins=plans.pins(first.body), summary={}, environments=[], changes=1,
        approvals=[dict(item.document()) for item in need],
    )  # fmt: skip
    update = {"state": RequestState.AWAITING_APPROVAL, "plan": plan, "decide_before": soon}
    records = [first.model_copy(update={**update, "id": f"{first.id[:-4]}{number:04x}"}) for number in range(count)]
    for begin in range(0, count, 100):
        part = [Write(requests.request_key(item.id), item.document()) for item in records[begin : begin + 100]]
        await commit(first.application, part)
    return records


def _call(who: Caller, record: RequestRecord, body: dict[str, Any]) -> Call:
    client: Any = DurableClient()
    headers = {"content-type": "application/json"}
    return Call(who, {"id": record.id}, {}, headers, client, json.dumps(body).encode(), f"/api/requests/{record.id}")


async def _everything_at_once(world: World, record: RequestRecord) -> None:
    """Approve, cancel and expire in the same instant: one wins, and everything that is written says so."""
    claim = ClaimRecord(
        request_id=record.id, application=record.application, body_hash="x", caller="x", state=ClaimState.STARTED,
        claimed_at=utc_now(),
    )  # fmt: skip
    await claims.claim(claim)
    rivals: list[Awaitable[object]] = [
        approve_request(_call(APPROVER, record, {"planDigest": SHOWN})),
        cancel_request(_call(OPERATOR, record, {})),
        world.run("expire_request", ActivityInput(run=run_of(record, "request"))),
    ]

    async def begin(rival: Awaitable[object]) -> object:
        """A decision reads the register before it writes, the expiry does not: everybody may be early or late."""
        for _ in range(random.randrange(5)):  # noqa: S311 - no secret
            await requests.application(record.application)
        return await rival

    outcomes = await asyncio.gather(*map(begin, rivals), return_exceptions=True)
    unexpected = [o for o in outcomes if isinstance(o, BaseException) and not isinstance(o, StateConflictError)]
    assert not unexpected


WON = {
    RequestState.PROVISIONING: ("approve", ["approve"]),
    RequestState.CANCELLED: ("cancel", ["cancel"]),
    RequestState.EXPIRED: ("expire", []),
}


@pytest.mark.parametrize("rounds", [40, pytest.param(200, marks=pytest.mark.long)])
async def test_approve_cancel_and_expire_at_the_same_instant_have_one_winner(world: World, rounds: int) -> None:
    records = await _awaiting(world, rounds)
    for begin in range(0, rounds, AT_ONCE):
        await asyncio.gather(*(_everything_at_once(world, record) for record in records[begin : begin + AT_ONCE]))
    entries: dict[str, list[str]] = {}
    for entry in await _audit(records[0].application):
        entries.setdefault(entry.request_id, []).append(entry.action)
    winners: Counter[str] = Counter()
    for record in records:
        now = await requests.get(record.application, record.id)
        decided = [str(item.decision) for item in await requests.decisions(record.application, record.id)]
        told = entries[record.id]
        # An approval that came first may still be cancelled: two transitions, both told, in this order.
        if told == ["approve", "cancel"]:
            assert (now.state, sorted(decided)) == (RequestState.CANCELLED, ["approve", "cancel"])
        else:
            action, decisions = WON[now.state]
            assert (told, decided) == ([action], decisions)
        assert (now.approved_digest == SHOWN) is ("approve" in told)
        winners["+".join(told)] += 1
    assert winners.total() == rounds
    assert {"approve", "cancel", "expire"} <= {name.split("+")[0] for name in winners}, winners


async def test_the_same_entry_twice_is_one_transition(world: World) -> None:
    record = await world.order()
    changed = Counter[str]()

    def change(old: RequestRecord) -> RequestRecord:
        return old.model_copy(update={"state": RequestState.PLANNING, "round": old.round + 1})

    async def move() -> None:
        expect = [RequestState.RECEIVED]
        new = await requests.transition(
            record.application, record.id, change, _entry(record, "planning"), expect=expect
        )
        changed[new.state] += 1

    await asyncio.gather(*(move() for _ in range(10)))
    assert changed == {RequestState.PLANNING: 10}
    assert (await requests.get(record.application, record.id)).round == 2
    assert [entry.action for entry in await _audit(record.application)] == ["request", "planning"]


async def test_fifty_claims_of_one_key_are_one(world: World) -> None:
    record = await world.order()
    mine = [
        ClaimRecord(
            request_id=f"{record.id}-claim", application=record.application, body_hash=f"{number}", caller="x",
            state=ClaimState.CLAIMED, claimed_at=utc_now(), attempts=("only",),
        )
        for number in range(50)
    ]  # fmt: skip
    held = await asyncio.gather(*map(claims.claim, mine))
    assert len({claim.body_hash for claim in held}) == 1
    assert [claim.request_id async for claim in claims.unfinished() if claim.request_id == mine[0].request_id]
    await claims.withdraw(mine[0].request_id, "only")
    assert await claims.get(mine[0].request_id) is None


async def test_a_lease_has_one_holder_until_it_runs_out(world: World) -> None:
    name = (await world.order()).application
    later = (datetime.now(UTC) + timedelta(minutes=leases.LEASE_MINUTES + 1)).isoformat(timespec="milliseconds")
    later = later.replace("+00:00", "Z")
    holders = await asyncio.gather(*(leases.acquire(name, f"r{number}", utc_now()) for number in range(10)))
    assert len(set(holders)) == 1
    holder = holders[0]
    other = next(f"r{number}" for number in range(10) if f"r{number}" != holder)
    assert await leases.acquire(name, holder, utc_now()) == holder
    assert await leases.acquire(name, other, utc_now()) == holder
    await leases.release(name, other)
    assert await leases.acquire(name, other, utc_now()) == holder
    assert await leases.acquire(name, other, later) == other
    await leases.release(name, holder)
    assert await leases.acquire(name, holder, utc_now()) == other
    await leases.release(name, other)
    assert await leases.acquire(name, holder, utc_now()) == holder


async def test_a_done_step_answers_from_the_register_and_another_input_runs_again(world: World) -> None:
    record = await world.order()
    payload = ActivityInput(run=run_of(record))
    made = await world.value("ensure_repository", payload)
    began = world.position()
    assert await world.value("ensure_repository", payload) == made
    assert {entry["system"] for entry in world.calls(began)} == {"storage"}
    (step,) = await steps.of_request(record.application, record.id)
    assert (step.state, step.attempts, len(step.made)) == (StepState.DONE, 1, 1)
    outputs = {"deployment_client_id": "d", "identity_client_id": "one", "key_vault_uri": "https://kv.vault.azure.net"}
    first = Deployment(run=run_of(record, "deployment", "dev"), outputs=outputs)
    await world.value("ensure_environment", first)
    began = world.position()
    second = first.model_copy(update={"outputs": outputs | {"identity_client_id": "two"}})
    await world.value("ensure_environment", second)
    changed = [entry["body"] for entry in world.calls(began, "github") if entry["method"] == "PATCH"]
    assert changed == [{"value": "two"}]


async def test_nothing_is_started_while_the_kill_switch_is_on(world: World) -> None:
    record = await world.order()
    payload = ActivityInput(run=run_of(record))
    await commit("control", [Write("kill-switch", {"on": True}, force=True)])
    try:
        began = world.position()
        outcome = await world.run("ensure_repository", payload)
        assert outcome.status is OutcomeStatus.CANCELLED
        assert {entry["system"] for entry in world.calls(began)} == {"storage"}
    finally:
        await commit("control", [Write("kill-switch", {"on": False}, force=True)])
    assert (await world.run("ensure_repository", payload)).ok


async def test_nothing_is_started_for_a_request_that_was_cancelled(world: World) -> None:
    record = await world.order()
    await cancel_request(_call(caller("operator", "Operator"), record, {}))
    began = world.position()
    outcome = await world.run("ensure_repository", ActivityInput(run=run_of(record)))
    assert outcome.status is OutcomeStatus.CANCELLED
    assert outcome.problem is not None
    assert "ensure_repository" in outcome.problem.detail
    assert {entry["system"] for entry in world.calls(began)} == {"storage"}
    assert await steps.of_request(record.application, record.id) == []
