"""The inventory: every row of every page, whatever the service says about itself, and no row keeps the others."""

from typing import Any

import pytest

from shared.clients.resource_graph import InventoryItem, Unreadable, query_of, read_inventory
from shared.errors import TransientIntegrationError
from tests.e2e import contracts
from tests.integration.world import SUBSCRIPTION, World

DISKS = ["Microsoft.Compute/disks"]
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-inventory"

type Document = dict[str, Any]


@pytest.fixture
async def graph(world: World) -> World:
    """The index as it is at first, with nothing of an earlier test, nor the disks that others left in Azure."""
    world.reset("resource_graph")
    left, _ = await read()
    for item in left:
        world.azure(item.id, "2025-01-02", "DELETE")
    return world


def indexed(world: World, count: int, **changes: Document) -> None:
    """So many disks that only the index has; rows by number may be something else."""
    rows = {f"row/{number:05d}": changes.get(f"row{number}", disk(number)) for number in range(count)}
    world.seed("resource_graph", rows)


def disk(number: int) -> Document:
    path = f"{GROUP}/providers/Microsoft.Compute/disks/disk-{number:05d}"
    return {
        "id": path,
        "name": path.rpartition("/")[2],
        "type": "microsoft.compute/disks",
        "location": "westeurope",
        "resourceGroup": "rg-inventory",
        "subscriptionId": SUBSCRIPTION,
        "managedBy": "",
        "tags": None,
        "sku": {"name": "Premium_LRS"},
        "properties": {"diskState": "Unattached", "diskSizeGB": number},
    }


async def read(*groups: str) -> tuple[list[InventoryItem], list[Unreadable]]:
    items, unreadable = [], []
    async for found in read_inventory([SUBSCRIPTION], DISKS, groups):
        if isinstance(found, Unreadable):
            unreadable.append(found)
        else:
            items.append(found)
    return items, unreadable


async def test_every_page_is_read_although_nothing_is_said_to_be_truncated(graph: World) -> None:
    indexed(graph, 3500)
    before = graph.position()
    items, unreadable = await read()
    assert [item.name for item in items] == [f"disk-{number:05d}" for number in range(3500)]
    assert unreadable == []
    answered = [call for call in graph.calls(before, "resource_graph") if call["status"] == 200]
    assert len(answered) == 4, "others may have used up the quota: that is waited for"
    assert graph.committed(before, "PUT|PATCH|DELETE", ".") == 0


async def test_the_estate_is_in_it(graph: World) -> None:
    graph.azure(GROUP, "2025-04-01", "PUT", {"location": "westeurope"})
    path = f"{GROUP}/providers/Microsoft.Compute/disks/Disk-A"
    body = {"location": "westeurope", "tags": {"Owner": "x"}, "properties": {"diskState": "Unattached"}}
    graph.azure(path, "2025-01-02", "PUT", body)
    [found], _ = await read("RG-Inventory")
    assert (found.id, found.resource_group, found.tags) == (path, "rg-inventory", {"Owner": "x"})
    assert found.properties
    assert found.properties["diskState"] == "Unattached"
    assert await read("rg-other") == ([], [])
    graph.azure(path, "2025-01-02", "DELETE")


async def test_a_row_that_cannot_be_read_keeps_no_other(graph: World) -> None:
    broken = {"row2": disk(2) | {"tags": ["not", "a", "map"]}, "row4": disk(4) | {"id": None}}
    indexed(graph, 6, **broken)
    items, unreadable = await read()
    assert [item.name for item in items] == ["disk-00000", "disk-00001", "disk-00003", "disk-00005"]
    assert [found.why.partition(":")[0] for found in unreadable] == [str(disk(2)["id"]), "None"]


@pytest.mark.parametrize("says", [{"resultTruncated": "true"}, {"totalRecords": 7}, {"data": {"rows": []}}])
async def test_half_an_inventory_is_none(graph: World, says: Document) -> None:
    indexed(graph, 3)
    graph.seed("resource_graph", {"settings/says": says})
    with pytest.raises(TransientIntegrationError):
        await read()


async def test_a_quota_that_is_used_up_is_waited_for(graph: World) -> None:
    indexed(graph, 5)
    graph.seed("resource_graph", {"settings/page": {"size": 2}, "settings/limit": {"calls": 2, "seconds": 1.0}})
    before = graph.position()
    items, _ = await read()
    assert len(items) == 5
    assert 429 in [call["status"] for call in graph.calls(before, "resource_graph")]


async def test_a_name_cannot_become_a_query() -> None:
    with pytest.raises(ValueError, match="not a type"):
        query_of(["x/y') or true or type in~ ('"])
    with pytest.raises(ValueError, match="not a type"):
        query_of(DISKS, ["rg') | project id"])


async def test_the_query_is_what_the_contract_says(graph: World) -> None:
    check = contracts.load_check()
    if check is None:
        pytest.skip("the vendors' contracts are not here: the inventory was not held against its contract")
    indexed(graph, 3)
    graph.seed("resource_graph", {"settings/page": {"size": 2}})
    before = graph.position()
    await read("rg-inventory")
    calls = graph.calls(before, "resource_graph")
    assert len(calls) == 2
    newer = "api-version 2022-10-01, SDK offers ['2021-03-01']"  # the reference documents both, with the same body
    found = [complaint.partition(": ")[2] for call in calls for complaint in contracts.complaints(check, call)]
    assert found == [newer, newer]
