"""An application with a cluster of its own, from the order to its health and back to nothing."""

from typing import Any

import pytest

from tests.e2e.driver import Desk

RESOURCES = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups"
ORDERS: dict[str, dict[str, Any]] = {
    "own-cluster-api": {"parameters": {"database": "none", "publicEndpoint": True, "cluster": "dedicated"}},
    "own-cluster-worker": {"archetype": "worker", "parameters": {"scaleToZero": False, "cluster": "dedicated"}},
}


@pytest.mark.long
@pytest.mark.timeout(900)
@pytest.mark.parametrize("name", ORDERS)
def test_it_is_planned_made_used_and_removed(desk: Desk, name: str) -> None:
    request_id, digest = desk.planned(name, monthlyBudget=5000, **ORDERS[name])
    plan = desk.call("GET", f"requests/{request_id}/plan", "approver").json()
    assert [item["name"] for item in plan["changes"] if "kubernetes_cluster" in item["name"]] == [
        "module.environment.azurerm_kubernetes_cluster.dedicated[0]"
    ]
    assert {need["rule"] for need in plan["approvals"]} >= {"platform", "finops"}, "three nodes are not cheap"
    desk.approve(request_id, digest)
    desk.approve(request_id, digest, "finops")
    done = desk.wait(request_id, "succeeded", "parked", seconds=400)
    assert done["state"] == "succeeded", done["problem"]
    assert (done["result"]["missing"], done["result"]["unplanned"]) == ([], [])
    cluster = f"{RESOURCES}/rg-{name}-dev/providers/Microsoft.ContainerService/managedClusters/aks-{name}-dev"
    since = desk.stack.journal()
    used = [item["url"] for item in since if item["method"] == "PUT" and "/managedNamespaces/" in item["url"]]
    assert any(cluster.lower() in url.lower() for url in used), "the namespace is in the new cluster"
    assert desk.decide(request_id, "undo", "requester").status_code == 202
    assert desk.wait(request_id, "undone", "parked", seconds=400)["state"] == "undone"
