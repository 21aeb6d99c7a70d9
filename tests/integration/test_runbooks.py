"""A response starts a runbook of Azure Automation: the real file runs, and how its job went is in the operation."""

import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.clients import automation
from shared.errors import TransientIntegrationError
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import RequestRecord
from tests.e2e import contracts
from tests.integration.day2 import WorkerDiedError, active, ask, group_of, perform, rows
from tests.integration.test_alert_responses import database
from tests.integration.world import World

S = OperationState
JOBS = "automationAccounts/aa-appstore/jobs/"


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


def connections(server: str) -> dict[str, Any]:
    """Too many connections to a database."""
    compared = {"metricName": "active_connections", "operator": "GreaterThan", "threshold": "80"}
    return {
        "alertId": f"/alerts/{server.rpartition('/')[2]}",
        "rule": "alert-x-database-connections",
        "condition": "Fired",
        "target": server,
        "fingerprint": f"connections-{server.rpartition('/')[2]}",
        "conditions": [compared | {"metricNamespace": "Microsoft.DBforPostgreSQL/flexibleServers"}],
    }


def vault_of(world: World, record: RequestRecord) -> str:
    """A key vault of the application."""
    path = f"{group_of(record)}/providers/Microsoft.KeyVault/vaults/kv-{record.application}"
    properties = {"tenantId": "11111111-1111-1111-1111-111111111111", "sku": {"family": "A", "name": "standard"}}
    world.azure(path, "2023-07-01", "PUT", {"location": "westeurope", "properties": properties})
    return path


def unavailable(vault: str) -> dict[str, Any]:
    """An availability alert that Azure Monitor tells without its condition."""
    name = vault.rpartition("/")[2]
    return {
        "alertId": f"/alerts/{name}",
        "rule": "alert-x-vault-availability",
        "condition": "Fired",
        "target": vault,
        "fingerprint": f"availability-{name}",
    }


async def answered(
    world: World, record: RequestRecord, alert: dict[str, Any], runbook: str = "restart-database", **how: Any
) -> OperationRecord:
    """Answer the alert; while a timer runs, so does the job."""
    asked = await ask(record, "respond-to-alert", environment="dev", parameters=alert)
    return await perform(asked, on_timer=lambda: ended(world, asked, runbook, **how))


def ended(world: World, asked: OperationRecord, runbook: str, then: Callable[[], None] = lambda: None) -> None:
    """Wait until the job has ended."""
    path = f"{automation.account()}/jobs/{automation.job_name(asked.id, runbook)}"
    until = time.monotonic() + 60
    while time.monotonic() < until:
        job = world.azure(path, "2024-10-23")
        if job is None or job["properties"]["status"] in automation.ENDED:
            return then()
    pytest.fail("the job did not end")


