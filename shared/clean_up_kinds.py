"""The kinds of resource that can be removed and brought back: what Azure calls them, and what is theirs to keep.

Documentation: https://learn.microsoft.com/rest/api/compute/disks, https://learn.microsoft.com/rest/api/virtualnetwork
and https://learn.microsoft.com/rest/api/appservice/app-service-plans
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

_NETWORK, _COMPUTE = "2024-05-01", "2026-03-02"
SNAPSHOT_VERSION = _COMPUTE
_OURS = ("location", "tags", "sku", "kind", "zones", "identity", "extendedLocation", "plan")
_COMPUTED = frozenset({"provisioningState", "resourceGuid", "etag"})  # at any depth


@dataclass(frozen=True)
class Kind:
    """A kind of resource.

    Attributes:
        name: as in Cloud Custodian.
        type: as in Azure Resource Manager.
        version: its API version.
        order: what has a lower number uses what has a higher one, and goes first.
        computed: properties that the provider sets; they are no configuration.
        loses: what cannot be brought back; empty: nothing.
        has_data: whether a snapshot is taken of it before it goes.
    """

    name: str
    type: str
    version: str
    order: int
    computed: frozenset[str] = frozenset()
    loses: str = ""
    has_data: bool = False


KINDS = (
    Kind("azure.networkinterface", "Microsoft.Network/networkInterfaces", _NETWORK, 10, frozenset({
        "macAddress", "virtualMachine", "hostedWorkloads", "primary", "privateEndpoint", "privateLinkService",
        "vnetEncryptionSupported", "defaultOutboundConnectivityEnabled", "tapConfigurations",
    })),
    Kind("azure.loadbalancer", "Microsoft.Network/loadBalancers", _NETWORK, 20),
    Kind("azure.publicip", "Microsoft.Network/publicIPAddresses", _NETWORK, 30, frozenset({
        "ipAddress", "ipConfiguration", "natGateway",
    }), loses="its address: the new one gets another"),
    Kind("azure.networksecuritygroup", "Microsoft.Network/networkSecurityGroups", _NETWORK, 40, frozenset({
        "defaultSecurityRules", "networkInterfaces", "subnets", "flowLogs",
    })),
    Kind("azure.routetable", "Microsoft.Network/routeTables", _NETWORK, 40, frozenset({"subnets"})),
    Kind("azure.disk", "Microsoft.Compute/disks", _COMPUTE, 50, frozenset({
        "diskState", "timeCreated", "uniqueId", "diskSizeBytes", "creationData", "LastOwnershipUpdateTime",
    }), has_data=True),
    Kind("azure.appserviceplan", "Microsoft.Web/serverfarms", "2024-04-01", 60, frozenset({
        "status", "numberOfSites", "numberOfWorkers", "currentNumberOfWorkers", "maximumNumberOfWorkers", "geoRegion",
        "subscription", "resourceGroup", "serverFarmId", "mdmId", "webSpace", "name",
    })),
)  # fmt: skip
_BY_NAME = {kind.name: kind for kind in KINDS}
_BY_TYPE = {kind.type.lower(): kind for kind in KINDS}


def kind_named(name: str) -> Kind | None:
    """The kind that Cloud Custodian calls so; with or without the provider before it."""
    return _BY_NAME.get(name if name.startswith("azure.") else f"azure.{name}")


def kind_of(resource_type: str) -> Kind:
    """The kind of an ARM type; ValueError for one that cannot be removed."""
    found = _BY_TYPE.get(resource_type.lower())
    if found is None:
        raise ValueError(f"{resource_type} is not among the kinds that can be removed")
    return found


def configuration_of(document: Mapping[str, Any], kind: Kind, mirror: str = "") -> dict[str, Any]:
    """What somebody chose about a resource: everything but what the provider computes and the tag ``mirror``."""
    found = {name: document[name] for name in _OURS if document.get(name) is not None}
    tags = {name: value for name, value in found.get("tags", {}).items() if name.lower() != mirror.lower()}
    properties = document.get("properties") or {}
    chosen = {name: value for name, value in properties.items() if name not in kind.computed}
    configuration: dict[str, Any] = _without_computed({**found, "properties": chosen})
    return {**configuration, "tags": tags}


def _without_computed(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _without_computed(inner) for name, inner in value.items() if name not in _COMPUTED}
    return [_without_computed(inner) for inner in value] if isinstance(value, list) else value
