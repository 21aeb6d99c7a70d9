"""What of a comparison matters, how bad it is, and what may be put right without a person."""

from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared.drift import compare
from shared.drift_rules import FILE, DriftRules, drift_rules
from shared.errors import ConfigurationError
from shared.models.drift import DifferenceKind, DriftReport, Severity

TODAY = date(2026, 11, 26)
VAULT, SERVER, GROUP = (
    ("module.environment.azurerm_key_vault.this", "azurerm_key_vault"),
    ("module.environment.azurerm_postgresql_flexible_server.this[0]", "azurerm_postgresql_flexible_server"),
    ("module.environment.azurerm_resource_group.this", "azurerm_resource_group"),
)


def entry(what: tuple[str, str], before: Any, after: Any, action: str = "update", **more: Any) -> dict[str, Any]:
    address, kind = what
    shown = {"address": address, "type": kind, "action": action, "before": before, "after": after}
    return {**shown, "unknownPaths": [], "replacePaths": [], **more}


def drifted(what: tuple[str, str], code: Any, there: Any) -> dict[str, Any]:
    """A change set after somebody changed an object that the code sets."""
    return {"changes": [entry(what, there, code)], "drift": [entry(what, code, there)]}


def joined(*sets: dict[str, Any]) -> dict[str, Any]:
    return {name: [item for part in sets for item in part[name]] for name in ("changes", "drift")}


def judged(change_set: dict[str, Any], rules: DriftRules | None = None, **ignore: Any) -> DriftReport:
    found = rules or drift_rules()
    if ignore:
        document = yaml.safe_load(FILE.read_text(encoding="utf-8")) | {"ignore": [ignore]}
        found = DriftRules.model_validate(document)
    return compare(change_set, found, application="payments-api", environment="dev", today=TODAY)


def test_a_tag_a_size_and_a_firewall_are_three_findings_among_forty_harmless_ones() -> None:
    rules = {"default_action": "Deny", "ip_rules": []}
    harmless = [
        drifted(
            (f"azurerm_monitor_metric_alert.n{number}", "azurerm_monitor_metric_alert"), {"tags": {}}, {"tags": tags}
        )
        for number in range(10)
        for tags in [{f"hidden-link:/app{index}": "Resource" for index in range(4)}]
    ]
    found = judged(
        joined(
            drifted(GROUP, {"tags": {"cost-center": "CC-1"}}, {"tags": {"cost-center": "CC-2"}}),
            drifted(SERVER, {"sku_name": "B_Standard_B1ms"}, {"sku_name": "GP_Standard_D4ds_v5"}),
            drifted(VAULT, {"network_acls": [rules]}, {"network_acls": [{**rules, "ip_rules": ["203.0.113.7"]}]}),
            *harmless,
        )
    )
    assert {(item.attribute, item.severity) for item in found.findings} == {
        ("tags.cost-center", Severity.LOW),
        ("sku_name", Severity.HIGH),
        ("network_acls[0].ip_rules", Severity.CRITICAL),
    }
    assert found.harmless == 40
    assert not found.safe


@pytest.mark.parametrize(
    ("code", "there"),
    [
        ({"zones": ["1", "2"]}, {"zones": ["2", "1"]}),
        ({"tags": None}, {"tags": {}}),
        ({"note": ""}, {"note": None}),
        ({"scope": "/subscriptions/A/resourceGroups/rg"}, {"scope": "/SUBSCRIPTIONS/a/resourcegroups/RG"}),
        ({"policy": '{"a":1,"b":2}'}, {"policy": '{ "b": 2, "a": 1 }'}),
        ({"tags": {"hidden-title": "x"}}, {"tags": {}}),
        ({"tags": {}}, {"tags": {"CreatedOn": "2026-11-26"}}),
    ],
)
def test_differences_without_a_meaning_are_none(code: Any, there: Any) -> None:
    assert judged(drifted(VAULT, code, there)).findings == []


def test_what_only_azure_computes_is_none_unless_a_rule_watches_it() -> None:
    quiet = {"changes": [], "drift": [entry(SERVER, {"zone": "1", "fqdn": "a"}, {"zone": "3", "fqdn": "b"})]}
    assert (judged(quiet).findings, judged(quiet).harmless) == ([], 2)
    watched = {"changes": [], "drift": [entry(SERVER, {"storage_tls_version": "1.3"}, {"storage_tls_version": "1.0"})]}
    assert [item.severity for item in judged(watched).findings] == [Severity.CRITICAL]


