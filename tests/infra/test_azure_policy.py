"""The data of Azure Policy: sound, assigned where applications are, and in step with the Rego rules."""

import asyncio
import copy
import json
import re
import shutil
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from local.vendors.azurerm.mapping import KINDS
from local.vendors.kernel import Kernel
from shared import rule_catalogue
from tests.infra import azure_policy
from tests.infra.azure_policy import Document, definition_faults, exemption_faults, initiative_faults, value_faults
from tests.infra.conftest import INFRA, ROOT
from tests.infra.test_modules import terraform_in

RULES = ROOT / "rules"
FOLDER = RULES / "azure_policy"
DEFINITIONS: dict[str, Document] = {
    path.stem: json.loads(path.read_text()) for path in sorted((FOLDER / "definitions").glob("*.json"))
}
INITIATIVE: Document = json.loads((FOLDER / "initiative.json").read_text())
REFERENCES = {item["policyDefinitionReferenceId"]: item for item in INITIATIVE["properties"]["policyDefinitions"]}
ASSIGNMENTS: dict[str, Document] = {
    path.stem: yaml.safe_load(path.read_text()) for path in sorted((FOLDER / "assignments").glob("*.yaml"))
}
MIRROR: Document = yaml.safe_load((FOLDER / "mirror.yaml").read_text())
CONFIG: Document = json.loads((RULES / "rego" / "config.json").read_text())["config"]
CATALOGUE = rule_catalogue.parse((RULES / rule_catalogue.FILE).read_text())
ZONES: list[Document] = yaml.safe_load((RULES / "landing_zones.yaml").read_text())["landing_zones"]
# Parameters of the built-in definitions we use, as github.com/Azure/azure-policy had them on 2026-04-29.
BUILT_INS: dict[str, Document] = json.loads(Path(__file__).with_name("azure_policy_built_ins.json").read_text())
KNOWN = {name: item["parameters"] for name, item in BUILT_INS.items()} | {
    item["name"]: item["properties"]["parameters"] for item in DEFINITIONS.values()
}
ROLES: dict[str, str] = json.loads((ROOT / "local" / "vendors" / "arm" / "platform.json").read_text())[
    "role_definitions"
]
# Aliases that somebody looked up: Azure takes an unknown one for a property that never exists.
ALIASES = {
    "Microsoft.Authorization/roleAssignments/roleDefinitionId",
    "Microsoft.DBforPostgreSQL/flexibleServers/authConfig.activeDirectoryAuth",
    "Microsoft.DBforPostgreSQL/flexibleServers/authConfig.passwordAuth",
}
EXEMPTION: Document = yaml.safe_load(
    (INFRA / "policy" / "tests" / "exemptions" / "good" / "payments-api-vault.yaml").read_text()
)


@pytest.mark.parametrize("name", DEFINITIONS)
def test_a_definition_is_sound(name: str) -> None:
    definition = DEFINITIONS[name]
    assert list(definition_faults(definition)) == []
    assert definition["name"] == f"appstore-{name}"
    assert "effect" in definition["properties"]["parameters"], "an assignment can soften every definition"
    text = json.dumps(definition["properties"]["policyRule"])
    fields = re.findall(r"""(?:"field": "|field\(')(Microsoft\.[^"']+)""", text)
    assert set(fields) <= ALIASES


def _set(*path: str | int, value: Any) -> Callable[[Document], None]:
    def change(definition: Document) -> None:
        place: Any = definition["properties"]
        for step in path[:-1]:
            place = place[step]
        if value is ...:
            del place[path[-1]]
        else:
            place[path[-1]] = value

    return change


FIRST = ("policyRule", "if", "allOf", 0)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("policyRule", "then", value=...), "needs if and then"),
        (_set("policyRule", "if", value=[]), "a condition is an object"),
        (_set("policyRule", "if", "anyOf", value=[]), "stands alone"),
        (_set(*FIRST, "value", value="x"), "exactly one of field, value, count, source"),
        (_set(*FIRST, "field", value=...), "exactly one of field, value, count, source"),
        (_set(*FIRST, "equals", value=...), "exactly one operator"),
        (_set(*FIRST, "like", value="x"), "exactly one operator"),
        (_set(*FIRST, value={"not": {"field": "type", "is": "x"}}), "if.allof[0].not: exactly one operator"),
        (_set(*FIRST, value={"count": {"field": "a[*]", "where": {}}, "less": 1}), "count.where"),
        (_set("policyRule", "then", "effect", value="denny"), "denny is unknown"),
        (_set("policyRule", "then", "effect", value=...), "has no effect"),
        (_set("parameters", "effect", "allowedValues", value=["Audit", "Forbid"]), "Forbid is unknown"),
        (_set("parameters", "effect", "defaultValue", value="Append"), "Append is not allowed"),
        (_set("parameters", "effect", "type", value="Text"), "the type text is unknown"),
        (_set("parameters", "effect", value=...), "effect is used and not declared"),
        (_set(*FIRST, "equals", value="[parameters('kind')]"), "kind is used and not declared"),
    ],
)
def test_a_broken_definition_is_refused(change: Callable[[Document], None], said: str) -> None:
    definition = copy.deepcopy(DEFINITIONS["postgresql-entra-only"])
    change(definition)
    assert said in " ".join(definition_faults(definition))


