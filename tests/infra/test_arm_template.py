"""The ARM template, expanded offline: against another engine, Microsoft's SDK models, and the Terraform module."""

import json
from collections import Counter
from typing import Any

import pytest
from bicep_cost.engine import DeploymentSettings, Engine

from local.vendors import arm
from local.vendors.deployment_stacks.template import Place, Planned, Template
from shared import archetypes
from shared.stack_changes import change_set
from tests.infra.conftest import INFRA, ROOT
from tests.sdk_models import complaints

assert arm  # the package of which deployment stacks are a part

TEMPLATE: dict[str, Any] = json.loads((INFRA / "arm" / "application_environment.json").read_text())
GIVEN: dict[str, Any] = json.loads((ROOT / "tests" / "infra" / "environment.json").read_text())
PRINCIPAL = "50000000-0000-0000-0000-000000000001"
MODELS = {
    "Microsoft.Resources/resourceGroups": ("resource.resources", "ResourceGroup"),
    "Microsoft.ManagedIdentity/userAssignedIdentities": ("msi", "Identity"),
    "Microsoft.KeyVault/vaults": ("keyvault", "VaultCreateOrUpdateParameters"),
    "Microsoft.DBforPostgreSQL/flexibleServers": ("postgresqlflexibleservers", "Server"),
    "Microsoft.DBforPostgreSQL/flexibleServers/databases": ("postgresqlflexibleservers", "Database"),
    "Microsoft.DBforPostgreSQL/flexibleServers/administrators": (
        "postgresqlflexibleservers",
        "AdministratorMicrosoftEntraAdd",
    ),
    "Microsoft.Network/dnsZones/CNAME": ("dns", "RecordSet"),
    "Microsoft.Authorization/roleAssignments": ("authorization", "RoleAssignmentCreateParameters"),
    "Microsoft.Consumption/budgets": ("consumption", "Budget"),
    "Microsoft.Insights/actionGroups": ("monitor", "ActionGroupResource"),
    "Microsoft.Insights/metricAlerts": ("monitor", "MetricAlertResource"),
}
WITHOUT_MODEL = {"Microsoft.Insights/diagnosticSettings"}  # no longer in azure-mgmt-monitor
VARIANTS: dict[str, dict[str, Any]] = {
    "dev": {},
    "without a database": {"database": "none", "alert_webhook": None},
    "public": {"public_network_access": True},
    "prod": {
        "environment": "prod",
        "team_role": "Reader",
        "paired_region": "northeurope",
        "platform_principal_id": PRINCIPAL,
        "source_registry_id": GIVEN["registry_id"].replace("crcontosodev", "crcontosoqa"),
        "monthly_budget": "225.5",
    },
}


def _given(variant: str) -> dict[str, Any]:
    return {**GIVEN, "monthly_budget": str(GIVEN["monthly_budget"]), **VARIANTS[variant]}


def _expanded(given: dict[str, Any]) -> list[Planned]:
    return list(Template(TEMPLATE, given, Place(given["subscription_id"]), lambda _: None).resources())


@pytest.mark.parametrize("variant", VARIANTS)
def test_another_engine_finds_the_same_resources(variant: str) -> None:
    given = _given(variant)
    nothing = {name: None for name, item in TEMPLATE["parameters"].items() if item.get("nullable")}
    engine = Engine(DeploymentSettings(subscription_id=given["subscription_id"]))
    engine.expand(TEMPLATE, nothing | given)
    ours = _expanded(given)
    assert Counter(item.type for item in engine.resources) == Counter(item.type for item in ours)
    names = {item.name.rpartition("/")[2] for item in engine.resources if not item.name.startswith("unknown")}
    assert names == {item.id.rpartition("/")[2] for item in ours if item.id}


@pytest.mark.parametrize("variant", VARIANTS)
def test_every_body_is_one_that_the_sdk_knows(variant: str) -> None:
    found = _expanded(_given(variant))
    assert {item.type for item in found} - MODELS.keys() == WITHOUT_MODEL
    wrong = [(item.symbol, text) for item in found if item.type in MODELS for text in _wrong(item.type, item.body)]
    assert not wrong


def _wrong(kind: str, body: dict[str, Any]) -> list[str]:
    return complaints(*MODELS[kind], body)


@pytest.mark.parametrize(
    ("kind", "path", "value", "said"),
    [
        ("Microsoft.KeyVault/vaults", "properties.sku.name", "gold", "none of"),
        ("Microsoft.KeyVault/vaults", "properties.enableRbac", True, "unknown"),
        ("Microsoft.KeyVault/vaults", "properties.softDeleteRetentionInDays", "7", "no int"),
        ("Microsoft.DBforPostgreSQL/flexibleServers", "properties.fullyQualifiedDomainName", "x", "read-only"),
        ("Microsoft.Insights/metricAlerts", "properties.criteria.allOff", [], "unknown"),
        ("Microsoft.Network/dnsZones/CNAME", "properties.TTL", "300", "no int"),
        ("Microsoft.Authorization/roleAssignments", "properties.principal", PRINCIPAL, "unknown"),
        ("Microsoft.Consumption/budgets", "properties.timeGrain", "Fortnightly", "none of"),
    ],
)
def test_the_models_find_mistakes(kind: str, path: str, value: Any, said: str) -> None:
    body = json.loads(json.dumps(next(item.body for item in _expanded(_given("dev")) if item.type == kind)))
    *parents, last = path.split(".")
    place = body
    for name in parents:
        place = place[name]
    place[last] = value
    assert any(said in text and last in text for text in _wrong(kind, body)), _wrong(kind, body)


def test_a_missing_property_is_found() -> None:
    [vault] = [item.body for item in _expanded(_given("dev")) if item.type == "Microsoft.KeyVault/vaults"]
    smaller = {**vault, "properties": {key: item for key, item in vault["properties"].items() if key != "tenantId"}}
    assert any("tenantId: required" in text for text in _wrong("Microsoft.KeyVault/vaults", smaller))


@pytest.mark.parametrize(("variant", "database"), [("dev", "postgres"), ("without a database", "none")])
def test_it_makes_what_terraform_makes(variant: str, database: str) -> None:
    changes = [
        {"id": item.id, "type": item.type, "changeType": "create", "resourceConfigurationChanges": {"after": item.body}}
        for item in _expanded(_given(variant))
    ]
    parameters = {"database": database, "cluster": "shared", "publicEndpoint": True}
    archetype = archetypes.find("api")
    listed = archetypes.planned_objects(archetype, parameters, ["dev"])
    expected = {item.name for item, _ in listed if item.owner == "terraform"}
    assert {item["address"] for item in change_set(changes, "")["changes"]} == expected


def test_template_and_stack_take_the_same_variables() -> None:
    declared = set(TEMPLATE["parameters"])
    text = (INFRA / "stacks" / "api" / "variables.tf").read_text()
    variables = {line.split('"')[1] for line in text.splitlines() if line.startswith("variable ")}
    assert variables - declared == {"dedicated_cluster"}
    assert declared <= variables
