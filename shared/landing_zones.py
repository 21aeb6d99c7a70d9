"""Where an application goes: its subscription, cluster, registry, DNS zone and logs."""

from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError, RequestRejectedError
from shared.models import Model
from shared.models.application_request import DataClassification, EnvironmentName
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "landing_zones.yaml"

_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = r"[A-Za-z0-9._()-]+"
_HOST = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
_GROUP = rf"/subscriptions/{_GUID}/resourceGroups/{_NAME}"

Guid = Annotated[str, Field(pattern=rf"^{_GUID}$")]
Host = Annotated[str, Field(pattern=rf"^{_HOST}$")]
ResourceName = Annotated[str, Field(pattern=rf"^{_NAME}$")]


class LandingZone(Model):
    """What the platform prepared for one environment in one region.

    Attributes:
        environment: stage of the applications in it.
        region: Azure region of everything in it.
        classifications: data that may be kept in it.
        subscription_id: subscription of the applications' resource groups.
        tenant_id: Entra tenant.
        cluster_id: ARM id of the shared AKS cluster.
        cluster_name: its name.
        cluster_resource_group: its resource group.
        registry: login server of the container registry.
        registry_id: its ARM id; empty only in requests that were planned before it was known. The registry's role
            assignment mode is "RBAC Registry + ABAC Repository Permissions".
        dns_zone: zone in which applications get their name.
        dns_resource_group: resource group of the zone.
        dns_subscription_id: subscription of the zone.
        ingress_host: what the applications' records point to.
        log_workspace_id: ARM id of the Log Analytics workspace.
        database_sku: size of a PostgreSQL flexible server here; names its price.
        purge_protection: whether Key Vaults are protected from purging.
        team_role: Azure role of the owner team on its resource group.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    environment: EnvironmentName
    region: str = Field(pattern=r"^[a-z][a-z0-9]{2,29}$")
    classifications: tuple[DataClassification, ...] = Field(min_length=1)
    subscription_id: Guid
    tenant_id: Guid
    cluster_id: str = Field(pattern=rf"^{_GROUP}/providers/Microsoft\.ContainerService/managedClusters/{_NAME}$")
    cluster_name: ResourceName
    cluster_resource_group: ResourceName
    registry: str = Field(pattern=r"^[a-z0-9]{5,50}\.azurecr\.io$")
    registry_id: str = Field(
        default="", pattern=rf"^{_GROUP}/providers/Microsoft\.ContainerRegistry/registries/{_NAME}$"
    )
    dns_zone: Host
    dns_resource_group: ResourceName
    dns_subscription_id: Guid
    ingress_host: Host
    log_workspace_id: str = Field(pattern=rf"^{_GROUP}/providers/Microsoft\.OperationalInsights/workspaces/{_NAME}$")
    database_sku: str = Field(pattern=r"^(B|GP|MO)_Standard_[A-Za-z0-9_]+$")
    purge_protection: bool
    team_role: Literal["Contributor", "Reader"]

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """The cluster's id and its parts are used by different vendors: they must name the same cluster."""
        parts = self.cluster_id.split("/")
        if (parts[4], parts[-1]) != (self.cluster_resource_group, self.cluster_name):
            raise ValueError("cluster_id, cluster_resource_group and cluster_name name different clusters")
        return self


def find(environment: str, region: str, classification: str, path: Path = FILE) -> LandingZone:
    """Find the landing zone for an environment.

    Raises:
        RequestRejectedError: no row fits; names the row that is missing.
        ConfigurationError: the file is not valid.
    """
    for zone in landing_zones(path):
        if (zone.environment, zone.region) == (environment, region) and classification in zone.classifications:
            return zone
    detail = f"No landing zone for environment {environment}, region {region} and classification {classification}."
    raise RequestRejectedError("no-landing-zone", detail, pointer="/region")


def landing_zones(path: Path = FILE) -> tuple[LandingZone, ...]:
    """All landing zones, as the file is now.

    Raises:
        ConfigurationError: the file is missing, malformed, or two rows fit the same application.
    """
    return _read(path, stamp(path))


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> tuple[LandingZone, ...]:
    """Read and check the file; its stamp is part of the cache's key."""
    try:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        zones = _rows(document)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, TypeError, KeyError) as error:
        raise ConfigurationError(path.name, f"not a list of landing zones: {error}") from error
    for number, zone in enumerate(zones):
        if not zone.registry_id:
            raise ConfigurationError(path.name, f"landing_zones.{number}.registry_id: Field required")
    for one, other in combinations(zones, 2):
        common = set(one.classifications) & set(other.classifications)
        if (one.environment, one.region) == (other.environment, other.region) and common:
            what = f"{one.environment}, {one.region}, {min(common)}"
            raise ConfigurationError(path.name, f"two rows fit the same application: {what}")
    return zones


def _rows(document: Any) -> tuple[LandingZone, ...]:
    """Rows of the document; the tenant stands once for all of them."""
    tenant = document["tenant_id"]
    return tuple(LandingZone.model_validate({"tenant_id": tenant, **row}) for row in document["landing_zones"])