def test_the_initiative_is_sound_and_uses_every_definition_that_deploys_nothing() -> None:
    assert list(initiative_faults(INITIATIVE, KNOWN)) == []
    ids = {item["policyDefinitionId"] for item in REFERENCES.values()}
    ours = {name.rpartition("/")[2] for name in ids if "/managementGroups/{managementGroup}/" in name}
    deploying = {name for name, item in DEFINITIONS.items() if "deployment" in json.dumps(item)}
    assert deploying == set(MIRROR["only_in_azure"]), "assigned on its own: an identity of its own does it"
    assert ours == {item["name"] for name, item in DEFINITIONS.items() if name not in deploying}
    assert {name.rpartition("/")[2] for name in ids} - ours == set(BUILT_INS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (_set("policyDefinitions", 0, "policyDefinitionReferenceId", value="tag-environment"), "is there twice"),
        (_set("policyDefinitions", 0, "policyDefinitionId", value="x/0"), "its definition is unknown"),
        (_set("policyDefinitions", 0, "groupNames", value=["x"]), "there is no group x"),
        (_set("policyDefinitions", 0, "parameters", value={}), "tag-application.tagName: needs a value"),
        (_set("policyDefinitions", 0, "parameters", "tag", value={"value": 1}), "has no parameter tag"),
        (_set("policyDefinitions", 0, "parameters", "tagName", value={"value": 1}), "1 is no String"),
        (_set("policyDefinitions", -1, "parameters", "effect", value={"value": "Deny"}), "Deny is not allowed"),
        (_set("parameters", "locations", value=...), "locations is used and not declared"),
        (_set("parameters", "spare", value={"type": "String"}), "spare is declared and not used"),
        (_set("parameters", "effect", "type", value="Text"), "the type text is unknown"),
    ],
)
def test_a_broken_initiative_is_refused(change: Callable[[Document], None], said: str) -> None:
    initiative = copy.deepcopy(INITIATIVE)
    change(initiative)
    assert said in " ".join(initiative_faults(initiative, KNOWN))


@pytest.mark.parametrize("name", ASSIGNMENTS)
def test_an_assignment_gives_every_parameter_and_explains_itself(name: str) -> None:
    assignment = ASSIGNMENTS[name]
    assert list(value_faults(INITIATIVE["properties"]["parameters"], assignment["parameters"])) == []
    assert assignment["enforce"] is True
    assert set(assignment["messages"]) - {"default"} <= set(REFERENCES)
    assert "default" in assignment["messages"]
    named = set(re.findall(r"[A-Z]{3}-\d{3}", " ".join(assignment["messages"].values())))
    assert named <= set(CATALOGUE)


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "locations: needs a value"),
        ({"effect": "deny"}, "effect: deny is not allowed"),
        ({"locations": "westeurope"}, "is no Array"),
        ({"place": []}, "there is no such parameter"),
    ],
)
def test_a_broken_assignment_is_refused(values: Document, said: str) -> None:
    assert said in " ".join(value_faults(INITIATIVE["properties"]["parameters"], values))


def test_every_environment_is_assigned_once_and_the_platform_is_left_alone() -> None:
    assigned = [name for item in ASSIGNMENTS.values() for name in item["environments"]]
    assert sorted(assigned) == sorted(CONFIG["environment_order"])
    for assignment in ASSIGNMENTS.values():
        left_alone = {scope.lower() for scope in assignment["notScopes"]}
        for zone in ZONES:
            if zone["environment"] in assignment["environments"]:
                assert {scope.lower() for scope in _platform(zone)} <= left_alone, zone["name"]


def _platform(zone: Document) -> set[str]:
    """Resource groups that are not an application's: cluster and its nodes, registry, logs, DNS."""
    groups = f"/subscriptions/{zone['subscription_id']}/resourceGroups"
    cluster = zone.get("cluster_resource_group")  # a dedicated cluster is the application's
    shared = {f"{groups}/{cluster}", f"{groups}/MC_{cluster}_{zone.get('cluster_name')}_{zone['region']}"}
    return {
        *(shared if cluster else ()),
        f"/subscriptions/{zone['dns_subscription_id']}/resourceGroups/{zone['dns_resource_group']}",
        *(zone[name].partition("/providers/")[0] for name in ("registry_id", "log_workspace_id")),
    }


