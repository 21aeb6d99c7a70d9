"""The file of exceptions: what it may say, and that a plan is void when one begins or ends."""

import json
import shutil
from datetime import date
from pathlib import Path
from typing import Any

import pytest
import yaml

from shared import exceptions, rule_catalogue
from shared.errors import ConfigurationError
from shared.policies import RegorusEngine
from shared.rule_set import RULES, bundle, load_rules, rules_revision

WHO = ("payments-api", "payments")
GOOD: dict[str, Any] = {
    "rule": "PLN-004",
    "application": "payments-api",
    "team": "payments",
    "environment": "dev",
    "owner": "jane.doe@contoso.com",
    "approved_by": "ciso@contoso.com",
    "reason": "The private endpoint arrives in January.",
    "granted": "2026-11-01",
    "expires": "2027-01-31",
}


def parse(*entries: dict[str, Any]) -> tuple[exceptions.PolicyException, ...]:
    rules = rule_catalogue.parse((RULES / rule_catalogue.FILE).read_text(encoding="utf-8"))
    config = json.loads((RULES / "rego" / "config.json").read_text(encoding="utf-8"))["config"]
    return exceptions.parse(yaml.safe_dump({"exceptions": list(entries)}), rules, config)


def without(name: str) -> dict[str, Any]:
    return {key: value for key, value in GOOD.items() if key != name}


def test_a_good_exception_is_read_with_its_defaults() -> None:
    (found,) = parse(without("environment") | {"granted": date(2026, 11, 1)})
    assert found.environment == "*"
    assert found.document()["approved_by"] == "ciso@contoso.com"
    assert found.document()["granted"] == "2026-11-01"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"rule": "PLN-999"}, "exceptions.0.rule: there is no rule PLN-999"),
        ({"rule": "PLN-010"}, "exceptions.0.rule: PLN-010 knows no exceptions"),
        ({"rule": "PLN-012"}, "exceptions.0.rule: PLN-012 knows no exceptions"),
        ({"rule": "x"}, "exceptions.0.rule"),
        ({"rule": "REQ-008"}, "exceptions.0.environment: REQ-008 is about the request"),
        ({"environment": "moon"}, "exceptions.0.environment: there is no environment moon"),
        ({"application": "Payments API"}, "exceptions.0.application"),
        ({"application": "*", "team": "*"}, "application or team must say for whom"),
        ({"owner": "jane"}, "exceptions.0.owner"),
        ({"approved_by": "Jane.Doe@contoso.com"}, "approved_by must be somebody else than owner"),
        ({"reason": "because"}, "exceptions.0.reason"),
        ({"reason": " " * 20}, "exceptions.0.reason"),
        ({"reason": "a\x1b[31m reason in red"}, "exceptions.0.reason"),
        ({"granted": "soon"}, "exceptions.0.granted"),
        ({"granted": None}, "exceptions.0.granted"),
        ({"expires": "2027-02-30"}, "exceptions.0.expires"),
        ({"expires": "2026-10-31"}, "expires is before granted"),
        ({"expires": "2027-05-01"}, "exceptions.0.expires: an exception lasts 180 days at most"),
        ({"scope": "all"}, "exceptions.0.scope"),
    ],
)
def test_a_malformed_exception_is_refused_by_its_field(changes: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError) as refused:
        parse({**GOOD, **changes})
    assert named in str(refused.value)
    assert str(refused.value).startswith("exceptions.yaml")


@pytest.mark.parametrize("name", ["rule", "owner", "approved_by", "reason", "granted", "expires"])
def test_a_missing_field_is_named(name: str) -> None:
    with pytest.raises(ConfigurationError, match=rf"exceptions\.0\.{name}: Field required"):
        parse(without(name))


def test_the_longest_exception_is_allowed() -> None:
    assert parse({**GOOD, "expires": "2027-04-30"})


