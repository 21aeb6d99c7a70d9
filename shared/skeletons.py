"""What the skeleton of an application's archetype is rendered with."""

from shared import archetypes
from shared import plan as plans
from shared.clients._github import owner
from shared.models.records import RequestRecord


def answers(record: RequestRecord) -> dict[str, object]:
    """The answers; their shapes are declared in the skeleton's ``copier.yml``."""
    body = record.body
    archetype = archetypes.find(body.archetype)
    environments = [str(name) for name in body.environments]
    return {
        "application": body.name,
        "description": body.description,
        "owner_team": body.owner_team,
        "contact": body.contact,
        "cost_center": body.cost_center,
        "data_classification": str(body.data_classification),
        "criticality": str(body.criticality),
        "environments": environments,
        "region": body.region,
        "repository": f"{owner()}/{body.name}",
        "archetype_version": archetype.version,
        "request_id": record.id,
        "hostnames": {name: plans.host_of(record, name) for name in environments},
        **archetypes.chosen(plans.parameters_of(record), archetype.answers),
    }