def test_exemptions_are_sound() -> None:
    for path in (FOLDER / "exemptions").glob("*.yaml"):
        exemption = yaml.safe_load(path.read_text())
        assert list(exemption_faults(path.stem, exemption, set(REFERENCES), set(ASSIGNMENTS))) == []
    assert list(exemption_faults(EXEMPTION["name"], EXEMPTION, set(REFERENCES), set(ASSIGNMENTS))) == []


@pytest.mark.parametrize(
    "changes",
    [
        {"name": "other"},
        {"owner": ""},
        {"approvedBy": "JANE.DOE@contoso.com"},
        {"approvedBy": None},
        {"category": "Gift"},
        {"assignment": "moon"},
        {"references": []},
        {"references": ["vault-netwok"]},
        {"reason": " "},
        {"expires": "never"},
        {"expires": date(2028, 1, 1)},
        {"expires": date(2026, 10, 1)},
    ],
)
def test_a_broken_exemption_is_refused(changes: Document) -> None:
    wrong = {**EXEMPTION, **changes}
    assert list(exemption_faults(EXEMPTION["name"], wrong, set(REFERENCES), set(ASSIGNMENTS)))


def test_every_definition_has_its_rule_and_every_rule_about_plans_its_definition() -> None:
    mirrored = MIRROR["references"]
    assert list(mirrored) == list(REFERENCES)
    rules = {rule for item in mirrored.values() for rule in item["rules"]}
    assert {rule for rule in rules if CATALOGUE[rule].outcome != "deny"} == set()
    denying = {name for name, rule in CATALOGUE.items() if rule.package == "plan" and rule.outcome == "deny"}
    assert denying == {rule for rule in rules if rule.startswith("PLN")} | set(MIRROR["only_in_rego"])
    assert not rules & set(MIRROR["only_in_rego"])


def test_tags_and_values_are_those_of_the_rules() -> None:
    for prefix in ("tag-", "group-tag-"):
        names = [name.removeprefix(prefix) for name in REFERENCES if name.startswith(prefix)]
        assert names == CONFIG["plan"]["required_tags"]
        assert [REFERENCES[f"{prefix}{name}"]["parameters"]["tagName"]["value"] for name in names] == names
    for assignment in ASSIGNMENTS.values():
        values, request = assignment["parameters"], CONFIG["request"]
        assert values["classifications"] == request["classifications"]
        assert values["criticalities"] == request["criticalities"]
        assert set(values["locations"]) == {place for places in request["regions"].values() for place in places}


def test_roles_are_those_of_the_rules() -> None:
    allowed = CONFIG["plan"]["roles"]
    for assignment in ASSIGNMENTS.values():
        names = {role for place in ("every_environment", *assignment["environments"]) for role in allowed[place]}
        assert sorted(assignment["parameters"]["allowedRoleDefinitions"]) == sorted(ROLES[name] for name in names)


def test_what_is_built_is_not_forbidden() -> None:
    built = {
        found[1].lower()
        for name in CONFIG["plan"]["expected_types"]
        if (found := re.search(r"providers/(Microsoft\.\w+/\w+)", KINDS.get(name, {}).get("id", "")))
    }
    assert "microsoft.keyvault/vaults" in built
    for assignment in ASSIGNMENTS.values():
        assert not built & {name.lower() for name in assignment["parameters"]["notAllowedTypes"]}


def test_purge_protection_is_wanted_where_the_rules_want_it() -> None:
    for assignment in ASSIGNMENTS.values():
        wanted = set(assignment["environments"]) & set(CONFIG["plan"]["purge_protection_environments"])
        assert (assignment["parameters"]["purgeProtectionEffect"] == "Deny") is bool(wanted)


def test_exemptions_and_exceptions_last_equally_long() -> None:
    terraform = (INFRA / "policy" / "variables.tf").read_text()
    declared = re.search(r'"longest_exemption_days" \{.*?default += (\d+)', terraform, re.DOTALL)
    assert declared
    assert int(declared[1]) == CONFIG["exceptions"]["max_days"] == azure_policy.LONGEST_EXEMPTION


async def test_unit_tests_of_the_stack(azure: Kernel, terraform: str, tmp_path: Path) -> None:
    folder = shutil.copytree(INFRA / "policy", tmp_path / "infra" / "policy")
    shutil.copytree(FOLDER, tmp_path / "rules" / "azure_policy")
    (folder / "backend_override.tf").write_text('terraform {\n  backend "local" {}\n}\n')
    provider = azure.vendor("azurerm").environment()
    for command in ("init", "validate", "test"):
        output = await asyncio.to_thread(terraform_in, folder, terraform, command, "-no-color", **provider)
    assert re.search(r"Success! 9 passed, 0 failed", output), output
