"""The files for a company's own Backstage are what Backstage and the App Store expect."""

from pathlib import Path
from typing import Any

import yaml

from shared import archetypes
from shared.models.application_request import ApplicationRequest
from tests.backstage.model.check import flaws

FOLDER = Path(__file__).resolve().parents[2] / "infra" / "backstage"

type Document = dict[str, Any]


def load(name: str) -> Document:
    """One of the files."""
    document: Document = yaml.safe_load((FOLDER / name).read_text(encoding="utf-8"))
    return document


def test_the_template_is_one_by_backstages_own_model() -> None:
    template = load("template.yaml")
    assert flaws([template]) == [""]
    del template["spec"]["steps"]
    assert "must have required property 'steps'" in flaws([template])[0]


def test_the_form_asks_for_what_an_order_needs() -> None:
    template = load("template.yaml")
    asked = {name: field for page in template["spec"]["parameters"] for name, field in page["properties"].items()}
    body = dict(template["spec"]["steps"][0]["input"]["body"])
    parameters = body.pop("parameters")
    fields = {field.alias or name: field for name, field in ApplicationRequest.model_fields.items()}
    assert set(body) <= set(fields)
    assert {name for name, field in fields.items() if field.is_required()} <= set(body)
    assert body.pop("archetype") == "api"
    archetype = archetypes.find("api")
    assert set(parameters) == set(archetype.parameters["properties"])
    assert body | parameters == {name: f"${{{{ parameters.{name} }}}}" for name in asked}
    schema = ApplicationRequest.model_json_schema(by_alias=True)
    for name in ("name", "ownerTeam", "costCenter"):
        assert asked[name]["pattern"] == schema["properties"][name]["pattern"]
    assert asked["environments"]["items"]["enum"] == archetype.environments
    for name in ("database", "cluster"):
        assert asked[name]["enum"] == archetype.parameters["properties"][name]["enum"]


def test_the_order_carries_the_task_as_its_key_and_only_what_it_needs_goes_on() -> None:
    step = load("template.yaml")["spec"]["steps"][0]["input"]
    ((route, endpoint),) = load("app-config.order.yaml")["proxy"]["endpoints"].items()
    assert step["path"] == f"/proxy{route}/api/requests"
    assert step["headers"] == {"content-type": "application/json", "idempotency-key": "${{ context.task.id }}"}
    assert endpoint["allowedHeaders"] == ["content-type", "idempotency-key"]


def test_each_entry_may_do_no_more_than_the_app_store_does() -> None:
    catalog, scaffolder = load("app-config.appstore.yaml")["backend"]["auth"]["externalAccess"]
    assert catalog["options"]["audience"] != scaffolder["options"]["audience"]
    permissions = {f"catalog.location.{name}" for name in ("create", "read", "delete")} | {"catalog.entity.read"}
    assert [item["plugin"] for item in catalog["accessRestrictions"]] == ["catalog"]
    assert set(catalog["accessRestrictions"][0]["permission"]) == permissions
    assert scaffolder["accessRestrictions"] == [{"plugin": "scaffolder"}, {"plugin": "catalog"}]
    assert load("app-config.appstore.yaml")["permission"] == {"enabled": True}


def test_every_kind_of_the_archetype_is_allowed() -> None:
    (rule,) = load("app-config.appstore.yaml")["catalog"]["rules"]
    assert {"System", "Component", "API", "Resource"} <= set(rule["allow"])
