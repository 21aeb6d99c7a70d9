"""Alerts are answered as the rules say, once, verified, and never more often than they may be."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared import responses
from shared.clients import _http
from shared.credential import credential
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import _table
from tests.integration.day2 import WorkerDiedError, active, ask, group_of, operate, perform, rows
from tests.integration.world import World

POSTGRES = "2026-10-01"
S = OperationState
ONCE = """
responses:
  - id: {name}
    match: {{rules: ["alert-*-database-storage"]}}
    action: {{kind: extend-database, largest: {largest}}}
    settle: 15
    coolDown: {{target: {target}, all: []}}
"""


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


@pytest.fixture
def rules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> Any:
    """Responses of one test, with a count of their own."""

    def write(*, largest: int = 1024, target: str = "[]") -> None:
        name = f"r{abs(hash(request.node.name)) % 10**9}"
        (tmp_path / "own.yaml").write_text(ONCE.format(name=name, largest=largest, target=target))
        monkeypatch.setattr(responses, "FOLDER", tmp_path)

    write()
    return write


def database(world: World, record: RequestRecord, size: int = 32) -> str:
    """A database server of the application."""
    path = f"{group_of(record)}/providers/Microsoft.DBforPostgreSQL/flexibleServers/psql-{record.application}"
    body = {
        "location": "westeurope",
        "tags": {"application": record.application},
        "sku": {"name": "Standard_B1ms", "tier": "Burstable"},
        "properties": {"version": "16", "storage": {"storageSizeGB": size}},
    }
    world.azure(path, POSTGRES, "PUT", body)
    return path


def size_of(world: World, server: str) -> int:
    size: int = world.azure(server, POSTGRES)["properties"]["storage"]["storageSizeGB"]
    return size


def metric(world: World, server: str, value: float) -> None:
    """What the metric is, and stays for the next hours."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    minutes = [now + timedelta(minutes=offset) for offset in range(-20, 2)]
    values = {minute.strftime("%Y-%m-%dT%H:%M:%SZ"): value for minute in minutes}
    world.seed("arm", {f"metric/{server.lower()}/storage_percent": values})


def alert(server: str, **changes: Any) -> dict[str, Any]:
    return {
        "alertId": f"/alerts/{server.rpartition('/')[2]}",
        "rule": "alert-x-database-storage",
        "condition": "Fired",
        "severity": "Sev3",
        "target": server,
        "fingerprint": server.rpartition("/")[2],
        "firedAt": "2026-11-26T10:00:00Z",
        "conditions": [
            {
                "metricName": "storage_percent",
                "metricNamespace": "Microsoft.DBforPostgreSQL/flexibleServers",
                "operator": "GreaterThan",
                "threshold": "85",
            }
        ],
    } | changes


async def respond(record: RequestRecord, server: str, **changes: Any) -> OperationRecord:
    return await operate(record, "respond-to-alert", environment="dev", parameters=alert(server, **changes))


def incidents(world: World, server: str) -> list[str]:
    """States of the incidents about the alert."""
    query = f"correlation_id=alert-{server.rpartition('/')[2]}"
    return [row["state"] for row in world.servicenow(f"/api/now/table/incident?sysparm_query={query}")]


async def test_a_full_disk_is_extended_and_the_metric_proves_it(
    world: World, application: RequestRecord, rules: Any
) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 92)
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(server))
    done = await perform(asked, on_timer=lambda: metric(world, server, 46))
    assert done.state is S.SUCCEEDED, done.problem
    assert size_of(world, server) == 64
    assert (done.facts["before"], done.facts["after"], done.facts["helped"]) == (92, 46, True)
    assert incidents(world, server) == []


async def test_what_did_not_help_becomes_one_incident_that_is_resolved_with_the_alert(
    world: World, application: RequestRecord, rules: Any
) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 92)
    done = await respond(application, server)
    assert (done.state, done.problem and done.problem.code) == (S.PARTIAL, "not-verified")
    assert incidents(world, server) == ["1"]
    over = await respond(application, server, condition="Resolved")
    assert over.state is S.SUCCEEDED
    assert incidents(world, server) == ["6"]


@pytest.mark.parametrize("count", [12, pytest.param(50, marks=pytest.mark.long)])
async def test_many_at_once_are_answered_once(world: World, application: RequestRecord, rules: Any, count: int) -> None:
    """Some come while it is answered, some when the answer has not helped: the cool-down keeps those back."""
    rules(target="[{times: 1, hours: 6}]")
    server = database(world, application)
    metric(world, server, 92)
    asked = [
        await ask(
            application, "respond-to-alert", environment="dev", parameters=alert(server, alertId=f"/alerts/{number}")
        )
        for number in range(count)
    ]
    done = await asyncio.gather(*(perform(record) for record in asked))
    assert size_of(world, server) == 64, "one size larger, not fifty"
    (answer,) = [record for record in done if record.counts.done]
    named = {answer.id}
    while more := {record.id for record in done if any(name in record.summary for name in named)} - named:
        named |= more  # one that came while another duplicate was told names that one
    assert {record.id for record in done} == named, "all the others lead to the one"
    assert incidents(world, server) == ["1"]


