"""The whole-estate plan: its document, its digest, and what it was computed from."""

from collections.abc import Iterable
from datetime import date
from decimal import Decimal
from typing import Any

from shared import approval_rules, approvals, archetypes, landing_zones, prices
from shared.canonical import canonical_json, sha256_hex
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.exceptions import in_force
from shared.landing_zones import LandingZone
from shared.models.application_request import ApplicationRequest
from shared.models.plan import Change, EnvironmentPlan, MadeObject, PlanPins
from shared.models.records import RequestRecord
from shared.names import environment_names, global_name
from shared.policies import Verdicts
from shared.prices import Estimate
from shared.rule_set import load_rules
from shared.teams import find as find_team

_DESTRUCTIVE = frozenset({"delete", "replace"})


def pins(body: ApplicationRequest) -> PlanPins:
    """What decides about a request's plan, as it is at this moment."""
    rules = load_rules()
    return PlanPins(
        rules_revision=rules.revision,
        exceptions=in_force(rules.exceptions, date.fromisoformat(utc_now()[:10]), body.name, body.owner_team),
        price_revision=prices.price_revision(),
        archetype_digest=archetypes.skeleton_digest(body.archetype),
    )


def find_zones(body: ApplicationRequest) -> dict[str, LandingZone]:
    """Landing zone of each environment by today's rules. Raises RequestRejectedError when no row fits."""
    archetype = archetypes.find(body.archetype)
    cluster = str(archetypes.complete_parameters(archetype, body.parameters).get("cluster", "shared"))
    zones = {
        str(name): landing_zones.find(name, body.region, body.data_classification, cluster=cluster).placed(body.name)
        for name in body.environments
    }
    without = [zone.name for zone in zones.values() if zone.engine == "deployment_stack" and not archetype.template]
    if without:
        detail = f"{without[0]} is for deployment stacks, and {archetype.id} has no template: choose another region."
        raise RequestRejectedError("no-landing-zone", detail, pointer="/archetype")
    return zones


def zone_of(record: RequestRecord, environment: str) -> LandingZone:
    """Landing zone of one environment as it was when the request was planned: undo must find what was made there."""
    return LandingZone.model_validate(record.zones[environment])


def estimate(body: ApplicationRequest) -> Estimate:
    """Price of the request per month, from the archetype's stack and the price book."""
    return prices.estimate(archetypes.price_items(_objects(body)))


NAMESPACE = "Microsoft.ContainerService/managedClusters/managedNamespaces"
# Records that an optional system keeps of every application, whatever its archetype.
RECORDS = {
    "servicenow": ("change request", "configuration item"),
    "grafana": ("folder", "dashboards"),
    "teams": ("welcome message",),
    "slack": ("welcome message",),
    "backstage": ("location",),
    "backstage-template": ("scaffolder task",),
    "github_projects": ("project", "draft issues"),
    "azure_boards": ("team", "work items"),
}


def expected_changes(
    body: ApplicationRequest, repository: str, systems: Iterable[str], *, terraform: bool
) -> list[Change]:
    """What the order will make by the archetype's own list, and the records of the optional systems.

    Args:
        body: the request.
        repository: ``owner/name``.
        systems: the optional systems that are in use.
        terraform: with the objects that Terraform makes; the plan has the real ones instead.
    """
    objects = [item for item in _objects(body) if terraform or item[0].owner != "terraform"]
    records = [Change(system=system, type=kind, name=body.name) for system in systems for kind in RECORDS[system]]
    return archetypes.changes(objects, application=body.name, repository=repository) + records


def _objects(body: ApplicationRequest) -> list[tuple[archetypes.PlannedObject, str | None]]:
    archetype = archetypes.find(body.archetype)
    parameters = archetypes.complete_parameters(archetype, body.parameters)
    return archetypes.planned_objects(archetype, parameters, [str(name) for name in body.environments])


def group_of(record: RequestRecord, environment: str) -> str:
    """ARM id of the resource group of one environment."""
    names = environment_names(record.application, environment, record.id)
    return f"/subscriptions/{zone_of(record, environment).subscription_id}/resourceGroups/{names.resource_group}"


def host_of(record: RequestRecord, environment: str) -> str:
    """DNS name of the application in one environment."""
    return f"{record.application}.{zone_of(record, environment).dns_zone}"


def _stage_before(record: RequestRecord, environment: str) -> LandingZone | None:
    """Landing zone of the stage that releases come from, if it has a registry of its own; None for the first stage."""
    names = [str(name) for name in record.body.environments]
    index = names.index(environment)
    before = zone_of(record, names[index - 1]) if index else None
    return before if before and before.registry != zone_of(record, environment).registry else None


def source_registry(record: RequestRecord, environment: str) -> str:
    """Login server of the registry that releases are copied from; empty where nothing has to be copied."""
    before = _stage_before(record, environment)
    return before.registry if before else ""


