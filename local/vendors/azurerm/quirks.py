"""What the azurerm provider does around a plain create, read and delete, per type."""

import uuid
from typing import Any

from .client import ArmClient, ProviderError
from .mapping import KINDS, State

ROLE_DEFINITIONS = "providers/Microsoft.Authorization/roleDefinitions"
GROUPS_VERSION = KINDS["azurerm_resource_group"]["api_version"]
VAULT_VERSION = KINDS["azurerm_key_vault"]["api_version"]
ROLES_VERSION = KINDS["azurerm_role_assignment"]["api_version"]


def before_create(client: ArmClient, kind: str, state: State, features: dict[str, Any], subscription: str) -> State:
    """What creation looks up first; the state with what it found."""
    if kind == "azurerm_role_assignment":
        name = state.get("name") or str(uuid.uuid4())
        definition = state.get("role_definition_id") or _role(
            client, state["scope"], "name", state["role_definition_name"]
        )
        return {**state, "name": name, "role_definition_id": definition}
    if kind == "azurerm_key_vault" and _deleted(client, state, subscription) is not None:
        if not features.get("key_vault", {}).get("recover_soft_deleted_key_vaults", True):
            raise ProviderError(
                f'An existing soft-deleted Key Vault exists with the Name "{state["name"]}" in the location '
                f'"{state["location"]}", however automatically recovering this KeyVault has been disabled via the '
                '"features" block.'
            )
        return {**state, "~recover": True}
    return state


def after_read(client: ArmClient, kind: str, state: State) -> State:
    if kind == "azurerm_role_assignment":
        definition = state["role_definition_id"]
        return {**state, "role_definition_name": _role(client, state["scope"], "id", definition)}
    return state


def before_delete(client: ArmClient, kind: str, state: State, features: dict[str, Any]) -> None:
    """A group is not removed with what others put there, unless the features block allows it."""
    guard = features.get("resource_group", {}).get("prevent_deletion_if_contains_resources", True)
    if kind != "azurerm_resource_group" or not guard:
        return
    listed = client.get(f"{state['id']}/resources", GROUPS_VERSION) or {"value": []}
    names = [item["id"] for item in listed["value"]]
    if names:
        text = "\n".join(f"* `{name}`" for name in names)
        raise ProviderError(
            f'deleting Resource Group "{state["name"]}": the Resource Group still contains Resources.\n\nTerraform is '
            "configured to check for Resources within the Resource Group when deleting the Resource Group - and raise "
            f"an error if nested Resources still exist to avoid unintentionally deleting these Resources.\n\n{text}"
        )


def after_delete(client: ArmClient, kind: str, state: State, features: dict[str, Any], subscription: str) -> None:
    """A vault leaves a deleted vault behind, which keeps the name: purge it if the features block says so."""
    purge = features.get("key_vault", {}).get("purge_soft_delete_on_destroy", True)
    if kind == "azurerm_key_vault" and purge and not state.get("purge_protection_enabled"):
        client.post(f"{_deleted_path(state, subscription)}/purge", VAULT_VERSION, "purging")


def _deleted_path(state: State, subscription: str) -> str:
    place = f"/subscriptions/{subscription}/providers/Microsoft.KeyVault/locations/{state['location']}"
    return f"{place}/deletedVaults/{state['name']}"


def _deleted(client: ArmClient, state: State, subscription: str) -> dict[str, Any] | None:
    return client.get(_deleted_path(state, subscription), VAULT_VERSION)


def _role(client: ArmClient, scope: str, by: str, value: str) -> str:
    """The id of a role by its name, or the name by its id."""
    query = {"$filter": f"roleName eq '{value}'"} if by == "name" else {}
    listed = client.get(f"{scope}/{ROLE_DEFINITIONS}", ROLES_VERSION, **query) or {"value": []}
    subscription = "/".join(scope.split("/")[:3])
    for role in listed["value"]:
        if by == "name" and role["properties"]["roleName"] == value:
            return f"{subscription}/{ROLE_DEFINITIONS}/{role['name']}"
        if by == "id" and role["name"].lower() == value.rpartition("/")[2].lower():
            return str(role["properties"]["roleName"])
    raise ProviderError(f'loading Role Definition List: could not find role "{value}"')
