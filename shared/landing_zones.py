"""Where an application goes: its subscription, cluster, registry, DNS zone and logs."""

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from itertools import combinations
from pathlib import Path
from typing import Annotated, Any, Literal, Self

import yaml
from pydantic import ConfigDict, Field, ValidationError, model_validator

from shared.errors import ConfigurationError, RequestRejectedError
from shared.models import Model
from shared.models.application_request import DataClassification, EnvironmentName
from shared.names import environment_names
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "landing_zones.yaml"

_GUID = r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}"
_NAME = r"[A-Za-z0-9._()-]+"
_HOST = r"([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z]{2,}"
_GROUP = rf"/subscriptions/{_GUID}/resourceGroups/{_NAME}"
_CLUSTERS = "providers/Microsoft.ContainerService/managedClusters"
_CLUSTER = rf"{_GROUP}/{re.escape(_CLUSTERS)}/{_NAME}"
_CLOSEST = 3

type ClusterKind = Literal["shared", "dedicated"]
type Engine = Literal["terraform", "deployment_stack"]

Guid = Annotated[str, Field(pattern=rf"^{_GUID}$")]
Host = Annotated[str, Field(pattern=rf"^{_HOST}$")]
ResourceName = Annotated[str, Field(pattern=rf"^{_NAME}$")]


class Capacity(Model):
    """How much a landing zone takes.

    Attributes:
        applications: environments of applications in it, requested or existing.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    applications: int = Field(ge=0)


class AlertWebhook(Model):
    """Where Azure Monitor sends alerts besides the owner team.

    Attributes:
        service_uri: the App Store's route for alerts.
        object_id: object id of the App Store's application in Entra ID.
        identifier_uri: its identifier URI: the audience of the token that comes with an alert.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    service_uri: str = Field(pattern=rf"^https://{_HOST}/\S+$")
    object_id: Guid
    identifier_uri: str = Field(pattern=r"^api://\S+$")


class LandingZone(Model):
    """What the platform prepared for one environment in one region.

    A row with ``cluster: dedicated`` names no cluster: every application there gets one of its own, made by the same
    plan as its other resources. ``placed`` fills in which.

    Attributes:
        name: of the row; empty only in requests that were taken in before rows had names.
        cluster: whether applications share a cluster or each gets one.
        engine: what plans and applies the environments in it.
        capacity: how much it takes; None: nobody counts.
        node_size: size of the nodes of a dedicated cluster; names their price.
        node_count: how many of them.
        ingress_domain: below it the platform publishes the ingress of every dedicated cluster, by the cluster's name.
        environment: stage of the applications in it.
        region: Azure region of everything in it.
        classifications: data that may be kept in it.
        subscription_id: subscription of the applications' resource groups.
        tenant_id: Entra tenant.
        cluster_id: ARM id of the AKS cluster.
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
        alert_webhook: where alerts go besides the owner team; None: nowhere, and the App Store answers none.
        platform_principal_id: object id of the App Store's identity, which may then write into applications' vaults;
            None: it may not, and rotates no secrets.
        paired_region: region that backups and images are kept in as well; empty: none, which prod may not say.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    name: str = Field(default="", pattern=r"^([a-z][a-z0-9-]{1,38}[a-z0-9])?$")
    cluster: ClusterKind = "shared"
    engine: Engine = "terraform"
    capacity: Capacity | None = None
    node_size: str = Field(default="", pattern=r"^(Standard_[A-Za-z0-9_]+)?$")
    node_count: int = Field(default=0, ge=0, le=100)
    ingress_domain: str = Field(default="", pattern=rf"^({_HOST})?$")
    environment: EnvironmentName
    region: str = Field(pattern=r"^[a-z][a-z0-9]{2,29}$")
    classifications: tuple[DataClassification, ...] = Field(min_length=1)
    subscription_id: Guid
    tenant_id: Guid
    cluster_id: str = Field(default="", pattern=rf"^({_CLUSTER})?$")
    cluster_name: str = Field(default="", pattern=rf"^({_NAME})?$")
    cluster_resource_group: str = Field(default="", pattern=rf"^({_NAME})?$")
    registry: str = Field(pattern=r"^[a-z0-9]{5,50}\.azurecr\.io$")
    registry_id: str = Field(
        default="", pattern=rf"^{_GROUP}/providers/Microsoft\.ContainerRegistry/registries/{_NAME}$"
    )
    dns_zone: Host
    dns_resource_group: ResourceName
    dns_subscription_id: Guid
    ingress_host: str = Field(default="", pattern=rf"^({_HOST})?$")
    log_workspace_id: str = Field(pattern=rf"^{_GROUP}/providers/Microsoft\.OperationalInsights/workspaces/{_NAME}$")
    database_sku: str = Field(pattern=r"^(B|GP|MO)_Standard_[A-Za-z0-9_]+$")
    purge_protection: bool
    team_role: Literal["Contributor", "Reader"]
    alert_webhook: AlertWebhook | None = None
    platform_principal_id: Guid | None = None
    paired_region: str = Field(default="", pattern=r"^([a-z][a-z0-9]{2,29})?$")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        """The cluster's id and its parts are used by different vendors: they must name the same cluster."""
        named = (self.cluster_id, self.cluster_resource_group, self.cluster_name, self.ingress_host)
        if self.cluster == "dedicated" and not (self.node_size and self.node_count and self.ingress_domain):
            raise ValueError("a dedicated cluster needs node_size, node_count and ingress_domain")
        if self.cluster == "dedicated" and not any(named):
            return self
        if not all(named):
            raise ValueError("cluster_id, cluster_name, cluster_resource_group and ingress_host belong together")
        parts = self.cluster_id.split("/")
        if (parts[4], parts[-1]) != (self.cluster_resource_group, self.cluster_name):
            raise ValueError("cluster_id, cluster_resource_group and cluster_name name different clusters")
        return self

    def placed(self, application: str) -> Self:
        """The zone as one application finds it: with the cluster that it gets."""
        if self.cluster == "shared":
            return self
        names = environment_names(application, str(self.environment), "")
        group = f"/subscriptions/{self.subscription_id}/resourceGroups/{names.resource_group}"
        return self.model_copy(
            update={
                "cluster_id": f"{group}/{_CLUSTERS}/{names.cluster}",
                "cluster_name": names.cluster,
                "cluster_resource_group": names.resource_group,
                "ingress_host": f"ingress.{names.cluster}.{self.ingress_domain}",
            }
        )


