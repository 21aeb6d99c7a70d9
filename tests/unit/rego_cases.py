"""Inputs of the rules with the findings they must have; both engines are held to the same table."""

import copy
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Document = dict[str, Any]
NOW = "2026-11-25T08:00:00.000Z"
LEGACY = "legacy"  # a team with exceptions, and the first part of the name of its application
EXCEPTIONS = """
exceptions:
  - {rule: REQ-008, application: legacy-shop, owner: jane@contoso.com, approved_by: ciso@contoso.com,
     reason: booked on the old system, granted: 2026-10-01, expires: 2026-12-31}
  - {rule: REQ-003, team: legacy, owner: jane@contoso.com, approved_by: ciso@contoso.com,
     reason: no longer needed since autumn, granted: 2026-06-01, expires: 2026-11-24}
  - {rule: REQ-012, team: legacy, owner: jane@contoso.com, approved_by: ciso@contoso.com,
     reason: backups are copied elsewhere, granted: 2026-06-01, expires: 2026-11-27}
  - {rule: PLN-004, application: legacy-shop, environment: dev, owner: jane@contoso.com, approved_by: ciso@contoso.com,
     reason: the endpoint arrives in January, granted: 2026-10-01, expires: 2026-12-31}
  - {rule: PLN-013, team: legacy, environment: prod, owner: jane@contoso.com, approved_by: ciso@contoso.com,
     reason: backups are copied elsewhere, granted: 2026-11-25, expires: 2026-12-04}
  - {rule: PRM-009, team: legacy, owner: jane@contoso.com, approved_by: ciso@contoso.com,
     reason: nobody uses it at night, granted: 2026-10-01, expires: 2026-12-31}
"""


@dataclass(frozen=True)
class Case:
    """A question to the rules and its answer: the ids in deny, require_approval and warn."""

    name: str
    package: str
    document: Document
    deny: frozenset[str] = frozenset()
    require_approval: frozenset[str] = frozenset()
    warn: frozenset[str] = frozenset()


def request_body(**changes: Any) -> Document:
    return {
        "name": "payments-api",
        "archetype": "api",
        "description": 'Card payments ${file("/etc/passwd")}\nfor the web shop',
        "ownerTeam": "payments",
        "contact": "payments@example.com",
        "environments": ["dev", "qa", "prod"],
        "region": "westeurope",
        "costCenter": "CC-1001",
        "dataClassification": "internal",
        "criticality": "high",
        "monthlyBudget": "900.00",
        "currency": "EUR",
        "parameters": {"database": "postgres", "publicEndpoint": True},
        "expiresOn": None,
        **changes,
    }


def request_input(**changes: Any) -> Document:
    return {"request": request_body(**changes), "estimate": {"monthly": "212.40"}, "time": NOW}


def resource(kind: str, after: Document, **changes: Any) -> Document:
    return {
        "address": f"module.environment.{kind}.this",
        "type": kind,
        "action": "create",
        "before": None,
        "after": after,
        "unknownPaths": ["id"],
        "replacePaths": [],
        **changes,
    }


def plan_input(environment: str = "dev") -> Document:
    """What the module for one environment plans, with what the rules look at."""
    tags = {
        "application": "payments-api",
        "environment": environment,
        "owner-team": "payments",
        "cost-center": "CC-1001",
        "data-classification": "internal",
        "criticality": "high",
        "managed-by": "terraform",
        "exposure": "public",
        "appstore-request-id": "req-7f3a",
    }
    prod = environment == "prod"
    here = {"location": "westeurope", "tags": tags}
    vault = {
        **here,
        "public_network_access_enabled": False,
        "purge_protection_enabled": prod,
        "rbac_authorization_enabled": True,
    }
    server = {
        **here,
        "public_network_access_enabled": False,
        "backup_retention_days": 35 if prod else 7,
        "geo_redundant_backup_enabled": prod,
        "authentication": [{"active_directory_auth_enabled": True, "password_auth_enabled": False}],
    }
    changes = [
        resource("azurerm_resource_group", here),
        resource("azurerm_key_vault", vault),
        resource("azurerm_postgresql_flexible_server", server),
        resource("azurerm_postgresql_flexible_server_database", {"name": "payments_api"}),
        resource("azurerm_role_assignment", {"role_definition_name": "Reader"}, unknownPaths=["scope"]),
        resource("azurerm_monitor_action_group", {**here, "location": "global"}),
        resource("azurerm_dns_cname_record", {"tags": tags}, action="noop"),
    ]
    summary = {"create": 6, "update": 0, "replace": 0, "delete": 0, "noop": 1}
    return {
        "request": request_body(),
        "environment": environment,
        "changeSet": {"engine": "terraform", "summary": summary, "changes": changes, "drift": [], "outputs": {}},
        "cost": {"monthly": "212.40", "currency": "EUR"},
        "time": NOW,
    }