@pytest.mark.parametrize("text", ["", "[]", "exceptions: {}", "exceptions: [x]", "{", "exceptions: []\nmore: 1"])
def test_a_file_of_another_shape_is_refused(tmp_path: Path, text: str) -> None:
    rules = Path(shutil.copytree(RULES, tmp_path / "rules"))
    (rules / "exceptions.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(ConfigurationError, match=r"^exceptions\.yaml"):
        load_rules(rules)


async def test_a_malformed_exception_stops_every_decision_loudly(tmp_path: Path) -> None:
    rules = Path(shutil.copytree(RULES, tmp_path / "rules"))
    (rules / "exceptions.yaml").write_text(yaml.safe_dump({"exceptions": [without("owner")]}), encoding="utf-8")
    with pytest.raises(ConfigurationError, match="owner"):
        await RegorusEngine(rules).decide("appstore.request", {})


@pytest.mark.parametrize("missing", ["exceptions.yaml", "rego/rules.yaml", "rego/config.json"])
def test_without_one_of_its_files_there_are_no_rules(tmp_path: Path, missing: str) -> None:
    rules = Path(shutil.copytree(RULES, tmp_path / "rules"))
    (rules / missing).unlink()
    with pytest.raises(ConfigurationError, match=missing.replace(".", r"\.")):
        load_rules(rules)


def test_an_exception_is_part_of_the_revision_and_of_the_bundle(tmp_path: Path) -> None:
    rules = Path(shutil.copytree(RULES, tmp_path / "rules"))
    before, packed = rules_revision(rules), bundle(rules)
    (rules / "exceptions.yaml").write_text(yaml.safe_dump({"exceptions": [GOOD]}), encoding="utf-8")
    assert rules_revision(rules) != before
    assert bundle(rules) != packed
    assert json.loads(load_rules(rules).data)["exceptions"][0]["owner"] == "jane.doe@contoso.com"


def test_what_is_in_force_moves_when_an_exception_begins_or_ends() -> None:
    found = parse(GOOD, {**GOOD, "granted": "2026-12-01", "expires": "2026-12-24"})
    days = ["2026-10-31", "2026-11-01", "2026-11-30", "2026-12-01", "2026-12-24", "2026-12-25", "2027-01-31"]
    seen = [exceptions.in_force(found, date.fromisoformat(day), *WHO) for day in days]
    assert seen[0] == exceptions.in_force(found, date(2027, 2, 1), *WHO) == ""
    assert seen[1] == seen[2] == seen[5] == seen[6] != ""
    assert seen[3] == seen[4] not in (seen[0], seen[1])


def test_an_exception_moves_what_it_concerns_and_nothing_else() -> None:
    """Of two plans that wait when an exception ends, the one of its application or team is void, the other is not."""
    found = parse({**GOOD, "team": "*"}, {**GOOD, "application": "*", "team": "web", "rule": "PLN-013"})
    before, after = date(2027, 1, 31), date(2027, 2, 1)

    def void(application: str, team: str) -> bool:
        return exceptions.in_force(found, before, application, team) != exceptions.in_force(
            found, after, application, team
        )

    assert void("payments-api", "payments")
    assert void("payments-api", "somebody")
    assert void("shop-api", "web")
    assert not void("shop-api", "payments")
    both = parse(GOOD)
    assert exceptions.in_force(both, before, *WHO)
    assert not exceptions.in_force(both, before, "payments-api", "web")
    assert not exceptions.in_force(both, before, "shop-api", "payments")


def test_the_exceptions_of_this_app_store_are_valid() -> None:
    assert isinstance(load_rules().exceptions, tuple)


@pytest.mark.parametrize(
    ("entry", "named"),
    [
        ({"package": "moon", "outcome": "deny", "exceptable": False, "demands": "X."}, "REQ-001.package"),
        ({"package": "plan", "outcome": "warn", "exceptable": True, "demands": "X."}, "REQ-001.exceptable"),
        ({"package": "plan", "outcome": "deny", "exceptable": True, "demands": "no sentence"}, "REQ-001.demands"),
        ({"package": "plan", "outcome": "deny", "exceptable": True}, "REQ-001.demands"),
    ],
)
def test_a_malformed_rule_of_the_catalogue_is_named(entry: dict[str, Any], named: str) -> None:
    with pytest.raises(ConfigurationError, match=named.replace(".", r"\.")):
        rule_catalogue.parse(yaml.safe_dump({"REQ-001": entry}))


@pytest.mark.parametrize("text", ["{", "- 1", "x: {}"])
def test_a_catalogue_of_another_shape_is_refused(text: str) -> None:
    with pytest.raises(ConfigurationError, match=r"rules\.yaml"):
        rule_catalogue.parse(text)