async def test_a_stale_alert_changes_nothing(world: World, application: RequestRecord, rules: Any) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 40)
    before = world.position()
    done = await respond(application, server)
    assert done.state is S.SUCCEEDED
    assert "nothing to do" in done.summary
    assert world.committed(before, "PATCH", "flexibleServers") == 0


async def test_told_to_be_over_before_it_was_told_at_all_it_changes_nothing(
    world: World, application: RequestRecord, rules: Any
) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 40)
    before = world.position()
    for condition in ("Resolved", "Fired", "Resolved", "Fired"):
        done = await respond(application, server, condition=condition)
        assert done.state is S.SUCCEEDED, done.problem
    assert world.committed(before, "PATCH", "flexibleServers") == 0
    assert incidents(world, server) == []


async def test_the_cool_down_is_kept_and_the_alert_becomes_an_incident(
    world: World, application: RequestRecord, rules: Any
) -> None:
    rules(target="[{times: 1, hours: 6}]")
    server = database(world, application)
    metric(world, server, 92)
    await respond(application, server)
    metric(world, server, 93)
    again = await respond(application, server)
    assert again.counts.done == 0
    assert "1 times in 6 h" in again.summary
    assert size_of(world, server) == 64
    assert incidents(world, server) == ["1"]


async def test_the_cool_down_survives_a_restart(world: World, application: RequestRecord, rules: Any) -> None:
    """The second alert meets a process with an event loop, connections and memory of its own: only the rows remain."""
    rules(target="[{times: 1, hours: 6}]")
    server = database(world, application)
    metric(world, server, 92)
    await respond(application, server)
    metric(world, server, 93)

    async def another_process() -> OperationRecord:
        try:
            return await respond(application, server, alertId="/alerts/after-the-restart")
        finally:
            await _http._client().aclose()
            for table in _table._ready():
                await table.close()
            await credential().close()

    again = await asyncio.to_thread(asyncio.run, another_process())
    assert (again.counts.done, size_of(world, server)) == (0, 64)
    assert "1 times in 6 h" in again.summary


async def test_a_fingerprint_may_have_slashes(world: World, application: RequestRecord, rules: Any) -> None:
    """Those of certificates have: a row's key may not."""
    del rules
    server = database(world, application)
    parameters = {"fingerprint": f"certificate:kv/tls/{application.application}", "rule": "certificate-near-expiry"}
    done = await respond(application, server, conditions=[], **parameters)
    assert (done.state, done.summary.partition(":")[0]) == (S.SUCCEEDED, "unknown-alert")


async def test_no_larger_disk_than_the_rules_allow(world: World, application: RequestRecord, rules: Any) -> None:
    rules(largest=32)
    server = database(world, application)
    metric(world, server, 92)
    await respond(application, server)
    assert size_of(world, server) == 32
    assert incidents(world, server) == ["1"]


@pytest.mark.parametrize(
    "number", [pytest.param(number, marks=[pytest.mark.long] if number % 4 else []) for number in range(1, 9)]
)
async def test_killed_after_any_activity_the_disk_grows_once(
    world: World, application: RequestRecord, rules: Any, number: int
) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 92)
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(server))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number)
    done = await perform(asked, twice=True)
    assert done.state is S.PARTIAL
    assert size_of(world, server) == 64
    assert incidents(world, server) == ["1"]


@pytest.mark.parametrize(
    "how",
    ["status_after", *(pytest.param(how, marks=pytest.mark.long) for how in ("status", "drop_before", "drop_after"))],
)
async def test_lost_answers_heal(world: World, application: RequestRecord, rules: Any, how: str) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 92)
    world.fault(system="arm", method="PATCH", path="flexibleServers", mode=how, status=500)
    world.fault(system="servicenow", method="POST", path="incident", mode=how, status=500)
    done = await respond(application, server)
    assert done.state is S.PARTIAL
    assert size_of(world, server) == 64
    assert [state for state in incidents(world, server) if state == "1"] == ["1"]


async def test_a_dry_run_lists_the_call_and_makes_none(world: World, application: RequestRecord, rules: Any) -> None:
    del rules
    server = database(world, application)
    metric(world, server, 92)
    before = world.position()
    seen = await operate(application, "respond-to-alert", environment="dev", parameters=alert(server), dry_run=True)
    assert seen.state is S.OBSERVED
    (row,) = await rows(seen)
    assert row.action.calls[0].body == {"properties": {"storage": {"storageSizeGB": 64}}}
    assert [
        entry for entry in world.calls(before) if entry["mutating"] and entry["system"] in ("arm", "servicenow")
    ] == []
