"""Who is in more groups than a token holds is still in a team, and nobody else is."""

import pytest

from shared.errors import IntegrationError
from shared.identity import Caller, authenticate
from tests.integration.world import World


async def _caller(world: World, name: str, **entry: object) -> Caller:
    world.seed("entra", {f"personas/{name}": {"roles": ["Requester"], "teams": [], **entry}})
    return await authenticate({key.lower(): value for key, value in world.stack.bearer(name).items()})


async def test_groups_come_from_graph_when_the_token_has_too_many(world: World) -> None:
    began = world.position()
    found = await _caller(world, "everywhere", teams=["payments", "unknown-to-us"], overage=True)
    assert found.teams == {"payments"}
    (asked,) = world.calls(began, "microsoft_graph")
    assert asked["url"].endswith("/checkMemberGroups")


async def test_a_token_with_groups_asks_nobody(world: World) -> None:
    began = world.position()
    assert (await _caller(world, "somewhere", teams=["web"])).teams == {"web"}
    assert not world.calls(began, "microsoft_graph")


async def test_without_graph_nobody_is_let_in_with_fewer_groups(world: World) -> None:
    world.fault(system="microsoft_graph", path="/checkMemberGroups$", mode="status", status=403, times=None)
    with pytest.raises(IntegrationError, match="check member groups"):
        await _caller(world, "nobody-knows", teams=["web"], overage=True)
