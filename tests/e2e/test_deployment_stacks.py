"""The same environment, made by Terraform in one region and by a deployment stack in another."""

from typing import Any

import pytest

from tests.e2e.driver import Desk

type Document = dict[str, Any]

ENGINES = {"terraform": "westeurope", "deployment_stack": "northeurope"}
OUTCOMES = ("deny", "requireApproval", "warn")
ADMINISTRATOR = "azurerm_postgresql_flexible_server_active_directory_administrator"


def _plans(desk: Desk, database: str) -> dict[str, tuple[str, Document]]:
    """Request id and plan by each engine."""
    parameters = {"database": database, "publicEndpoint": True}
    orders = {
        engine: desk.order(f"by-{engine.replace('_', '-')}-{database[:4]}", region=region, parameters=parameters)
        for engine, region in ENGINES.items()
    }
    plans = {}
    for engine, request_id in orders.items():
        desk.wait(request_id, "awaiting_approval", seconds=300)
        plans[engine] = request_id, desk.call("GET", f"requests/{request_id}/plan", "approver").json()
        assert [item["changeSet"]["engine"] for item in plans[engine][1]["environments"]] == [engine]
    return plans


def _objects(plan: Document) -> set[tuple[str, str, str]]:
    [environment] = plan["environments"]
    return {(item["address"], item["type"], item["action"]) for item in environment["changeSet"]["changes"]}


def _verdicts(plan: Document) -> dict[str, dict[str, list[str]]]:
    """Rule ids by place and outcome."""
    return {
        place: {kind: sorted(item["id"] for item in verdicts[kind]) for kind in OUTCOMES}
        for place, verdicts in plan["verdicts"].items()
    }


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_both_engines_say_the_same_and_both_make_a_running_application(desk: Desk) -> None:
    plans = _plans(desk, "none")
    (_, terraform), (request_id, stack) = plans.values()
    assert _objects(terraform) == _objects(stack)
    assert _verdicts(terraform) == _verdicts(stack)
    assert terraform["approvals"] == stack["approvals"]
    for order, plan in plans.values():
        desk.approve(order, str(desk.request(order)["plan"]["digest"]))
        assert plan["environments"]
    for order, _ in plans.values():
        done = desk.wait(order, "succeeded", "parked", seconds=600)
        assert done["state"] == "succeeded", done["problem"]
        assert (done["result"]["missing"], done["result"]["unplanned"]) == ([], [])
    for name, zone in (("by-terraform-none", "dev"), ("by-deployment-stack-none", "dev-neu")):
        answer = desk.stack.vendors.get(f"https://{name}.{zone}.apps.contoso.com/health")
        assert answer.json()["application"] == name
    assert desk.decide(request_id, "undo", "requester").status_code == 202
    gone = desk.wait(request_id, "undone", "parked", seconds=400)
    assert gone["state"] == "undone", gone["problem"]
    assert [item["type"] for item in gone["residue"] if "Vault" in item["type"]] == ["soft-deleted Key Vault"]


@pytest.mark.long
@pytest.mark.timeout(900)
def test_what_azure_cannot_predict_is_the_only_difference(desk: Desk) -> None:
    (_, terraform), (_, stack) = _plans(desk, "postgres").values()
    apart = _objects(terraform) ^ _objects(stack)
    assert {kind for _, kind, _ in apart} == {ADMINISTRATOR}
    expected = _verdicts(terraform)
    expected["dev"]["requireApproval"] = sorted([*expected["dev"]["requireApproval"], "PLN-018"])
    assert _verdicts(stack) == expected
