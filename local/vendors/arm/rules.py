"""What the resource providers add to a resource and refuse, for the types that the App Store's modules use."""

import re
import time
import uuid
from collections.abc import Callable
from typing import Any

from local.vendors.static_sites import shapes as static_sites

from .errors import bad_request, conflict
from .estate import Estate, Resource, iso
from .ids import ResourceId

TENANT = "11111111-1111-1111-1111-111111111111"
NAMES = {
    "microsoft.resources/resourcegroups": r"[-\w.()]{0,89}[-\w()]",
    "microsoft.keyvault/vaults": r"(?=.{3,24}$)[a-zA-Z](-?[a-zA-Z0-9])+",
    "microsoft.dbforpostgresql/flexibleservers": r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]",
    "microsoft.managedidentity/userassignedidentities": r"[a-zA-Z0-9][\w-]{2,127}",
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials": r"[a-zA-Z0-9][\w-]{2,119}",
    "microsoft.containerservice/managedclusters/managednamespaces": r"(?=.{1,63}$)[a-z0-9]([-a-z0-9]*[a-z0-9])?",
    "microsoft.authorization/roleassignments": r"[0-9a-fA-F]{8}(-[0-9a-fA-F]{4}){3}-[0-9a-fA-F]{12}",
    "microsoft.consumption/budgets": r"[\w-]{1,63}",
    "microsoft.servicebus/namespaces": r"(?=.{6,50}$)[a-zA-Z](-?[a-zA-Z0-9])+",
    "microsoft.storage/storageaccounts": r"[a-z0-9]{3,24}",
    "microsoft.storage/storageaccounts/blobservices/containers": r"(?=.{3,63}$)[a-z0-9](-?[a-z0-9])+",
}
# Operations that answer before they are done, and how long they take here. Azure needs minutes; see settings/delays.
SLOW = {
    "microsoft.dbforpostgresql/flexibleservers": 0.5,
    "microsoft.dbforpostgresql/flexibleservers/administrators": 0.2,
    "microsoft.dbforpostgresql/flexibleservers/databases": 0.2,
    "microsoft.containerservice/managedclusters": 1.0,
    "microsoft.servicebus/namespaces": 0.3,
    "microsoft.storage/storageaccounts": 0.3,
    "microsoft.containerservice/managedclusters/managednamespaces": 0.3,
    "microsoft.resources/resourcegroups": 0.5,
}
Shape = Callable[[Estate, ResourceId, Resource, Resource | None], None]


