"""A team's quota: nothing over the limit however many come at once, and everything given back."""

import asyncio
from collections import Counter
from decimal import Decimal
from typing import Any

import pytest

from shared import quotas
from shared.errors import RequestRejectedError
from shared.models.application_request import ApplicationRequest
from shared.models.records import RequestRecord, RequestState
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
    await reservations.reserve(TEAM, "req-much", Use(applications=LIMIT), lambda _: [])
    assert "quota-exceeded" in str(await _order("later-api"))
    await reservations.release(TEAM, "req-much")
    record = await _order("later-api")
    assert isinstance(record, RequestRecord)
    claim = await claims.get(record.id)
    assert claim
    assert claim.owner_team == TEAM
    await _end(world, record)


async def test_twice_is_once(world: World) -> None:
    assert world
    more = Use(applications=1, monthly=Decimal("12.50"), items={"dns.record": Decimal(1)})
    await asyncio.gather(*(reservations.reserve("web", "req-twice", more, lambda _: []) for _ in range(5)))
    assert await reservations.used("web") == more
    await asyncio.gather(*(reservations.release("web", "req-twice") for _ in range(5)))
    assert await reservations.used("web") == Use()


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