def _now(value: float) -> dict[str, float]:
    """Values of a metric of the last twenty minutes."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    return {f"{now - timedelta(minutes=ago):%Y-%m-%dT%H:%M:%SZ}": value for ago in range(-1, 20)}


def restarts(world: World, since: int) -> int:
    """How often the runbook, which is not the product, restarted a server."""
    answer = world._admin.get("journal", params={"since": since, "system": "arm"})
    return sum("/restart?" in line and '"status": 202' in line for line in answer.text.splitlines())


async def test_a_runbook_restarts_the_database_and_its_job_is_in_the_operation(
    world: World, application: RequestRecord
) -> None:
    server = database(world, application)
    world.seed("arm", {f"metric/{server.lower()}/active_connections": _now(90)})
    before = world.position()
    better = {f"metric/{server.lower()}/active_connections": _now(5)}
    done = await answered(world, application, connections(server), then=lambda: world.seed("arm", better))
    assert done.state is S.SUCCEEDED, done.problem
    (row,) = await rows(done)
    assert row.result["status"] == "Completed"
    assert "was restarted and is Ready" in row.result["output"]
    assert (done.facts["before"], done.facts["after"]) == (90, 5)
    assert restarts(world, before) == 1
    assert world.committed(before, "PUT", JOBS) == 1
    check, calls = contracts.load_check(), world.calls(before, "automation")
    assert {call["method"] for call in calls} == {"GET", "PUT"}
    if check is not None:
        assert [found for entry in calls for found in contracts.complaints(check, entry)] == []


async def test_diagnostics_are_collected_and_what_cannot_be_read_is_told(
    world: World, application: RequestRecord
) -> None:
    vault = vault_of(world, application)
    world.seed("arm", {f"metric/{vault.lower()}/Availability": _now(42)})
    watched = {"metricName": "Availability", "metricNamespace": "Microsoft.KeyVault/vaults"}
    alert = unavailable(vault) | {"conditions": [watched | {"operator": "LessThan", "threshold": "99"}]}
    done = await answered(world, application, alert, "collect-diagnostics")
    (row,) = await rows(done)
    output = row.result["output"]
    assert '"newest": 42' in output
    assert '"provisioningState"' in output
    assert "could not be read" in output, "the stand-in has no Resource Health; the rest is there all the same"
    assert done.state is S.PARTIAL, "it helps a person, not the vault"
    query = f"correlation_id=alert-{alert['fingerprint']}"
    (incident,) = world.servicenow(f"/api/now/table/incident?sysparm_query={query}")
    assert '"newest": 42' in incident["description"]


@pytest.mark.parametrize("number", [pytest.param(n, marks=[] if n == 5 else [pytest.mark.long]) for n in range(2, 9)])
async def test_killed_after_any_activity_one_job_runs(world: World, application: RequestRecord, number: int) -> None:
    server = database(world, application)
    world.seed("arm", {f"metric/{server.lower()}/active_connections": _now(90)})
    before = world.position()
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=connections(server))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number)
    await perform(asked, twice=True, on_timer=lambda: ended(world, asked, "restart-database"))
    assert world.committed(before, "PUT", JOBS) == 1
    assert restarts(world, before) == 1


@pytest.mark.parametrize(
    "how",
    ["status_after", *(pytest.param(how, marks=pytest.mark.long) for how in ("status", "drop_before", "drop_after"))],
)
async def test_a_lost_answer_to_the_start_starts_no_second_job(
    world: World, application: RequestRecord, how: str
) -> None:
    vault, before = vault_of(world, application), world.position()
    world.fault(system="automation", method="PUT", path="/jobs/", mode=how, status=500)
    done = await answered(world, application, unavailable(vault), "collect-diagnostics")
    assert (await rows(done))[0].result["status"] == "Completed"
    assert world.committed(before, "PUT", JOBS) == 1


async def test_a_runbook_that_fails_is_told_with_its_reason(world: World, application: RequestRecord) -> None:
    server = database(world, application)
    alert = connections(server) | {"target": vault_of(world, application), "conditions": []}
    done = await answered(world, application, alert)
    (row,) = await rows(done)
    assert row.state == "failed"
    assert "ended as Failed" in row.detail
    assert "is no PostgreSQL server" in row.detail


async def test_what_a_runbook_prints_is_bounded_and_without_credentials(
    world: World,
) -> None:
    printed = "password=hunter2 token eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.c2lnbmF0dXJl " + "x" * 9000
    await active(world)
    world.seed(
        "automation",
        {"job/11111111-2222": {"runbook": "r", "parameters": {}, "status": "Completed", "output": printed}},
    )
    output = await automation.read_output("11111111-2222")
    assert "hunter2" not in output
    assert "eyJ" not in output
    assert len(output) < automation.LONGEST_OUTPUT + 20


async def test_a_page_is_no_output(world: World) -> None:
    world.fault(system="automation", method="GET", path="/output", mode="body", body="<html>Sign in</html>", times=None)
    world.seed("automation", {"job/33333333": {"runbook": "r", "parameters": {}, "status": "Completed", "output": "x"}})
    with pytest.raises(TransientIntegrationError):
        await automation.read_output("33333333")