def test_what_a_deployment_stack_shows_under_two_names_is_one_finding() -> None:
    """Azure's own property and the attribute that rules look at; a property without such a name counts by itself."""

    def vault(action: str, networks: list[str]) -> dict[str, Any]:
        azure = {"networkAcls": {"defaultAction": action, "virtualNetworkRules": networks}}
        return {"properties": azure, "network_acls": [{"default_action": action}]}

    change = entry(VAULT, vault("Allow", ["x"]), vault("Deny", []))
    found = judged({"engine": "deployment_stack", "changes": [change], "drift": []})
    assert {item.attribute for item in found.findings} == {
        "network_acls[0].default_action",
        "properties.networkAcls.virtualNetworkRules",
    }


def test_what_is_known_only_after_the_apply_is_none() -> None:
    change = entry(VAULT, {"vault_uri": "https://a"}, {"vault_uri": None}, unknownPaths=["vault_uri"])
    assert judged({"changes": [change], "drift": []}).findings == []


def test_an_object_that_is_gone_is_critical_and_one_that_was_never_made_is_told_apart() -> None:
    gone = {"changes": [entry(VAULT, None, {"name": "kv"}, "create")], "drift": [entry(VAULT, {}, None, "delete")]}
    (finding,) = judged(gone).findings
    assert (finding.kind, finding.severity, finding.attribute) == (DifferenceKind.MISSING, Severity.CRITICAL, "")
    assert judged(gone).replaces
    never = {"changes": [entry(VAULT, None, {"name": "kv"}, "create")], "drift": []}
    assert [item.kind for item in judged(never).findings] == [DifferenceKind.UNAPPLIED]
    unwanted = {"changes": [], "drift": [entry(VAULT, {"sku_name": "x"}, None, "delete")]}
    assert judged(unwanted).findings == []


def test_a_secret_that_changed_is_a_finding_although_nobody_sees_it() -> None:
    same = {"administrator_password": "(sensitive)"}
    found = judged({"changes": [entry(SERVER, same, same)], "drift": []})
    assert [(item.expected, item.actual) for item in found.findings] == [('"(sensitive)"', '"(sensitive)"')]


def test_code_that_was_not_applied_is_told_as_such() -> None:
    found = judged({"changes": [entry(SERVER, {"storage_mb": 1}, {"storage_mb": 2})], "drift": []})
    assert [item.kind for item in found.findings] == [DifferenceKind.UNAPPLIED]


def test_only_safe_differences_may_be_put_right_at_once() -> None:
    tag = drifted(GROUP, {"tags": {"a": "1"}}, {"tags": {"a": "2", "b": "3"}})
    assert judged(tag).safe
    assert len(judged(tag).findings) == 2
    assert not judged(joined(tag, drifted(SERVER, {"sku_name": "a"}, {"sku_name": "b"}))).safe
    replaced = joined(tag, {"changes": [entry(SERVER, {"tags": {}}, {"tags": {"a": "1"}}, "replace")], "drift": []})
    assert not judged(replaced).safe, "an apply would make an object anew"
    assert not judged({"changes": [], "drift": []}).safe, "there is nothing to do"


IGNORE: dict[str, Any] = {
    "application": "payments-*",
    "environment": "dev",
    "address": SERVER[0],
    "attribute": "sku_name",
    "owner": "jane.doe@contoso.com",
    "reason": "The load test needs a larger size.",
    "expires": TODAY,
}


def test_what_is_left_as_it_is_until_a_day_is_no_finding_and_afterwards_it_is_one_and_reported() -> None:
    size = drifted(SERVER, {"sku_name": "a"}, {"sku_name": "b"})
    left = judged(size, **IGNORE)
    assert (left.findings, [item.attribute for item in left.ignored], left.expired) == ([], ["sku_name"], [])
    tag = drifted(GROUP, {"tags": {"a": "1"}}, {"tags": {"a": "2"}})
    assert not judged(joined(size, tag), **IGNORE).safe, "a normal apply would undo what is left as it is"
    over = judged(size, **IGNORE | {"expires": date(2026, 11, 25)})
    assert [item.attribute for item in over.findings] == ["sku_name"]
    assert "jane.doe@contoso.com" in over.expired[0]
    elsewhere = judged(size, **IGNORE | {"environment": "prod"})
    assert len(elsewhere.findings) == 1


@pytest.mark.parametrize(
    "broken",
    [
        {"default": {"severity": "dreadful", "class": "propose"}},
        {"ignore": [{name: value for name, value in IGNORE.items() if name != "owner"}]},
        {"ignore": [IGNORE | {"reason": "short"}]},
        {"surprise": 1},
    ],
)
def test_a_malformed_file_is_told(tmp_path: Path, broken: dict[str, Any]) -> None:
    path = tmp_path / "drift.yaml"
    path.write_text(yaml.safe_dump(yaml.safe_load(FILE.read_text(encoding="utf-8")) | broken), encoding="utf-8")
    with pytest.raises(ConfigurationError):
        drift_rules(path)