def variables(record: RequestRecord, environment: str) -> dict[str, Any]:
    """Terraform variables of one environment. Every word that a person typed goes here, and nowhere else.

    Shapes: ``infra/stacks/<stack>/variables.tf``.
    """
    body, zone = record.body, zone_of(record, environment)
    names, before = environment_names(body.name, environment, record.id), _stage_before(record, environment)
    return {
        "application": body.name,
        "environment": environment,
        "request_id": record.id,
        "location": body.region,
        "paired_region": zone.paired_region or None,
        "tags": {
            "application": body.name,
            "environment": environment,
            "owner-team": body.owner_team,
            "cost-center": body.cost_center,
            "data-classification": str(body.data_classification),
            "criticality": str(body.criticality),
            "managed-by": "appstore",
        },
        "names": {
            "resource_group": names.resource_group,
            "identity": names.identity,
            "key_vault": names.key_vault,
            "postgres": names.postgres,
            **further_names(record, environment),
        },
        "purge_protection": zone.purge_protection,
        "team_group_id": find_team(body.owner_team).entra_group_id,
        "team_role": zone.team_role,
        "dns": {
            "zone_name": zone.dns_zone,
            "zone_resource_group": zone.dns_resource_group,
            "record": names.record,
            "target": zone.ingress_host,
        },
        "cluster_id": zone.cluster_id,
        "dedicated_cluster": _dedicated_cluster(zone),
        "namespace": names.namespace,
        "registry_id": zone.registry_id,
        "source_registry_id": before.registry_id if before else None,
        "log_workspace_id": zone.log_workspace_id,
        "monthly_budget": float(body.monthly_budget) / len(body.environments),
        "budget_start": f"{record.created_at[:7]}-01T00:00:00Z",
        "contact_email": body.contact,
        "alert_webhook": zone.alert_webhook.model_dump() if zone.alert_webhook else None,
        "platform_principal_id": zone.platform_principal_id,
        "tenant_id": zone.tenant_id,
        "subscription_id": zone.subscription_id,
        **archetypes.chosen(parameters_of(record), archetypes.find(body.archetype).variables),
    }


def _dedicated_cluster(zone: LandingZone) -> dict[str, Any] | None:
    """The cluster that the plan makes; None where the landing zone has one."""
    if zone.cluster == "shared":
        return None
    return {"name": zone.cluster_name, "node_size": zone.node_size, "node_count": zone.node_count}


def parameters_of(record: RequestRecord) -> dict[str, Any]:
    """The parameters of the request with the defaults of its archetype."""
    return archetypes.complete_parameters(archetypes.find(record.body.archetype), record.body.parameters)


def further_names(record: RequestRecord, environment: str) -> dict[str, str]:
    """The names that only this archetype's stack has, by their keys in its variable ``names``."""
    full = f"{record.application}-{environment}"
    return {
        key: global_name(name.prefix, name.longest, full, record.id)
        for key, name in archetypes.find(record.body.archetype).names.items()
    }


def makes(record: RequestRecord, kind: str) -> bool:
    """Whether the request's archetype has an object of this kind."""
    return any(item.type == kind for item in archetypes.stack_objects(record.body.archetype))


def deployed(record: RequestRecord, environment: str) -> list[MadeObject]:
    """What the pipeline makes when it deploys to an environment."""
    archetype = archetypes.find(record.body.archetype)
    objects = archetypes.planned_objects(archetype, parameters_of(record), [environment])
    values = {"application": record.application, "environment": environment}
    return [
        MadeObject(system=item.system, type=item.type, name=item.name.format(**values), environment=environment)
        for item, _ in objects
        if item.owner == "pipeline"
    ]


def document(
    record: RequestRecord,
    environments: list[EnvironmentPlan],
    change_sets: dict[str, Any],
    verdicts: dict[str, Verdicts],
    repository: str,
) -> tuple[dict[str, Any], list[approvals.ApprovalNeed]]:
    """The plan as a document without times or random values: the same plan always has the same digest."""
    cost = estimate(record.body)
    archetype = archetypes.find(record.body.archetype)
    findings = [verdict.id for item in verdicts.values() for verdict in item.require_approval]
    actions = {change.action for plan in environments for change in plan.changes}
    facts = facts_of(record.body, cost, findings, destructive=bool(actions & _DESTRUCTIVE))
    needs = approval_rules.needed(facts, record.requester)
    return {
        "request": {"id": record.id, "body": record.body.document()},
        "archetype": {"id": archetype.id, "version": archetype.version},
        "pins": pins(record.body).document(),
        "environments": [
            {
                "name": plan.environment,
                "changeSetDigest": plan.changeset_digest,
                "planSha256": plan.plan_sha256,
                "changeSet": change_sets[plan.environment],
            }
            for plan in environments
        ],
        "changes": [change.document() for change in all_changes(record, environments, repository)],
        "cost": {"monthly": cost.monthly, "currency": cost.currency, "lines": [line.document() for line in cost.lines]},
        "verdicts": {name: item.document() for name, item in verdicts.items()},
        "approvals": [need.document() for need in needs],
    }, needs


def facts_of(
    body: ApplicationRequest, cost: Estimate, findings: Iterable[str], *, destructive: bool
) -> approval_rules.Facts:
    """What the approval rules look at."""
    return approval_rules.Facts(
        archetype=body.archetype,
        environments=frozenset(str(name) for name in body.environments),
        classification=str(body.data_classification),
        criticality=str(body.criticality),
        monthly=Decimal(cost.monthly),
        destructive=destructive,
        findings=frozenset(findings),
    )


def all_changes(record: RequestRecord, environments: list[EnvironmentPlan], repository: str) -> list[Change]:
    """Every object of every system: those that we make ourselves and those of the Terraform plans."""
    ours = expected_changes(record.body, repository, record.systems, terraform=False)
    return ours + [change for plan in environments for change in plan.changes]


def sealed(plan: dict[str, Any]) -> tuple[bytes, str]:
    """The very bytes that an approver sees, and their digest."""
    content = canonical_json(plan)
    return content, sha256_hex(content)
