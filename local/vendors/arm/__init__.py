"""Stand-in for Azure Resource Manager (management.azure.com)."""

import json
from pathlib import Path
from typing import Any

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.storage.keys import ACCOUNT, keys_of

from .api import Api
from .estate import Estate, Resource, visible
from .ids import parse

ASSIGNMENT = "Microsoft.Authorization/roleAssignments"
PLATFORM = Path(__file__).with_name("platform.json")


def build(kernel: Kernel) -> Vendor:
    estate = Estate(kernel.store("arm"))
    api = Api(kernel, estate)

    async def start() -> None:
        seed(estate)

    return Vendor(
        name="arm",
        hosts=("management.azure.com",),
        routes=[web.route("*", "/{path:.*}", api.handle)],
        public=Arm(estate),
        start=start,
        secret_fields=frozenset({"administratorloginpassword"}),
    )


def seed(estate: Estate) -> None:
    """Put the subscriptions, landing zones and role definitions there, unless they are already."""
    platform = json.loads(PLATFORM.read_text())
    with estate.store.transaction():
        for path, document in _platform_resources(platform).items():
            target = parse(path)
            if target is not None and estate.get(path) is None:
                named = {"id": path, "name": target.name, "type": target.type, **document}
                named["properties"] = {"provisioningState": "Succeeded", **document.get("properties", {})}
                estate.put(named)
        for name, guid in platform["role_definitions"].items():
            estate.store.put(f"role-definition/{guid}", _role_definition(name, guid))


def _platform_resources(platform: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """The fixed resources, and the templates once per landing zone."""
    resources: dict[str, dict[str, Any]] = dict(platform["resources"])
    for zone in platform["landing_zones"]:
        text = json.dumps(platform["landing_zone_resources"])
        for name, value in zone.items():
            text = text.replace(f"<{name}>", value)
        resources |= json.loads(text)
    return resources


def _role_definition(name: str, guid: str) -> Resource:
    path = f"/providers/Microsoft.Authorization/roleDefinitions/{guid}"
    properties = {"roleName": name, "type": "BuiltInRole", "assignableScopes": ["/"], "permissions": []}
    return {"id": path, "name": guid, "type": "Microsoft.Authorization/roleDefinitions", "properties": properties}


class Arm:
    """What other stand-ins may ask ARM in this process."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def resource(self, resource_id: str) -> Resource | None:
        found = self._estate.get(resource_id)
        return visible(found) if found else None

    def resources(self, prefix: str = "", kind: str = "") -> list[Resource]:
        """Everything below an id, or everything; of one type if `kind` is given."""
        found = self._estate.of_type(kind, prefix) if kind else self._estate.under(prefix)
        return [visible(item) for item in found]

    def operation(self, name: str) -> dict[str, Any] | None:
        """A long-running operation: what it does to which resource, and until when."""
        return self._estate.operation(name)

    def merge_tags(self, resource_id: str, tags: dict[str, str]) -> None:
        """What a policy's effect `modify` does to a resource that is there."""
        found = self._estate.get(resource_id)
        if found:
            self._estate.put({**found, "tags": {**(found.get("tags") or {}), **tags}})

    def metric(self, resource_id: str, name: str) -> dict[str, float]:
        """The values of a metric that somebody put there, by their minute."""
        kept = self._estate.store.list(f"metric/{resource_id.lower()}/")
        return next((values for key, values in kept if key.rpartition("/")[2].lower() == name.lower()), {})

    def federated_credentials(self, client_id: str) -> list[dict[str, Any]]:
        """The federated credentials (issuer, subject, audiences) of the identity with this client id."""
        kind = "Microsoft.ManagedIdentity/userAssignedIdentities"
        owners = [item for item in self._estate.of_type(kind) if item["properties"].get("clientId") == client_id]
        found = [self._estate.of_type(f"{kind}/federatedIdentityCredentials", owner["id"]) for owner in owners]
        return [credential["properties"] for credentials in found for credential in credentials]

    def storage_keys(self, account: str) -> list[dict[str, str]] | None:
        """The keys of a storage account by its name; None when Resource Manager has no such account."""
        known = any(item["name"].lower() == account.lower() for item in self._estate.of_type(ACCOUNT))
        return keys_of(self._estate.store, account) if known else None

    def principal_id(self, client_id: str) -> str | None:
        """The principal of the managed identity with this client id."""
        owners = self._estate.of_type("Microsoft.ManagedIdentity/userAssignedIdentities")
        found = (item["properties"] for item in owners if item["properties"]["clientId"] == client_id)
        return next((str(properties["principalId"]) for properties in found), None)

    def assignments(self, principal: str, role: str, scope: str) -> list[Resource]:
        """The principal's assignments of a built-in role at a scope or above it."""
        definitions = (self._role_name(item) for item in self._estate.of_type(ASSIGNMENT))
        found = zip(self._estate.of_type(ASSIGNMENT), definitions, strict=True)
        return [
            visible(item)
            for item, name in found
            if name == role
            and item["properties"]["principalId"] == principal
            and f"{scope}/".lower().startswith(f"{item['properties']['scope']}/".lower())
        ]

    def _role_name(self, assignment: Resource) -> str:
        guid = assignment["properties"]["roleDefinitionId"].rpartition("/")[2]
        definition = self._estate.store.get(f"role-definition/{guid}") or {"properties": {"roleName": ""}}
        return str(definition["properties"]["roleName"])

    def dns_record(self, host: str) -> Resource | None:
        """The CNAME or A record set of a host name, from whatever zone holds it."""
        label, _, zone = host.lower().rstrip(".").partition(".")
        for item in self._estate.under(""):
            kind, segments = item["type"].lower(), item["id"].lower().split("/")
            if kind in ("microsoft.network/dnszones/cname", "microsoft.network/dnszones/a") and (
                segments[-1] == label and segments[-3] == zone
            ):
                return visible(item)
        return None

    def has_zone(self, host: str) -> bool:
        """Whether a DNS zone of ours is responsible for this host name."""
        return any(
            host.lower().endswith(f".{zone['name']}") for zone in self._estate.of_type("Microsoft.Network/dnszones")
        )
