"""A team's quota: nothing over the limit however many come at once, and everything given back."""

import asyncio
import random
from collections import Counter
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any

import pytest

from shared import allotments, quotas
from shared import plan as plans
from shared.errors import RequestRejectedError
from shared.instance_ids import request_id
from shared.models.application_request import ApplicationRequest
from shared.models.records import ClaimRecord, ClaimState, RequestRecord, RequestState
from shared.models.runs import FinishRequest
from shared.quotas import Use
from shared.register import claims, requests, reservations
from shared.register.audit import Entry
from tests.e2e.driver import body
from tests.integration.world import REQUESTER, DurableClient, World, caller, run_of
from triggers._intake import judge, preview_document, take_in

TEAM = "security"
SOMEBODY = caller("somebody", "Requester", teams=(TEAM,))
LIMIT = quotas.find(TEAM).applications
_S = RequestState


def _wanted(name: str) -> ApplicationRequest:
    return ApplicationRequest.model_validate(body(name, ownerTeam=TEAM, environments=["dev"]))


async def _order(name: str, key: str = "") -> RequestRecord | str:
    """The request, or the code and words of the refusal."""
    client: Any = DurableClient()
    try:
        return await take_in(client, SOMEBODY, key or f"quota-{name}", await judge(_wanted(name), SOMEBODY))
    except RequestRejectedError as error:
        return f"{error.status} {error.code}: {error.detail}"


async def _end(world: World, record: RequestRecord) -> None:
    """Undo a request of which nothing was made; the last step comes twice."""
    await _move(record, _S.RECEIVED, _S.CANCELLED)
    await _move(record, _S.CANCELLED, _S.UNDOING)
    finish = FinishRequest(run=run_of(record, "undo", undo=True), state="undone")
    for _ in range(2):
        await world.value("finish_request", finish)


async def _move(record: RequestRecord, old: RequestState, new: RequestState) -> None:
    entry = Entry(f"{record.id}:{new}", record.created_at, "somebody", new, record.id, "not needed")
    change = {"state": new}
    await requests.transition(
        record.application, record.id, lambda row: row.model_copy(update=change), entry, expect=[old]
    )


@pytest.mark.parametrize("count", [30, pytest.param(100, marks=pytest.mark.long)])
async def test_many_at_once_take_what_there_is_and_give_it_back(world: World, count: int) -> None:
    outcomes = await asyncio.gather(*(_order(f"quota{count}-{n}-api") for n in range(count)))
    taken = [outcome for outcome in outcomes if isinstance(outcome, RequestRecord)]
    assert len(taken) == LIMIT
    refused = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
    assert list(refused.values()) == [count - LIMIT]
    assert "409 quota-exceeded: The quota of security is used up: 10 of 10 applications are in use" in next(
        iter(refused)
    )
    assert (await reservations.used(TEAM)).applications == LIMIT
    again = await _order(taken[0].application)
    assert isinstance(again, RequestRecord)
    assert again.id == taken[0].id
    preview = preview_document(await judge(_wanted("late-api"), SOMEBODY))
    assert preview["quota"]["exceeded"] == ["10 of 10 applications are in use"]
    for record in taken:
        await _end(world, record)
    assert await reservations.used(TEAM) == Use()


async def test_a_refused_name_takes_nothing(world: World) -> None:
    assert world
    first = await _order("once-api")
    assert isinstance(first, RequestRecord)
    before = await reservations.used(TEAM)
    assert str(await _order("once-api", "another-key")).startswith("409 name-taken")
    assert await reservations.used(TEAM) == before
    await _end(world, first)


async def test_a_refused_request_may_be_sent_again_under_its_key(world: World) -> None:
    assert world
    await reservations.reserve(TEAM, "req-much", Use(applications=LIMIT), _anything)
    assert "quota-exceeded" in str(await _order("later-api"))
    await reservations.close(TEAM, "req-much")
    record = await _order("later-api")
    assert isinstance(record, RequestRecord)
    claim = await claims.get(record.id)
    assert claim
    assert claim.owner_team == TEAM
    await _end(world, record)


