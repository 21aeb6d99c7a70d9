from pathlib import Path

import pytest
import yaml

from shared.errors import ConfigurationError
from shared.models.day2_alerts import RespondToAlert
from shared.responses import FOLDER, NOBODY_KNOWS, fulfils, response_to

STORAGE = "alert-payments-api-dev-database-storage"


def _alert(rule: str) -> RespondToAlert:
    return RespondToAlert(alert_id="a", rule=rule, condition="Fired", fingerprint="f")


def test_the_first_response_that_matches_is_taken() -> None:
    assert response_to(_alert(STORAGE), "prod").id == "database-disk-full"
    assert response_to(_alert("alert-x-vault-availability"), "prod").action.runbook == "collect-diagnostics"
    assert response_to(_alert("alert-x-database-connections"), "qa").action.runbook == "restart-database"
    assert response_to(_alert("alert-x-database-connections"), "prod") is NOBODY_KNOWS, "a person restarts production"
    assert response_to(_alert("something else"), "dev") is NOBODY_KNOWS


def test_every_alert_of_the_modules_has_a_response() -> None:
    """What our own Terraform raises is not left to `nobody knows`."""
    modules = FOLDER.parents[1] / "infra" / "modules"
    names = [
        line.partition('"alert-${local.suffix}-')[2].strip().strip('"')
        for file in modules.glob("*/*.tf")
        for line in file.read_text(encoding="utf-8").splitlines()
        if '"alert-${local.suffix}-' in line
    ]
    assert len(names) >= 5
    assert [name for name in names if response_to(_alert(f"alert-x-{name}"), "prod") is NOBODY_KNOWS] == []


@pytest.mark.parametrize(
    ("kind", "field", "value"),
    [
        ("extend-database", "largest", 64),
        ("scale-workload", "replicas", 4),
        ("start-runbook", "runbook", "collect-diagnostics"),
        ("rotate-secret", "secret", "storage-key"),
    ],
)
def test_an_action_says_what_it_needs(tmp_path: Path, kind: str, field: str, value: object) -> None:
    def write(action: dict[str, object]) -> None:
        row = {"id": "only", "match": {}, "action": action}
        (tmp_path / "own.yaml").write_text(yaml.safe_dump({"responses": [row]}))

    write({"kind": kind, field: value})
    assert response_to(_alert("x"), "dev", tmp_path).action.kind == kind
    write({"kind": kind})
    with pytest.raises(ConfigurationError, match=rf"own\.yaml: action: .*{kind} needs {field}"):
        response_to(_alert("x"), "dev", tmp_path)


@pytest.mark.parametrize(
    ("value", "operator", "threshold", "holds"),
    [
        (86, "GreaterThan", "85", True),
        (85, "GreaterThan", "85", False),
        (85, "GreaterThanOrEqual", "85", True),
        (98, "LessThan", "99", True),
        (99, "lessthanorequal", "99.0", True),
        (0, "Equals", "0", True),
        (1, "Sideways", "0", None),
        (1, "GreaterThan", "many", None),
    ],
)
def test_whether_a_condition_holds(value: float, operator: str, threshold: str, holds: object) -> None:
    assert fulfils(value, operator, threshold) is holds