def find(
    environment: str, region: str, classification: str, path: Path = FILE, *, cluster: str = "shared"
) -> LandingZone:
    """Find the landing zone for an environment.

    Raises:
        RequestRejectedError: no row fits; names the row that is missing and those that come closest.
        ConfigurationError: the file is not valid.
    """
    zones = landing_zones(path)
    for zone in zones:
        if not _misfits(zone, environment, region, classification, cluster):
            return zone
    wanted = f"environment {environment}, region {region}, classification {classification}, {cluster} cluster"
    near = sorted(zones, key=lambda zone: len(_misfits(zone, environment, region, classification, cluster)))
    words = [
        f"{zone.name} ({', '.join(_misfits(zone, environment, region, classification, cluster))})"
        for zone in near[:_CLOSEST]
    ]
    detail = f"No landing zone for {wanted}. Closest: {'; '.join(words)}."
    raise RequestRejectedError("no-landing-zone", detail, pointer="/region")


def _misfits(zone: LandingZone, environment: str, region: str, classification: str, cluster: str) -> list[str]:
    """What is different in a row, in its own values."""
    found = []
    if zone.environment != environment:
        found.append(f"environment {zone.environment}")
    if zone.region != region:
        found.append(f"region {zone.region}")
    if classification not in zone.classifications:
        found.append(f"classifications {', '.join(zone.classifications)}")
    if zone.cluster != cluster:
        found.append(f"{zone.cluster} cluster")
    return found


def full(used: Mapping[str, Decimal], wanted: Iterable[str], path: Path = FILE) -> list[str]:
    """Sentences about each landing zone that has no room for one application more.

    Args:
        used: applications by the name of their landing zone.
        wanted: names of the landing zones that shall take one more.
        path: the landing zones: their capacity as it is now counts.
    """
    limits = {zone.name: zone.capacity.applications for zone in landing_zones(path) if zone.capacity}
    return [
        f"{name} takes {limits[name]} applications and has {used.get(name, Decimal(0)):f}"
        for name in sorted(set(wanted))
        if name in limits and used.get(name, Decimal(0)) >= limits[name]
    ]


def subscriptions(path: Path = FILE) -> list[str]:
    """The subscriptions that applications may lie in."""
    return sorted({zone.subscription_id for zone in landing_zones(path)})


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
        if wrong := _incomplete(zone):
            raise ConfigurationError(path.name, f"landing_zones.{number}{wrong}")
    for one, other in combinations(zones, 2):
        if wrong := _clash(one, other):
            raise ConfigurationError(path.name, wrong)
    return zones


def _incomplete(zone: LandingZone) -> str | None:
    """What a row of the file lacks: requests of earlier versions may lack it."""
    for required in ("registry_id", "name"):
        if not getattr(zone, required):
            return f".{required}: Field required"
    if zone.cluster == "dedicated" and zone.cluster_id:
        return ": a dedicated cluster is not named beforehand"
    if zone.cluster == "dedicated" and zone.engine == "deployment_stack":
        return ".engine: the templates of deployment stacks make no cluster: use terraform"
    if (zone.environment == "prod" and not zone.paired_region) or zone.paired_region == zone.region:
        return ".paired_region: production is kept in a second region: name another one"
    return None


def _clash(one: LandingZone, other: LandingZone) -> str | None:
    if one.name == other.name:
        return f"two rows have the same name: {one.name}"
    common = set(one.classifications) & set(other.classifications)
    if (one.environment, one.region, one.cluster) == (other.environment, other.region, other.cluster) and common:
        return f"two rows fit the same application: {one.environment}, {one.region}, {min(common)}"
    return None


def _rows(document: Any) -> tuple[LandingZone, ...]:
    """Rows of the document; tenant, webhook and the App Store's identity stand once for all of them."""
    common = {"tenant_id": document["tenant_id"]}
    common |= {name: document.get(name) for name in ("alert_webhook", "platform_principal_id")}
    return tuple(LandingZone.model_validate({**common, **row}) for row in document["landing_zones"])