def _anything(_used: Use, _more: Use) -> list[str]:
    return []


async def test_twice_is_once(world: World) -> None:
    assert world
    more = Use(applications=1, monthly=Decimal("12.50"), items={"dns.record": Decimal(1)})
    await asyncio.gather(*(reservations.reserve("web", "req-twice", more, _anything) for _ in range(5)))
    assert await reservations.used("web") == more
    await asyncio.gather(*(reservations.close("web", "req-twice") for _ in range(5)))
    assert await reservations.used("web") == Use()
    await reservations.reserve("web", "req-twice", more, _anything)
    assert await reservations.used("web") == Use(), "an attempt that comes after the end reserves nothing"


# -- attempts that come at the same time -----------------------------------------------------------------------------


@pytest.mark.parametrize("seed", range(8))
async def test_a_reservation_lasts_as_long_as_its_last_holder(world: World, seed: int) -> None:
    """Whatever attempts, sweep and request do in whatever order: the sum is what a simple model says."""
    assert world
    draw = random.Random(seed)  # noqa: S311 - a test that can be repeated
    kinds = ["attempt", "attempt", "let go", "sweep", "request", "close"]
    await _play(f"req-walk-{seed}", [(draw.choice(kinds), draw.choice("abc")) for _ in range(12)])


async def _play(request: str, calls: list[tuple[str, str]]) -> None:
    more, closed = Use(applications=1), False
    holders: set[str] = set()
    before = (await reservations.used("web")).applications
    for call, name in calls:
        match call:
            case "attempt":
                await reservations.reserve("web", request, more, _anything, name)
                holders.add(name)
            case "let go":
                await reservations.let_go("web", request, name)
                holders -= {name}
            case "sweep":
                await reservations.let_go("web", request)
                holders &= {reservations.REQUEST}
            case "request":
                await reservations.reserve("web", request, more, _anything)
                holders = {reservations.REQUEST}
            case _:
                await reservations.close("web", request)
                closed = True
        wanted = bool(holders) and not closed
        assert (await reservations.used("web")).applications - before == wanted, calls
    await reservations.close("web", request)


async def test_an_attempt_that_fails_takes_nothing_from_the_one_that_goes_on(world: World) -> None:
    """Two attempts under one key: the landing zone is full for the first, and has room again for the second."""
    identifier, attempts = "req-" + "5" * 32, ("first", "second")
    judged = await judge(ApplicationRequest.model_validate(body("both-api", **OWN)), REQUESTER)
    before = await reservations.used("payments")
    fill = Use(items={"dev-weu-dedicated": Decimal(ROOM)})
    await reservations.reserve("payments", identifier, quotas.use_of(judged.estimate), _anything, "second")
    await reservations.reserve(reservations.ZONES, "req-full", fill, _anything)
    zones = [zone.name for zone in judged.zones.values()]
    with pytest.raises(RequestRejectedError, match="There is no room"):
        await allotments.take(identifier, "payments", judged.estimate, zones, holder="first")
    assert (await reservations.used("payments")).applications == before.applications + 1
    await reservations.close(reservations.ZONES, "req-full")
    await allotments.take(identifier, "payments", judged.estimate, zones, holder="second")
    await asyncio.gather(*(allotments.let_go(identifier, "payments", "first") for _ in attempts))
    assert (await reservations.used("payments")).applications == before.applications + 1
    assert await _placed("dev-weu-dedicated") == 1
    await allotments.give_back(identifier, "payments")
    assert await reservations.used("payments") == before
    assert world


