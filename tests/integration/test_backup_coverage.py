"""What protects an application's data, beside what the rules demand: every violation is a sentence."""

from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from shared.backup_coverage import coverage, due_on
from shared.backup_rules import BackupRule, backup_rule
from shared.errors import RequestRejectedError
from shared.models.backups import DataKind, DataResource, DrillRecord
from shared.models.day2_backups import Check
from shared.models.records import RequestRecord
from tests.e2e.driver import until
from tests.integration.day2 import GROUPS, STORAGE, VAULTS, active, group_of
from tests.integration.test_alert_responses import POSTGRES, database
from tests.integration.world import REQUESTER, TENANT, DurableClient, World, caller
from triggers._http import Call
from triggers.http_backups import list_backups

NOW = datetime(2026, 11, 26, 12, tzinfo=UTC)
RULE = BackupRule(retention_days=35, drill_days=90, rto_minutes=120, rpo_minutes=15)
MADE = date(2026, 1, 5)
GOOD = DataResource(
    id="/x/psql",
    name="psql",
    kind=DataKind.DATABASE,
    environment="prod",
    policy="point-in-time restore within 35 days",
    retention_days=35,
    earliest="2026-10-22T12:00:00+00:00",
    latest="2026-11-26T11:55:00+00:00",
)


def drill(days_ago: int, **changes: Any) -> DrillRecord:
    ended = (NOW - timedelta(days=days_ago)).isoformat()
    fields: dict[str, Any] = {
        "application": "shop",
        "environment": "prod",
        "operation": f"op-{days_ago:012}",
        "resource": "/X/PSQL",
        "kind": DataKind.DATABASE,
        "place": "/x/rg",
        "begun_at": ended,
        "ended_at": ended,
        "passed": True,
        "rto_seconds": 600,
        "rpo_seconds": 300,
        "removed_at": ended,
    }
    return DrillRecord(**fields | changes)


def said(resource: DataResource, *drills: DrillRecord) -> str:
    return " ".join(coverage(resource, RULE, drills, NOW, MADE).violations)


def test_what_is_as_demanded_has_no_violation() -> None:
    found = coverage(GOOD, RULE, [drill(30)], NOW, MADE)
    assert found.violations == []
    assert (found.drill_due, found.demanded_days) == ("2027-01-25", 35)
    assert found.last_drill
    assert (found.last_drill.passed, found.last_drill.rto_seconds) == (True, 600)


@pytest.mark.parametrize(
    ("changes", "sentence"),
    [
        ({"policy": "", "retention_days": 0}, "psql: it has no backup policy."),
        ({"retention_days": 7}, "psql: it can be brought back for 7 days; 35 are demanded."),
        ({"latest": None}, "psql: it has no good recovery point."),
        ({"latest": "2026-11-26T10:00:00+00:00"}, "recovery point is 120 minutes old; 15 are allowed"),
        ({"gaps": ["blobs that are removed are not kept"]}, "psql: blobs that are removed are not kept."),
    ],
)
def test_each_violation_is_a_sentence(changes: dict[str, Any], sentence: str) -> None:
    assert sentence in said(GOOD.model_copy(update=changes), drill(30))


def test_drills_that_are_missing_old_failed_or_slow_are_violations() -> None:
    assert "its first drill was due by 2026-01-12" in said(GOOD)
    assert "its next drill was due by 2026-11-25" in said(GOOD, drill(91))
    lost = Check(name="psql: databases", passed=False)
    assert "failed: psql: databases" in said(GOOD, drill(3, passed=False, checks=[lost]), drill(30))
    assert "took 180 minutes to restore it; 120 are allowed" in said(GOOD, drill(3, rto_seconds=10_800))
    assert "took 20 minutes to reach the present" in said(GOOD, drill(3, rpo_seconds=1200))
    elsewhere = drill(1, resource="/x/other")
    assert "first drill" in said(GOOD, elsewhere)
    assert "first drill" in said(GOOD, drill(1, ended_at=None, passed=None))


