"""catalog-info.yaml of every combination of the parameters, by Backstage's own model from npm."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.archetypes.rendering import render
from tests.backstage.model.check import flaws

type Entity = dict[str, Any]


def entities(repository: Path) -> list[Entity]:
    """The documents of the file, `$text` replaced by the file that it names, as Backstage does before it checks."""
    found: list[Entity] = list(yaml.safe_load_all((repository / "catalog-info.yaml").read_text(encoding="utf-8")))
    for entity in found:
        definition = entity["spec"].get("definition")
        if definition:
            entity["spec"]["definition"] = (repository / definition["$text"]).read_text(encoding="utf-8")
    return found


def test_the_entities_of_every_combination_are_valid(any_repository: Path) -> None:
    found = entities(any_repository)
    assert {entity["kind"] for entity in found} >= {"System", "Component", "API"}
    assert flaws(found) == [""] * len(found)


def test_every_entity_carries_the_request_and_belongs_to_the_team(any_repository: Path) -> None:
    for entity in entities(any_repository):
        assert entity["metadata"]["annotations"]["appstore/request-id"] == "req-7f3a"
        assert entity["spec"]["owner"] == "group:default/payments"
        assert entity["kind"] == "System" or entity["spec"]["system"] == "payments-api"


def test_references_of_the_component_lead_to_entities_of_the_file(any_repository: Path) -> None:
    found = {entity["kind"]: entity for entity in entities(any_repository)}
    spec = found["Component"]["spec"]
    assert spec["providesApis"] == [found["API"]["metadata"]["name"]]
    resources = [f"resource:default/{found['Resource']['metadata']['name']}"] if "Resource" in found else None
    assert spec.get("dependsOn") == resources


@pytest.mark.parametrize("environments", [["dev"], ["dev", "qa"], ["prod"]], ids="-".join)
def test_other_environments_are_valid(tmp_path: Path, environments: list[str]) -> None:
    hostnames = {name: f"payments-api.{name}.apps.contoso.com" for name in environments}
    found = entities(render(tmp_path, environments=environments, hostnames=hostnames))
    assert flaws(found) == [""] * len(found)
    component = next(entity for entity in found if entity["kind"] == "Component")
    assert component["spec"]["lifecycle"] == ("production" if "prod" in environments else "experimental")
    assert [link["title"] for link in component["metadata"]["links"]] == environments


@pytest.mark.parametrize("name", ["abc", "a" + 38 * "b" + "c"])
def test_the_shortest_and_the_longest_name_are_valid(tmp_path: Path, name: str) -> None:
    found = entities(render(tmp_path, application=name, repository=f"contoso/{name}"))
    assert flaws(found) == [""] * len(found)


def test_the_model_finds_what_is_wrong(repository: Path) -> None:
    good = next(entity for entity in entities(repository) if entity["kind"] == "Component")
    wrong: dict[str, Entity] = {
        '"metadata.name" is not valid': {"metadata": {"name": "-payments"}},
        "at most 63 characters": {"metadata": {"name": "p" * 64}},
        '"tags.0" is not valid': {"metadata": {"tags": ["Data_Confidential"]}},
        '"labels.a b" is not valid': {"metadata": {"labels": {"a b": "c"}}},
        '"annotations.a/b/c" is not valid': {"metadata": {"annotations": {"a/b/c": "d"}}},
        '"links.0.url" is not valid': {"metadata": {"links": [{"url": "payments.example.com"}]}},
        "must have required property 'owner'": {"spec": {"owner": None}},
        "is not one by its apiVersion": {"apiVersion": "backstage.io/v2"},
    }
    assert flaws([good]) == [""]
    found = flaws([_changed(good, change) for change in wrong.values()])
    assert [reason for reason, said in zip(wrong, found, strict=True) if reason not in said] == [], found


def _changed(entity: Entity, change: Entity) -> Entity:
    made = deepcopy(entity)
    for part, value in change.items():
        if isinstance(value, dict):
            made[part] = {name: item for name, item in (made[part] | value).items() if item is not None}
        else:
            made[part] = value
    return made