async def test_attempts_under_one_key_with_one_place_left_are_one_request(world: World) -> None:
    """Ten attempts of each of five requests race for the last two places; what they leave is what was taken in."""
    await reservations.reserve(TEAM, "req-most", Use(applications=LIMIT - 2), _anything)
    orders = [(f"race{number}-api", f"race-{number}") for number in range(5)] * 10
    outcomes = await asyncio.gather(*(_order(*order) for order in orders))
    taken = {outcome.id: outcome for outcome in outcomes if isinstance(outcome, RequestRecord)}
    assert len(taken) == 2
    assert (await reservations.used(TEAM)).applications == LIMIT
    for record in taken.values():
        await _end(world, record)
    await reservations.close(TEAM, "req-most")
    assert await reservations.used(TEAM) == Use()
    for name, key in orders[:5]:
        claim = await claims.get(request_id(SOMEBODY.tenant, SOMEBODY.id, key))
        assert (claim is not None) == (name in {record.application for record in taken.values()})


async def test_a_claim_lives_as_long_as_its_last_attempt(world: World) -> None:
    assert world
    mine = ClaimRecord(
        request_id="req-" + "6" * 32,
        application="shared-api",
        body_hash="b" * 64,
        caller="somebody",
        state=ClaimState.CLAIMED,
        claimed_at=datetime.now(UTC).isoformat(),
    )
    attempts = [mine.model_copy(update={"attempts": (name,)}) for name in ("one", "two")]
    await asyncio.gather(*map(claims.claim, attempts))
    other = mine.model_copy(update={"attempts": ("three",), "body_hash": "c" * 64})
    assert (await claims.claim(other)).body_hash == mine.body_hash
    await asyncio.gather(*(claims.withdraw(mine.request_id, "one") for _ in range(3)))
    seen = await claims.get(mine.request_id)
    assert seen
    assert seen.attempts == ("two",)
    await claims.claim(attempts[0])
    await claims.abandon(seen)
    assert await claims.get(mine.request_id), "somebody came under it since it was seen"
    for name in ("one", "two"):
        await claims.withdraw(mine.request_id, name)
    assert (await claims.claim(other)).body_hash == other.body_hash, "the key may be used for something else now"
    await claims.withdraw(mine.request_id, "three")


async def test_what_a_sweep_gave_up_is_taken_again_with_the_plan_or_the_request_is_parked(world: World) -> None:
    """The sweep took a slow attempt for dead: the plan takes its share again, within the limits."""
    record = await _order("slow-api")
    assert isinstance(record, RequestRecord)
    await allotments.let_go(record.id, TEAM)
    assert await reservations.used(TEAM) == Use()
    zones = [str(zone["name"]) for zone in record.zones.values()]
    await reservations.reserve(TEAM, "req-quick", Use(applications=LIMIT), _anything)
    with pytest.raises(RequestRejectedError, match="10 of 10 applications are in use"):
        await allotments.take(record.id, TEAM, plans.estimate(record.body), zones)
    await reservations.close(TEAM, "req-quick")
    for _ in range(2):
        await allotments.take(record.id, TEAM, plans.estimate(record.body), zones)
    assert (await reservations.used(TEAM)).applications == 1
    await allotments.let_go(record.id, TEAM)
    assert (await reservations.used(TEAM)).applications == 1, "what the request itself holds is no attempt's to give"
    await _end(world, record)


async def test_a_plan_for_another_landing_zone_frees_the_first_one(world: World) -> None:
    record = await _order("moving-api")
    assert isinstance(record, RequestRecord)
    cost = plans.estimate(record.body)
    before = [await _placed(zone) for zone in ("dev-weu", "dev-weu-dedicated")]
    await asyncio.gather(*(allotments.take(record.id, TEAM, cost, ["dev-weu-dedicated"]) for _ in range(5)))
    after = [await _placed(zone) for zone in ("dev-weu", "dev-weu-dedicated")]
    assert after == [before[0] - 1, before[1] + 1]
    fill = Use(items={"dev-weu-dedicated": ROOM - after[1]})
    await reservations.reserve(reservations.ZONES, "req-fill", fill, _anything)
    await allotments.take(record.id, TEAM, cost, ["dev-weu-dedicated"])  # it is there already: a full zone keeps it
    await reservations.close(reservations.ZONES, "req-fill")
    await _end(world, record)
    assert [await _placed(zone) for zone in ("dev-weu", "dev-weu-dedicated")] == [before[0] - 1, before[1]]