def test_a_drill_is_due_before_it_is_late_and_always_on_the_same_day() -> None:
    psql, both = ["/x/psql"], ["/x/psql", "/x/other"]
    days = {due_on((f"app-{number}", "prod"), psql, [drill(0)], RULE, MADE) for number in range(60)}
    latest = NOW.date() + timedelta(days=90)
    assert len(days) > 5
    assert all(day and latest - timedelta(days=15) <= day <= latest for day in days)
    stage = "shop", "prod"
    assert due_on(stage, psql, [drill(0)], RULE, MADE) == due_on(stage, psql, [drill(0)], RULE, MADE)
    first = due_on(stage, psql, [], RULE, MADE)
    assert first
    assert first <= MADE + timedelta(days=7)
    assert due_on(stage, psql, [drill(0, passed=False)], RULE, MADE) == first
    half = drill(0, resource="/x/other", passed=False)
    assert due_on(stage, both, [half, drill(0)], RULE, MADE) == first
    assert due_on(("shop", "qa"), psql, [], backup_rule("qa"), MADE) is None


def test_the_first_whose_turn_it_is_decides_and_without_data_there_is_no_drill() -> None:
    stage, both = ("shop", "prod"), ["/x/psql", "/x/vault"]
    assert due_on(stage, [], [drill(400)], RULE, MADE) is None
    assert due_on(stage, both, [drill(0)], RULE, MADE) == due_on(stage, ["/x/vault"], [], RULE, MADE)
    proven = [drill(0, resource="/x/vault"), drill(10)]
    assert due_on(stage, both, proven, RULE, MADE) == due_on(stage, ["/x/psql"], proven, RULE, MADE)


async def report(record: RequestRecord, who: Any = REQUESTER) -> dict[str, Any]:
    client: Any = DurableClient()
    call = Call(who, {"name": record.application}, {}, {}, client, b"", "/api/backups")
    answer = await list_backups(call)
    document: dict[str, Any] = answer.document
    return document


async def test_every_data_resource_of_every_stage_is_reported(world: World) -> None:
    record = await active(world, environments=["dev", "qa"])
    server = database(world, record)
    body = {"location": "westeurope", "tags": {"application": record.application}}
    account = f"{group_of(record)}/providers/Microsoft.Storage/storageAccounts/st{record.id[4:]}"
    world.azure(account, STORAGE, "PUT", body | {"kind": "StorageV2", "sku": {"name": "Standard_LRS"}})
    vault = f"{group_of(record, 'qa')}/providers/Microsoft.KeyVault/vaults/kv{record.id[4:]}"
    sku = {"sku": {"family": "A", "name": "standard"}, "tenantId": TENANT, "softDeleteRetentionInDays": 7}
    world.azure(vault, VAULTS, "PUT", body | {"properties": sku})
    found = await report(record)
    kinds = {(item["resource"]["kind"], item["resource"]["environment"]) for item in found["resources"]}
    assert kinds == {("database server", "dev"), ("storage account", "dev"), ("key vault", "qa")}
    text = " ".join(found["violations"])
    assert f"{server.rpartition('/')[2]}: it has no backup policy" in text
    assert "no versions" in text
    assert "can be purged at once" in text
    assert "7 days; 14 are demanded" in text

    world.azure(server, POSTGRES, "PATCH", {"properties": {"backup": {"backupRetentionDays": 7}}})
    kept = {"enabled": True, "days": 7}
    service = {"isVersioningEnabled": True, "deleteRetentionPolicy": kept, "containerDeleteRetentionPolicy": kept}
    world.azure(f"{account}/blobServices/default", STORAGE, "PUT", {"properties": service})
    violations = (await report(record))["violations"]
    assert not [line for line in violations if line.startswith(("psql", "st"))]


async def test_a_stage_without_its_group_is_named_and_others_see_nothing(world: World) -> None:
    record = await active(world, environments=["dev"])
    world.azure(group_of(record), GROUPS, "DELETE")
    until("the group is gone", lambda: None if world.azure(group_of(record), GROUPS) else True)
    found = await report(record)
    assert found["resources"] == []
    assert found["unreadable"][0].startswith("dev: ")
    with pytest.raises(RequestRejectedError):
        await report(record, caller("stranger", "Requester", teams=("web",)))