def planned(change: Callable[[Document], None], environment: str = "dev") -> Document:
    """A good plan, altered; the summary counts what is shown then."""
    document = copy.deepcopy(plan_input(environment))
    change(document)
    shown = document["changeSet"]["changes"]
    actions = [entry.get("action") if isinstance(entry, dict) else None for entry in shown]
    document["changeSet"]["summary"] = {
        action: actions.count(action) for action in ("create", "update", "replace", "delete", "noop")
    }
    return document


def after(kind: str, **values: Any) -> Callable[[Document], None]:
    """Alter planned values of a resource; the value ``...`` removes the attribute."""

    def change(document: Document) -> None:
        target = entry_of(document, kind)["after"]
        for name, value in values.items():
            target.pop(name, None) if value is ... else target.update({name: value})

    return change


def entry(kind: str, **values: Any) -> Callable[[Document], None]:
    return lambda document: entry_of(document, kind).update(values)


def entry_of(document: Document, kind: str) -> Document:
    changes: list[Document] = document["changeSet"]["changes"]
    return next(change for change in changes if change["type"] == kind)


def tags(kind: str, **values: Any) -> Callable[[Document], None]:
    return lambda document: after(kind, tags={**entry_of(document, kind)["after"]["tags"], **values})(document)


def _request(title: str, deny: str = "", approval: str = "", warn: str = "", /, **changes: Any) -> Case:
    return _case(title, "appstore.request", request_input(**changes), deny, approval, warn)


def _plan(
    name: str,
    change: Callable[[Document], None],
    deny: str = "",
    approval: str = "",
    *,
    warn: str = "",
    environment: str = "dev",
) -> Case:
    return _case(name, "appstore.plan", planned(change, environment), deny, approval, warn)


def _case(name: str, package: str, document: Document, /, *expected: str) -> Case:
    return Case(name, package, document, *(frozenset(ids.split()) for ids in expected))


SERVER, VAULT, GROUP = "azurerm_postgresql_flexible_server", "azurerm_key_vault", "azurerm_resource_group"
PASSWORDS = [{"active_directory_auth_enabled": True, "password_auth_enabled": True}]
REDACTED_PASSWORD = {"administrator_password": "(sensitive)"}
IMPLICIT = [{"active_directory_auth_enabled": True}]

REQUEST_CASES = [
    _request("good"),
    _request("name with capitals", "REQ-001", name="Payments-API"),
    _request("name of a number", "REQ-000 REQ-001", name=7),
    _request("name with two hyphens", "REQ-001", name="pay--ments"),
    _request("name ends in a hyphen", "REQ-001", name="payments-"),
    _request("name with a line break", "REQ-001", name="payments-api\n"),
    _request("name too short", "REQ-001", name="pa"),
    _request("name of 32", name="a" * 32),
    _request("name of 33", "REQ-001", name="a" * 33),
    _request("reserved name", "REQ-002", name="platform"),
    _request("reserved prefix", "REQ-002", name="kube-proxy"),
    _request("unknown region", "REQ-003", region="eastus"),
    _request("confidential outside", "REQ-003", "REQ-010", region="northeurope", dataClassification="confidential"),
    _request("internal in the north", region="northeurope"),
    _request("unknown classification", "REQ-004", dataClassification="secret"),
    _request("no environments", "REQ-005", environments=[]),
    _request("prod alone", "REQ-005", environments=["prod"]),
    _request("wrong order", "REQ-005", environments=["qa", "dev"]),
    _request("twice", "REQ-005", environments=["dev", "dev"]),
    _request("unknown environment", "REQ-005", environments=["dev", "test"]),
    _request("environments of text", "REQ-005", environments="dev"),
    _request("budget too small", "REQ-006 REQ-015", monthlyBudget="149.99"),
    _request("budget of words", "REQ-006", monthlyBudget="much"),
    _request("no budget", "REQ-006", monthlyBudget=None),
    _request("budget of next to nothing", "REQ-006 REQ-015", monthlyBudget=5.960464477539063e-08),
    _request("budget below nothing", "REQ-006 REQ-015", monthlyBudget=-0.5),
    _case("large estimate", "appstore.request", {**request_input(), "estimate": {"monthly": 12345678.9}}, "REQ-015"),
    _case("absurd estimate", "appstore.request", {**request_input(), "estimate": {"monthly": 1e21}}, "REQ-015"),
    _request("budget below the estimate", "REQ-015", monthlyBudget=200),
    _request("dollars", "REQ-007", currency="USD"),
    _request("cost centre", "REQ-008", costCenter="1001"),
    _request("criticality", "REQ-009", criticality="vital"),
    _request("confidential and public", "", "REQ-010", dataClassification="confidential"),
    _request("confidential and internal", dataClassification="confidential", parameters={"publicEndpoint": False}),
    _request(
        "confidential and 'yes'", "", "REQ-010", dataClassification="confidential", parameters={"publicEndpoint": "y"}
    ),
    _request("restricted and public", "REQ-011", dataClassification="restricted"),
    _request("restricted and internal", dataClassification="restricted", parameters={}),
    _request("backups too short", "REQ-012", parameters={"backupRetentionDays": 7}),
    _request("backups of text", "REQ-012", parameters={"backupRetentionDays": "14"}),
    _request("backups long enough", parameters={"backupRetentionDays": 14}),
    _request("high without prod", "", "", "REQ-013", environments=["dev"]),
    _request("ends today", "REQ-014", expiresOn="2026-11-25"),
    _request("ends tomorrow", expiresOn="2026-11-26"),
    _request("ends sometime", "REQ-014", expiresOn="sometime"),
    _request("parameters of text", parameters="none"),
    _request(
        "nothing but nulls",
        "REQ-000 REQ-001 REQ-004 REQ-005 REQ-006 REQ-007 REQ-008 REQ-009",
        **dict.fromkeys(request_body()),
    ),
    _case("nothing", "appstore.request", {}, "REQ-000 REQ-001 REQ-004 REQ-005 REQ-006 REQ-007 REQ-008 REQ-009"),
    _case(
        "request of text",
        "appstore.request",
        {"request": "x", "time": NOW},
        "REQ-000 REQ-001 REQ-004 REQ-005 REQ-006 REQ-007 REQ-008 REQ-009",
    ),
    _case("estimate of nothing", "appstore.request", {**request_input(), "estimate": {}}, "REQ-015"),
    _case("estimate of text", "appstore.request", {**request_input(), "estimate": "x"}, "REQ-015"),
    _case("no time", "appstore.request", {"request": request_body()}, "REQ-000"),
]

