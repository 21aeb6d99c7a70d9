"""The data of the archetype is complete, valid, and agrees with the Terraform that it promises."""

import json
import re
from typing import Any

import jsonschema
import pytest
import yaml

from shared.landing_zones import landing_zones
from tests.archetypes.rendering import ARCHETYPES, ROOT

API = ARCHETYPES / "api"
MODULE = ROOT / "infra" / "modules" / "application_environment"
COUNTS: dict[str, dict[str, str | bool]] = {
    "var.runs_in_cluster ? 1 : 0": {},
    "local.with_database ? 1 : 0": {"database": "postgres"},
    "local.with_cluster ? 1 : 0": {"cluster": "dedicated"},
    "var.platform_principal_id == null ? 0 : 1": {"platformAccess": True},
    "var.source_registry_id == null ? 0 : 1": {},
}
ARM_TYPES = {
    "azurerm_resource_group": "Microsoft.Resources/resourceGroups",
    "azurerm_user_assigned_identity": "Microsoft.ManagedIdentity/userAssignedIdentities",
    "azurerm_dns_cname_record": "Microsoft.Network/dnsZones/CNAME",
    "azurerm_key_vault": "Microsoft.KeyVault/vaults",
    "azurerm_kubernetes_cluster": "Microsoft.ContainerService/managedClusters",
    "azurerm_role_assignment": "Microsoft.Authorization/roleAssignments",
    "azurerm_consumption_budget_resource_group": "Microsoft.Consumption/budgets",
    "azurerm_monitor_action_group": "Microsoft.Insights/actionGroups",
    "azurerm_monitor_metric_alert": "Microsoft.Insights/metricAlerts",
    "azurerm_monitor_diagnostic_setting": "Microsoft.Insights/diagnosticSettings",
    "azurerm_postgresql_flexible_server": "Microsoft.DBforPostgreSQL/flexibleServers",
    "azurerm_postgresql_flexible_server_active_directory_administrator": (
        "Microsoft.DBforPostgreSQL/flexibleServers/administrators"
    ),
    "azurerm_postgresql_flexible_server_database": "Microsoft.DBforPostgreSQL/flexibleServers/databases",
}


@pytest.fixture(scope="module")
def archetype() -> dict[str, Any]:
    return dict(yaml.safe_load((API / "archetype.yaml").read_text(encoding="utf-8")))


@pytest.fixture(scope="module")
def objects() -> list[dict[str, Any]]:
    return list(yaml.safe_load((API / "stack.yaml").read_text(encoding="utf-8"))["objects"])


def terraform() -> str:
    return "\n".join(path.read_text(encoding="utf-8") for path in sorted(MODULE.glob("*.tf")))


def test_identity(archetype: dict[str, Any]) -> None:
    assert archetype["id"] == API.name
    assert re.fullmatch(r"\d+\.\d+\.\d+", archetype["version"])
    assert f"\n## {archetype['version']}\n" in (API / "CHANGELOG.md").read_text(encoding="utf-8")
    assert (ROOT / "infra" / "stacks" / archetype["stack"]).is_dir()
    assert yaml.safe_load((API / "stack.yaml").read_text(encoding="utf-8"))["stack"] == archetype["stack"]


def test_parameters_are_a_json_schema_that_a_form_can_show(archetype: dict[str, Any]) -> None:
    schema = archetype["parameters"]
    jsonschema.Draft202012Validator.check_schema(schema)
    assert schema["additionalProperties"] is False
    for name, rule in schema["properties"].items():
        assert {"type", "title", "description", "default", "updateable"} <= set(rule), name
        jsonschema.validate(rule["default"], rule)


@pytest.mark.parametrize("parameters", [{"database": "oracle"}, {"publicEndpoint": "yes"}, {"replicas": 3}])
def test_wrong_parameters_are_refused(archetype: dict[str, Any], parameters: dict[str, Any]) -> None:
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(parameters, archetype["parameters"])


def test_ids_are_unique(archetype: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    for entries in (archetype["steps"], objects):
        ids = [entry["id"] for entry in entries]
        assert len(ids) == len(set(ids))


def test_stack_uses_its_own_words_only(archetype: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    for entry in objects:
        assert entry["system"] in {"azure", "github", "kubernetes"}
        assert entry["owner"] in {"terraform", "app-store", "pipeline"}
        assert entry["scope"] in {"application", "environment", "first-environment", "later-environments"}
        assert set(entry.get("prices", {})) <= set(archetype["environments"])
        assert set(entry.get("when", {})) <= {*archetype["parameters"]["properties"], "platformAccess"}


def test_stack_lists_exactly_what_terraform_makes(objects: list[dict[str, Any]]) -> None:
    made = set()
    for kind, name, body in re.findall(
        r'^resource "(\w+)" "(\w+)" \{\n(.*?)^\}', terraform(), re.MULTILINE | re.DOTALL
    ):
        count = re.search(r"^  count = (.+)$", body, re.MULTILINE)
        condition = tuple(COUNTS[count.group(1)].items()) if count else ()
        made.add((f"module.environment.{kind}.{name}{'[0]' if count else ''}", ARM_TYPES[kind], condition))
    listed = {
        (entry["name"], entry["type"], tuple(entry.get("when", {}).items()))
        for entry in objects
        if entry["owner"] == "terraform"
    }
    assert listed == made


def test_prices_name_the_database_size_that_terraform_orders(objects: list[dict[str, Any]]) -> None:
    sizes = re.findall(r'^    (\w+)\s+= \{ sku_name = "(\w+)", storage_mb = (\d+)', terraform(), re.MULTILINE)
    prices = next(entry["prices"] for entry in objects if entry["id"] == "database-server")
    assert {name for name, _, _ in sizes} == set(prices)
    for environment, sku, megabytes in sizes:
        replicas = prices[environment][f"postgresql.flexible.{sku}"]
        assert prices[environment]["postgresql.storage.gb"] == replicas * int(megabytes) // 1024
        assert replicas == (2 if environment == "prod" else 1)


def test_prices_name_the_nodes_that_the_landing_zones_order(objects: list[dict[str, Any]]) -> None:
    prices = next(entry["prices"] for entry in objects if entry["id"] == "cluster")
    zones = [zone for zone in landing_zones() if zone.cluster == "dedicated"]
    assert zones
    for zone in zones:
        assert prices[str(zone.environment)][f"aks.node.{zone.node_size}"] == zone.node_count


def test_every_price_item_has_a_price(objects: list[dict[str, Any]]) -> None:
    known = json.loads((ROOT / "rules" / "prices.json").read_text(encoding="utf-8"))["items"]
    asked = {item for entry in objects for items in entry.get("prices", {}).values() for item in items}
    assert asked <= set(known)


def test_every_environment_of_a_price_is_complete(archetype: dict[str, Any], objects: list[dict[str, Any]]) -> None:
    for entry in objects:
        if "prices" in entry:
            assert list(entry["prices"]) == archetype["environments"], entry["id"]


def test_names_of_dashboards_leave_room_for_the_request_id() -> None:
    names = [file.stem for file in (ROOT / "archetypes").glob("*/dashboards/*.json")]
    assert names
    assert not [name for name in names if len(f"req-{'0' * 12}-{name}") > 40]