# -- landing zones ---------------------------------------------------------------------------------------------------

OWN: dict[str, Any] = {"parameters": {"cluster": "dedicated"}, "monthlyBudget": 5000}
ROOM = 10  # of dev-weu-dedicated


async def _own(name: str) -> RequestRecord | str:
    """An application with a cluster of its own, or the code and words of the refusal."""
    client: Any = DurableClient()
    try:
        judged = await judge(ApplicationRequest.model_validate(body(name, **OWN)), REQUESTER)
        return await take_in(client, REQUESTER, f"zone-{name}", judged)
    except RequestRejectedError as error:
        return f"{error.status} {error.code}: {error.detail}"


async def _placed(zone: str) -> Decimal:
    return (await reservations.used(reservations.ZONES)).items.get(zone, Decimal(0))


@pytest.mark.parametrize("count", [20, pytest.param(100, marks=pytest.mark.long)])
async def test_a_landing_zone_takes_what_it_has_room_for(world: World, count: int) -> None:
    team = await reservations.used("payments")
    outcomes = await asyncio.gather(*(_own(f"zone{count}-{n}-api") for n in range(count)))
    taken = [outcome for outcome in outcomes if isinstance(outcome, RequestRecord)]
    assert len(taken) == ROOM == await _placed("dev-weu-dedicated")
    refused = Counter(outcome for outcome in outcomes if isinstance(outcome, str))
    assert list(refused.values()) == [count - ROOM]
    assert "409 landing-zone-full: There is no room: dev-weu-dedicated takes 10 applications and has 10" in next(
        iter(refused)
    )
    used = await reservations.used("payments")
    assert used.applications == team.applications + ROOM, "who found no room takes nothing of the team's quota"
    late = preview_document(await judge(ApplicationRequest.model_validate(body("late-api", **OWN)), REQUESTER))
    assert late["full"] == ["dev-weu-dedicated takes 10 applications and has 10"]
    for record in taken:
        await _end(world, record)
    assert await _placed("dev-weu-dedicated") == 0
    assert await reservations.used("payments") == team


async def test_a_dedicated_cluster_is_priced_and_planned(world: World) -> None:
    assert world
    shared = preview_document(await judge(ApplicationRequest.model_validate(body("plain-api")), REQUESTER))
    own = preview_document(await judge(ApplicationRequest.model_validate(body("own-api", **OWN)), REQUESTER))
    keys = {line["key"]: Decimal(line["quantity"]) for line in own["estimate"]["lines"]}
    assert (keys["aks.node.Standard_D4ds_v5"], keys["load_balancer.standard"]) == (Decimal(3), Decimal(1))
    assert "aks.namespace.small" not in keys
    assert Decimal(own["estimate"]["monthly"]) > Decimal(shared["estimate"]["monthly"]) + 500
    made = {change["type"] for change in own["changes"]} - {change["type"] for change in shared["changes"]}
    assert made == {"Microsoft.ContainerService/managedClusters"}
    assert own["landingZones"] == {"dev": "dev-weu-dedicated"}


async def test_where_no_landing_zone_offers_a_cluster_the_closest_rows_are_named(world: World) -> None:
    assert world
    wanted = ApplicationRequest.model_validate(body("own-api", environments=["dev", "qa"], **OWN))
    with pytest.raises(RequestRejectedError) as caught:
        await judge(wanted, REQUESTER)
    assert (caught.value.status, caught.value.code) == (422, "no-landing-zone")
    assert "environment qa, region westeurope, classification internal, dedicated cluster" in caught.value.detail
    assert "Closest: qa-weu (shared cluster); dev-weu-dedicated (environment dev)" in caught.value.detail