PLAN_CASES = [
    _plan("good", lambda _: None),
    _plan("good in prod", lambda _: None, environment="prod"),
    _plan("no time", lambda plan: plan.pop("time"), "PLN-000"),
    _plan("unknown environment", lambda plan: plan.update(environment="test"), "PLN-000 PLN-003"),
    _plan("no cost", lambda plan: plan.update(cost=None), "PLN-000"),
    _plan("costs of words", lambda plan: plan.update(cost={"monthly": "x"}), "PLN-000"),
    _plan("costs nothing", lambda plan: plan.update(cost={"monthly": "0.00"})),
    _plan("unreadable change", lambda plan: plan["changeSet"]["changes"].append("x"), "PLN-000"),
    _plan("no planned values", entry(VAULT, after=None), "PLN-000"),
    _plan("no unknown paths", entry(VAULT, unknownPaths=None), "PLN-000"),
    _plan("no changes", lambda plan: plan["changeSet"].update(changes=[]), "PLN-001"),
    _plan("tag missing", after(GROUP, tags={}), "PLN-002"),
    _plan("tags missing", after(GROUP, tags=...), "PLN-002"),
    _plan("tag null", tags(GROUP, criticality=None), "PLN-002"),
    _plan("tag of another team", tags(GROUP, **{"owner-team": "web"}), "PLN-003"),
    _plan("tag of another stage", tags(GROUP, environment="prod"), "PLN-003"),
    _plan("public vault", after(VAULT, public_network_access_enabled=True), "PLN-004"),
    _plan("public database", after(SERVER, public_network_access_enabled=True), "PLN-004"),
    _plan("implicit network", after(SERVER, public_network_access_enabled=...), "PLN-004"),
    _plan("null network", after(SERVER, public_network_access_enabled=None), "PLN-004"),
    _plan("network of text", after(SERVER, public_network_access_enabled="false"), "PLN-004"),
    _plan("purge in prod", after(VAULT, purge_protection_enabled=False), "PLN-005", environment="prod"),
    _plan("implicit purge in prod", after(VAULT, purge_protection_enabled=...), "PLN-005", environment="prod"),
    _plan("passwords", after(SERVER, authentication=PASSWORDS), "PLN-006"),
    _plan("implicit passwords", after(SERVER, authentication=IMPLICIT), "PLN-006"),
    _plan("no authentication", after(SERVER, authentication=...), "PLN-006"),
    _plan("administrator", after(SERVER, **REDACTED_PASSWORD), "PLN-006"),
    _plan("database replaced", entry(SERVER, action="replace"), "", "PLN-007"),
    _plan("database deleted", entry(SERVER, action="delete", after=None), "", "PLN-007"),
    _plan("alert deleted", entry("azurerm_monitor_action_group", action="delete", after=None), warn="PLN-014"),
    _plan("unexpected", entry(GROUP, type="azurerm_public_ip"), "PLN-008"),
    _plan("unexpected, deleted", entry(GROUP, type="azurerm_public_ip", action="delete"), "PLN-008", warn="PLN-014"),
    _plan("owner", after("azurerm_role_assignment", role_definition_name="Owner"), "PLN-009"),
    _plan("role of a number", after("azurerm_role_assignment", role_definition_name=1e-8), "PLN-009"),
    _plan("role by id", after("azurerm_role_assignment", role_definition_name=...), "PLN-009"),
    _plan("contributor in dev", after("azurerm_role_assignment", role_definition_name="Contributor")),
    _plan(
        "contributor in prod",
        after("azurerm_role_assignment", role_definition_name="Contributor"),
        "PLN-009",
        environment="prod",
    ),
    _plan("unknown protection", entry(SERVER, unknownPaths=["authentication[0].tenant_id"]), "PLN-010"),
    _plan("unknown and absent", entry(VAULT, unknownPaths=["/network_acls/0/default_action"]), "PLN-010"),
    _plan("unknown as a whole", entry(VAULT, unknownPaths=[""]), "PLN-010"),
    _plan("unknown network", entry(VAULT, unknownPaths=["public_network_access_enabled"]), "PLN-010"),
    _plan("unknown identity", entry(VAULT, unknownPaths=["id", "vault_uri", "tags.owner"])),
    _plan("unknown action", entry(GROUP, action="forget"), "PLN-011"),
    _plan("dear", lambda plan: plan.update(cost={"monthly": "500.01"}), "", "PLN-012"),
    _plan("very dear", lambda plan: plan.update(cost={"monthly": 12345678.9}), "", "PLN-012"),
    _plan("at the threshold", lambda plan: plan.update(cost={"monthly": 500})),
    _plan("backups", after(SERVER, backup_retention_days=6), "PLN-013"),
    _plan("implicit backups", after(SERVER, backup_retention_days=...), "PLN-013"),
    _plan("backups in prod", after(SERVER, backup_retention_days=13), "PLN-013", environment="prod"),
    _plan("local backups in prod", after(SERVER, geo_redundant_backup_enabled=False), "PLN-013", environment="prod"),
    _plan("drift", lambda plan: plan["changeSet"].update(drift=[{"address": "x"}]), warn="PLN-015"),
    _plan("not predicted", lambda plan: plan["changeSet"]["changes"][0].update(certainty="unknown"), "", "PLN-018"),
    _plan("vault policies", after(VAULT, rbac_authorization_enabled=...), "PLN-016"),
    _plan("elsewhere", after(GROUP, location="East US"), "PLN-017"),
    _plan("long name of the region", after(GROUP, location="West Europe")),
    _case("nothing", "appstore.plan", {}, "PLN-000 PLN-001"),
    _case("no change set", "appstore.plan", {**plan_input(), "changeSet": "<html>"}, "PLN-001"),
    _case(
        "forged summary",
        "appstore.plan",
        {**plan_input(), "changeSet": {**plan_input()["changeSet"], "summary": {"create": 6}}},
        "PLN-001",
    ),
]