def shape(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    """Check a resource about to be written and add what its provider computes."""
    pattern = NAMES.get(target.type.lower())
    if pattern and not re.fullmatch(pattern, target.name):
        code = "VaultNameNotValid" if target.is_type("Microsoft.KeyVault/vaults") else "InvalidResourceName"
        raise bad_request(code, f"The name '{target.name}' of type '{target.type}' is not valid.")
    check_tags(resource.get("tags") or {})
    rule = SHAPES.get(target.type.lower())
    if rule:
        rule(estate, target, resource, before)


def check_tags(tags: dict[str, Any]) -> None:
    if len(tags) > 50:
        raise bad_request("TooManyTags", f"The resource has {len(tags)} tags; the maximum is 50.")
    for name, value in tags.items():
        if len(name) > 512 or re.search(r"[<>%&\\?/]", name):
            raise bad_request("InvalidTagName", f"The tag name '{name}' is not valid.")
        if not isinstance(value, str) or len(value) > 256:
            raise bad_request(
                "InvalidTagValue", f"The value of tag '{name}' is not a string of at most 256 characters."
            )


def vault(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    properties = resource["properties"]
    if properties.get("enablePurgeProtection") is False:
        raise bad_request("BadRequest", 'The property "enablePurgeProtection" cannot be set to false.')
    taken = next((v for v in estate.of_type(target.type) if v["name"].lower() == target.name.lower()), None)
    if before is None and taken:
        raise conflict("VaultAlreadyExists", f"The vault name '{target.name}' is already in use.")
    deleted = estate.store.get(f"deleted-vault/{target.name.lower()}")
    recover = properties.pop("createMode", "default") == "recover"
    if deleted and not recover:
        raise conflict(
            "ConflictError",
            "A vault with the same name already exists in deleted state. You need to either recover or purge existing "
            "key vault. Follow this link https://go.microsoft.com/fwlink/?linkid=2149745 for more information.",
        )
    if recover:
        if not deleted:
            raise bad_request("BadRequest", f"There is no deleted vault '{target.name}' to recover.")
        properties |= deleted["~vault"]["properties"]
        estate.store.delete(f"deleted-vault/{target.name.lower()}")
    properties["vaultUri"] = f"https://{target.name.lower()}.vault.azure.net/"
    properties.setdefault("softDeleteRetentionInDays", 90)
    properties.setdefault("enableSoftDelete", True)


def database_server(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    if before is None and any(server["name"] == target.name for server in estate.of_type(target.type)):
        raise conflict("ServerNameAlreadyExists", f"Specified server name '{target.name}' is already used.")
    if resource["properties"].get("createMode") == "PointInTimeRestore":
        if before is None:
            _restored(estate, target, resource)
        else:  # how a server was made cannot be changed any more
            resource |= {"sku": before.get("sku"), "properties": dict(before["properties"])}
    properties = resource["properties"]
    properties.pop("administratorLoginPassword", None)
    properties |= {"fullyQualifiedDomainName": f"{target.name}.postgres.database.azure.com", "state": "Ready"}
    properties.setdefault("backup", {}).setdefault("earliestRestoreDate", iso(time.time() - 600))


def _restored(estate: Estate, target: ResourceId, resource: Resource) -> None:
    """A server as another one was; a document `damaged/<source id>` names databases that its backups lack."""
    properties = resource["properties"]
    source = estate.get(str(properties.get("sourceServerResourceId")))
    if source is None:
        raise bad_request("SourceServerNotFound", "The source server does not exist.")
    moment = str(properties.pop("pointInTimeUTC", ""))
    if moment < source["properties"]["backup"]["earliestRestoreDate"]:
        raise bad_request("InvalidRestorePoint", f"The point in time '{moment}' is not within the retention period.")
    copied = {name: source["properties"][name] for name in ("version", "storage") if name in source["properties"]}
    resource |= {"sku": source.get("sku"), "properties": properties | copied}
    lost = estate.store.get(f"damaged/{source['id'].lower()}") or []
    for database in estate.of_type(f"{target.type}/databases", source["id"]):
        if database["name"] not in lost:
            estate.put({**database, "id": f"{target.path}/databases/{database['name']}"})


def database_backup(_estate: Estate, _target: ResourceId, resource: Resource, _before: Resource | None) -> None:
    resource["properties"] = {"backupType": "Customer On-Demand", "completedTime": iso(time.time()), "source": "Full"}


def identity(_estate: Estate, _target: ResourceId, resource: Resource, before: Resource | None) -> None:
    made = {"tenantId": TENANT, "principalId": str(uuid.uuid4()), "clientId": str(uuid.uuid4())}
    old = before["properties"] if before else {}
    resource["properties"] |= {name: old.get(name, value) for name, value in made.items()}


def federated_credential(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    properties = resource["properties"]
    if not all(properties.get(name) for name in ("issuer", "subject", "audiences")) or "*" in properties["subject"]:
        raise bad_request("BadRequest", "Issuer, subject and audiences are required; wildcards are not supported.")
    others = [item for item in estate.of_type(target.type, target.scope) if item["name"].lower() != target.name.lower()]
    key = (properties["issuer"], properties["subject"])
    if key in [(item["properties"]["issuer"], item["properties"]["subject"]) for item in others]:
        raise conflict("Conflict", "Issuer and subject combination already exists for this Managed Identity.")
    if before is None and len(others) >= 20:
        raise bad_request("BadRequest", "Too many Federated Identity Credentials; the maximum is 20.")


def role_assignment(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    wanted = resource["properties"] | {"scope": target.scope or "/"}
    unknown = estate.store.get("settings/unknown-principals") or {}
    if unknown.get(wanted["principalId"], 0) > 0:
        estate.store.put(
            "settings/unknown-principals", unknown | {wanted["principalId"]: unknown[wanted["principalId"]] - 1}
        )
        raise bad_request("PrincipalNotFound", f"Principal {wanted['principalId']} does not exist in the directory.")

    def key(properties: dict[str, Any]) -> tuple[str, ...]:
        definition = properties["roleDefinitionId"].rpartition("/")[2]
        return properties["scope"].lower(), definition.lower(), properties["principalId"].lower()

    if before is not None and key(before["properties"]) != key(wanted):
        raise bad_request("RoleAssignmentUpdateNotPermitted", "Tenant, principal, role and scope cannot be updated.")
    for other in estate.of_type(target.type, target.scope):
        if other["name"].lower() != target.name.lower() and key(other["properties"]) == key(wanted):
            name = other["name"].replace("-", "")
            raise conflict("RoleAssignmentExists", f"The role assignment already exists. The ID is {name}.")
    wanted.setdefault("principalType", "User")
    resource["properties"] = wanted


def record_set(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    zone, kind = target.scope.rpartition("/")[2], target.type.rpartition("/")[2].upper()
    if kind == "CNAME" and before is None:
        siblings = [item for item in estate.under(target.scope) if item["name"].lower() == target.name.lower()]
        if target.name == "@" or siblings:
            raise bad_request(
                "BadRequest", f"A CNAME record cannot be at the apex or beside other records: {target.name}"
            )
    resource["type"] = f"Microsoft.Network/dnszones/{kind}"
    resource["properties"]["fqdn"] = f"{target.name}.{zone}."
    resource["etag"] = str(uuid.uuid4())


def budget(_estate: Estate, _target: ResourceId, resource: Resource, before: Resource | None) -> None:
    properties = resource["properties"]
    if not {"category", "amount", "timeGrain", "timePeriod"} <= properties.keys():
        raise bad_request("400", "Category, amount, timeGrain and timePeriod are required.")
    if len(properties.get("notifications", {})) > 5:
        raise bad_request("400", "A budget has at most five notifications.")
    start, now = properties["timePeriod"]["startDate"], time.gmtime()
    if before is None and not re.match(r"\d{4}-\d\d-01", start):
        raise bad_request("400", "The start date must be the first day of a month.")
    if before is None and not iso(time.time())[:7] <= start[:7] <= f"{now.tm_year + 1}{iso(time.time())[4:7]}":
        raise bad_request("400", "The start date must lie in the current time grain or the twelve months to come.")
    if before is not None and resource.get("eTag", before["eTag"]) != before["eTag"]:
        raise conflict("409", "The budget has been changed since: read it again and send its eTag.")
    properties["timePeriod"].setdefault("endDate", f"{int(start[:4]) + 10}{start[4:]}")
    resource["eTag"] = f'"{uuid.uuid4().hex[:16]}"'


def action_group(_estate: Estate, _target: ResourceId, resource: Resource, _before: Resource | None) -> None:
    if not 1 <= len(resource["properties"].get("groupShortName", "")) <= 12:
        raise bad_request("BadRequest", "groupShortName must have 1 to 12 characters.")


def cluster(_estate: Estate, target: ResourceId, resource: Resource, _before: Resource | None) -> None:
    if not {"dnsPrefix", "agentPoolProfiles"} <= resource["properties"].keys():
        raise bad_request("InvalidParameter", "dnsPrefix and agentPoolProfiles are required.")
    place = resource["location"]
    resource["properties"] |= {
        "fqdn": f"{target.name}.hcp.{place}.azmk8s.io",
        "kubernetesVersion": "1.34",
        "currentKubernetesVersion": "1.34.2",
        "powerState": {"code": "Running"},
    }
    issuer = f"https://{place}.oic.prod-aks.azure.com/{TENANT}/{target.name}/"
    resource["properties"].setdefault("oidcIssuerProfile", {})["issuerURL"] = issuer


def service_bus(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    _unique(estate, target, before, "NamespaceUnavailable")
    resource["properties"]["serviceBusEndpoint"] = f"https://{target.name}.servicebus.windows.net:443/"


def storage_account(estate: Estate, target: ResourceId, resource: Resource, before: Resource | None) -> None:
    _unique(estate, target, before, "StorageAccountAlreadyTaken")
    resource["sku"]["tier"] = resource["sku"]["name"].partition("_")[0]
    resource["properties"]["primaryEndpoints"] = {"blob": f"https://{target.name}.blob.core.windows.net/"}
    kept = resource["properties"].get("blobService", {})  # the azurerm stand-in says it with the account
    service = f"{target.path}/blobServices/default"
    if before is None or kept:
        estate.put({"id": service, "name": "default", "type": f"{target.type}/blobServices", "properties": kept})


def _unique(estate: Estate, target: ResourceId, before: Resource | None, code: str) -> None:
    """Of kinds whose names are host names."""
    if before is None and any(item["name"].lower() == target.name.lower() for item in estate.of_type(target.type)):
        raise conflict(code, f"The name '{target.name}' is already taken.")


def custom_domain(estate: Estate, target: ResourceId, resource: Resource, _before: Resource | None) -> None:
    if problem := static_sites.unready_domain(estate, target, resource):
        raise bad_request("BadRequest", problem)


def namespace(estate: Estate, target: ResourceId, _resource: Resource, _before: Resource | None) -> None:
    cluster = estate.get(target.scope)
    if cluster and cluster["properties"].get("powerState", {}).get("code") == "Stopped":
        raise conflict("OperationNotAllowed", f"Cluster '{cluster['name']}' is stopped.")


SHAPES: dict[str, Shape] = {
    "microsoft.keyvault/vaults": vault,
    "microsoft.dbforpostgresql/flexibleservers": database_server,
    "microsoft.dbforpostgresql/flexibleservers/backups": database_backup,
    "microsoft.managedidentity/userassignedidentities": identity,
    "microsoft.managedidentity/userassignedidentities/federatedidentitycredentials": federated_credential,
    "microsoft.authorization/roleassignments": role_assignment,
    "microsoft.network/dnszones/cname": record_set,
    "microsoft.network/dnszones/a": record_set,
    "microsoft.network/dnszones/txt": record_set,
    "microsoft.consumption/budgets": budget,
    "microsoft.insights/actiongroups": action_group,
    "microsoft.containerservice/managedclusters": cluster,
    "microsoft.servicebus/namespaces": service_bus,
    "microsoft.storage/storageaccounts": storage_account,
    "microsoft.web/staticsites": static_sites.site,
    "microsoft.web/staticsites/customdomains": custom_domain,
    "microsoft.containerservice/managedclusters/managednamespaces": namespace,
}
