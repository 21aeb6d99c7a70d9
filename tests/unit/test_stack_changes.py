"""What-if's words become those of the change set: nothing is guessed, nothing secret is shown."""

from typing import Any

import pytest

from shared.errors import PermanentIntegrationError
from shared.stack_changes import change_set

GROUP = "/subscriptions/s/resourceGroups/rg-shop-dev"
VAULT = f"{GROUP}/providers/Microsoft.KeyVault/vaults/kv-shop"
SERVER = f"{GROUP}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-shop"


def _changed(kind: str, identity: str | None, change: str, before: Any = None, after: Any = None) -> dict[str, Any]:
    return {
        "id": identity,
        "type": kind,
        "changeType": change,
        "changeCertainty": "definite",
        "resourceConfigurationChanges": {"before": before, "after": after},
    }


def _one(*arguments: Any) -> dict[str, Any]:
    [found] = change_set([_changed(*arguments)], "v")["changes"]
    return dict(found)


def _vault(**properties: Any) -> dict[str, Any]:
    return {"id": VAULT, "type": "Microsoft.KeyVault/vaults", "location": "northeurope", "properties": properties}


def test_a_vault_is_said_in_the_words_of_the_rules() -> None:
    after = _vault(publicNetworkAccess="Disabled", enableRbacAuthorization=True, networkAcls={"defaultAction": "Deny"})
    found = _one("Microsoft.KeyVault/vaults", VAULT, "create", None, after)
    assert (found["address"], found["type"]) == ("module.environment.azurerm_key_vault.this", "azurerm_key_vault")
    assert (found["action"], found["certainty"], found["unknownPaths"]) == ("create", "definite", [])
    assert found["after"]["public_network_access_enabled"] is False
    assert found["after"]["rbac_authorization_enabled"] is True
    assert found["after"]["purge_protection_enabled"] is None, "what is not written is not known"
    assert found["after"]["network_acls"] == [{"bypass": None, "default_action": "Deny"}]


def test_a_strange_value_is_not_taken_for_switched_off() -> None:
    found = _one("Microsoft.KeyVault/vaults", VAULT, "create", None, _vault(publicNetworkAccess="SecuredByPerimeter"))
    assert found["after"]["public_network_access_enabled"] is None


@pytest.mark.parametrize("path", ["publicNetworkAccess", "networkAcls"])
def test_an_expression_that_azure_evaluates_later_is_unknown(path: str) -> None:
    found = _one("Microsoft.KeyVault/vaults", VAULT, "create", None, _vault(**{path: "[reference('x').y]"}))
    attribute = {"publicNetworkAccess": "public_network_access_enabled", "networkAcls": "network_acls"}[path]
    assert set(found["unknownPaths"]) == {f"properties.{path}", attribute}
    assert not found["after"][attribute]
    assert "reference" not in str(found["after"])


def test_what_is_unsupported_is_unknown_as_a_whole() -> None:
    kind = "Microsoft.DBforPostgreSQL/flexibleServers/administrators"
    found = _one(kind, None, "unsupported")
    assert (found["after"], found["unknownPaths"], found["certainty"]) == ({}, [""], "unknown")
    assert found["address"].endswith("active_directory_administrator.workload[0]")


def test_a_change_without_a_certainty_is_not_certain() -> None:
    change = _changed("Microsoft.KeyVault/vaults", VAULT, "create", None, _vault())
    del change["changeCertainty"]
    assert change_set([change], "v")["changes"][0]["certainty"] == "potential"


@pytest.mark.parametrize(
    ("said", "action"),
    [("create", "create"), ("Modify", "update"), ("noChange", "noop"), ("delete", "delete"), ("detach", "delete")],
)
def test_each_kind_of_change_has_its_action(said: str, action: str) -> None:
    document = change_set([_changed("Microsoft.KeyVault/vaults", VAULT, said, _vault(), _vault())], "v")
    assert document["changes"][0]["action"] == action
    assert document["summary"] == dict.fromkeys(document["summary"], 0) | {action: 1}


def test_a_kind_that_nobody_knows_is_refused() -> None:
    with pytest.raises(PermanentIntegrationError, match="no place in a change set"):
        change_set([_changed("Microsoft.KeyVault/vaults", VAULT, "renamed")], "v")


def test_a_type_that_nobody_knows_keeps_its_name() -> None:
    found = _one("Microsoft.Web/sites", f"{GROUP}/providers/Microsoft.Web/sites/x", "create", None, {"location": "x"})
    assert (found["type"], found["address"]) == ("Microsoft.Web/sites", f"{GROUP}/providers/Microsoft.Web/sites/x")


def test_no_password_is_shown() -> None:
    after = {"properties": {"administratorLoginPassword": "hunter2", "authConfig": {"passwordAuth": "Enabled"}}}
    found = _one("Microsoft.DBforPostgreSQL/flexibleServers", SERVER, "create", None, after)
    assert "hunter2" not in str(found)
    assert found["after"]["authentication"][0]["password_auth_enabled"] is True
    assert found["after"]["administrator_password"], "that there is one is what the rules ask"


def test_what_azure_computes_is_no_difference() -> None:
    there = _vault(publicNetworkAccess="Enabled", vaultUri="https://kv-shop.vault.azure.net/")
    found = _one("Microsoft.KeyVault/vaults", VAULT, "modify", there, _vault(publicNetworkAccess="Disabled"))
    assert found["before"]["properties"] == {"publicNetworkAccess": "Enabled"}
    assert found["before"]["public_network_access_enabled"] is True


@pytest.mark.parametrize(
    ("guid", "role", "address"),
    [
        ("4633458b-17de-408a-b874-0445c86b69e6", "Key Vault Secrets User", "workload_reads_secrets[0]"),
        ("B24988AC-6180-42A0-AB88-20F7382DD24C", "Contributor", "team"),
        ("8e3af657-a8ff-443c-a75c-2fe8c4bcb635", None, None),
    ],
)
def test_a_role_has_its_name_only_if_it_is_one_of_ours(guid: str, role: str | None, address: str | None) -> None:
    identity = f"{GROUP}/providers/Microsoft.Authorization/roleAssignments/1"
    definition = f"/subscriptions/s/providers/Microsoft.Authorization/roleDefinitions/{guid}"
    after = {"properties": {"roleDefinitionId": definition, "principalId": "[reference('w').principalId]"}}
    found = _one("Microsoft.Authorization/roleAssignments", identity, "create", None, after)
    assert found["after"]["role_definition_name"] == role
    assert found["unknownPaths"] == ["properties.principalId"]
    expected = f"module.environment.azurerm_role_assignment.{address}" if address else identity
    assert found["address"] == expected