def legacy(document: Document) -> None:
    """Make a document that of the application with exceptions."""
    document["request"].update(name="legacy-shop", ownerTeam=LEGACY)
    for change in document.get("changeSet", {"changes": []})["changes"]:
        change["after"].get("tags", {}).update(application="legacy-shop", **{"owner-team": LEGACY})


def _of_legacy(name: str, deny: str = "", warn: str = "", **changes: Any) -> Case:
    document = request_input(**changes)
    legacy(document)
    return _case(name, "appstore.request", document, deny, "", warn)


def _both(*changes: Callable[[Document], None]) -> Callable[[Document], None]:
    def all_of(document: Document) -> None:
        for change in changes:
            change(document)

    return all_of


SHORT, OPEN = after(SERVER, backup_retention_days=1), after(VAULT, public_network_access_enabled=True)
EXCEPTION_CASES = [
    _of_legacy("nothing excepted", "", "REQ-091 REQ-092"),
    _of_legacy("excepted cost centre", "", "REQ-090 REQ-091 REQ-092", costCenter="4711"),
    _of_legacy("ended exception", "REQ-003", "REQ-091 REQ-092", region="eastus"),
    _of_legacy("ends in two days", "", "REQ-090 REQ-091 REQ-092", parameters={"backupRetentionDays": 1}),
    _plan("excepted network", _both(legacy, OPEN), warn="PLN-090"),
    _plan("network of another environment", _both(legacy, OPEN), "PLN-004", warn="PLN-092", environment="prod"),
    _plan("excepted backups", _both(legacy, SHORT), warn="PLN-090 PLN-092", environment="prod"),
    _plan("backups of another environment", _both(legacy, SHORT), "PLN-013"),
]

CASES = REQUEST_CASES + PLAN_CASES + EXCEPTION_CASES
