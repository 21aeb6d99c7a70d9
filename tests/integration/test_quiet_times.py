"""Alerts of a maintenance window and of our own off-hours stop are kept, shown, and answered once when it is over."""

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from shared import maintenance
from shared.clock import utc_now
from shared.models.day2_alerts import OwnStop
from shared.models.operations import OperationRecord, OperationState
from shared.models.records import RequestRecord
from shared.register import applications, held_alerts, operations
from shared.register.audit import Entry
from tests.integration.day2 import WorkerDiedError, active, ask, operate, perform
from tests.integration.test_alert_responses import (  # noqa: F401 - a fixture
    POSTGRES,
    alert,
    database,
    incidents,
    metric,
    respond,
    rules,
    size_of,
)
from tests.integration.test_off_hours import EVENING, MORNING, scheduled, state
from tests.integration.world import DurableClient, World
from triggers._held_alert_sweep import sweep_held_alerts

S = OperationState
CLIENT: Any = DurableClient()


@pytest.fixture
async def application(world: World, rules: Any) -> RequestRecord:  # noqa: F811 - the fixture
    del rules
    return await active(world)


@pytest.fixture
def window(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Maintenance windows of one test: open until it is closed."""
    file = tmp_path / "windows" / "maintenance_windows.yaml"
    file.parent.mkdir()

    def set_to(*, open_for: str | None) -> None:
        now = datetime.now(UTC)
        begins, ends = (f"{now + timedelta(hours=hours):%Y-%m-%dT%H:%M:%SZ}" for hours in (-1, 1))
        row = {
            "id": "patching", "owner": "platform@contoso.com", "applications": [open_for], "environments": ["dev"],
            "rules": ["alert-*"], "from": begins, "until": ends, "reason": "Servers are patched.",
        }  # fmt: skip
        file.write_text(str({"windows": [row] if open_for else []}))

    monkeypatch.setattr(maintenance, "FILE", file)
    set_to(open_for=None)
    return set_to


async def held_of(record: RequestRecord) -> list[str]:
    return [item.operation async for item in held_alerts.every() if item.application == record.application]


async def hours_later(record: RequestRecord) -> None:
    """What was announced or started is hours old."""
    for stop in await held_alerts.stops(record.application, "dev"):
        past = "2026-01-01T00:00:00.000Z"
        update = {"at": past} | ({"until": past} if stop.until else {})
        await held_alerts.remember_stop(record.application, stop.model_copy(update=update))


async def replays(record: RequestRecord) -> list[OperationRecord]:
    found = await operations.of_application(record.application)
    return [item for item in found if item.business_key.startswith("held/")]


async def test_a_window_keeps_the_alert_and_its_end_answers_it_once(
    world: World, application: RequestRecord, window: Any
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for=application.application)
    done = await respond(application, server)
    assert (done.state, done.facts["held"][:32]) == (S.SUCCEEDED, "the maintenance window patching ")
    assert "platform@contoso.com" in done.summary
    assert (size_of(world, server), incidents(world, server)) == (32, [])
    await sweep_held_alerts(CLIENT)
    assert await replays(application) == [], "the window lasts"
    window(open_for=None)
    await asyncio.gather(*(sweep_held_alerts(CLIENT) for _ in range(3)))
    await sweep_held_alerts(CLIENT)
    (again,) = await replays(application)
    assert await held_of(application) == []
    await perform(again, on_timer=lambda: metric(world, server, 40))
    assert size_of(world, server) == 64


async def test_what_was_resolved_in_the_window_is_not_answered_at_its_end(
    world: World, application: RequestRecord, window: Any
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for=application.application)
    await respond(application, server)
    await respond(application, server, condition="Resolved")
    window(open_for=None)
    await sweep_held_alerts(CLIENT)
    assert await replays(application) == []


async def test_fired_that_comes_after_resolved_is_over(world: World, application: RequestRecord) -> None:
    """Events come in any order, and an alert without a metric cannot be looked at again."""
    server = database(world, application)
    await respond(application, server, condition="Resolved", conditions=[])
    late = await respond(application, server, conditions=[])
    assert "over by now" in late.summary
    assert incidents(world, server) == []
    fired_anew = await respond(application, server, conditions=[], alertId="/alerts/another")
    assert fired_anew.counts.done == 1


async def test_of_an_application_that_is_gone_nothing_is_kept(
    world: World, application: RequestRecord, window: Any
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for=application.application)
    await respond(application, server)
    window(open_for=None)
    entry = Entry(f"{application.id}:gone", application.created_at, "test", "gone", application.id, "test")
    await applications.change(
        application.application, lambda old: (old.model_copy(update={"state": "archived"}), entry)
    )
    await sweep_held_alerts(CLIENT)
    assert (await replays(application), await held_of(application)) == ([], [])


async def test_windows_that_cannot_be_read_answer_nothing(
    world: World, application: RequestRecord, window: Any
) -> None:
    """Nobody knows then what may be answered: the alert is parked with the file's name, and can be retried."""
    del window
    server = database(world, application)
    metric(world, server, 92)
    maintenance.FILE.write_text("windows: nothing")
    done = await respond(application, server)
    assert (done.state, size_of(world, server)) == (S.PARKED, 32)
    assert done.problem
    assert "maintenance_windows.yaml" in done.problem.detail


async def test_an_alert_of_another_application_is_answered(
    world: World, application: RequestRecord, window: Any
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for="another-*")
    await respond(application, server)
    assert size_of(world, server) == 64


async def test_a_dry_run_says_that_it_would_be_kept_and_keeps_nothing(
    world: World, application: RequestRecord, window: Any
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for=application.application)
    seen = await operate(application, "respond-to-alert", environment="dev", parameters=alert(server), dry_run=True)
    assert "kept and not answered" in seen.summary
    assert await held_of(application) == []


@pytest.mark.parametrize("number", [pytest.param(n, marks=[] if n == 2 else [pytest.mark.long]) for n in (1, 2, 3)])
async def test_killed_while_it_is_kept_it_is_kept_once(
    world: World, application: RequestRecord, window: Any, number: int
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for=application.application)
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(server))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number)
    await perform(asked, twice=True)
    assert await held_of(application) == [asked.id]


async def test_killed_between_asking_and_forgetting_it_is_answered_once(
    world: World, application: RequestRecord, window: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    server = database(world, application)
    metric(world, server, 92)
    window(open_for=application.application)
    await respond(application, server)
    window(open_for=None)

    async def die(*_: Any) -> None:
        raise WorkerDiedError

    with monkeypatch.context() as patch:
        patch.setattr(held_alerts, "let_go", die)
        with pytest.raises(WorkerDiedError):
            await sweep_held_alerts(CLIENT)
    assert len(await held_of(application)) == 1
    await sweep_held_alerts(CLIENT)
    assert len(await replays(application)) == 1
    assert await held_of(application) == []


async def test_a_window_that_opens_while_the_response_waits_keeps_it(
    world: World, application: RequestRecord, window: Any
) -> None:
    """The survey found nothing against it; then it waited for the application, and the window began."""
    server = database(world, application)
    metric(world, server, 92)
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(server))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=3)
    window(open_for=application.application)
    done = await perform(asked)
    assert done.state is S.SUCCEEDED, done.problem
    assert (size_of(world, server), incidents(world, server)) == (32, [])
    assert await held_of(application) == [asked.id]


async def test_our_own_stop_is_no_outage(world: World, application: RequestRecord) -> None:
    """What our off-hours stopped alarms all night; it is answered when it runs again, if it still holds then."""
    server = scheduled(world, application)
    metric(world, server, 92)
    assert (await operate(application, "apply-schedule", parameters={"at": EVENING})).state is S.SUCCEEDED
    before = world.position()
    for number in range(4):
        done = await respond(
            application, server, alertId=f"/alerts/night-{number}", fingerprint=f"{server[-9:]}-{number}"
        )
        assert done.state is S.SUCCEEDED
        assert "was stopped by its schedule" in done.summary
    assert [call for call in world.calls(before, "arm") if call["mutating"]] == []
    assert world.calls(before, "servicenow") == []
    assert state(world, server) == "Stopped"
    await sweep_held_alerts(CLIENT)
    assert len(await held_of(application)) == 4
    await operate(application, "apply-schedule", parameters={"at": MORNING})
    early = await respond(application, server, alertId="/alerts/morning", fingerprint=f"{server[-9:]}-0")
    assert "was started by its schedule a moment ago" in early.summary, "its metrics are still those of the night"
    await sweep_held_alerts(CLIENT)
    assert await replays(application) == []
    await hours_later(application)
    metric(world, server, 20)
    await sweep_held_alerts(CLIENT)
    answers = [await perform(item) for item in await replays(application)]
    assert [item.summary.partition(":")[0] for item in answers] == ["nothing to do"] * 4
    assert size_of(world, server) == 32


async def test_a_stop_that_somebody_else_ended_keeps_nothing(world: World, application: RequestRecord) -> None:
    server = scheduled(world, application)
    metric(world, server, 92)
    await operate(application, "apply-schedule", parameters={"at": EVENING})
    world.azure(f"{server}/start", POSTGRES, "POST")
    await hours_later(application)
    await respond(application, server)
    assert size_of(world, server) == 64
    await operate(application, "apply-schedule", parameters={"at": MORNING})
    assert await held_alerts.stops(application.application, "dev") == []


async def test_an_alert_between_announcement_and_stop_is_kept(world: World, application: RequestRecord) -> None:
    """It runs still, and its stop is on the way: nobody may answer, nor forget what was announced."""
    server = scheduled(world, application)
    metric(world, server, 92)
    kind = "Microsoft.DBforPostgreSQL/flexibleServers"
    stop = OwnStop(resource=server, kind=kind, environment="dev", operation="op-1", at=utc_now())
    await held_alerts.remember_stop(application.application, stop)
    done = await respond(application, server)
    assert "was stopped by its schedule (op-1)" in done.summary
    assert await held_alerts.stops(application.application, "dev") == [stop]


async def test_what_is_kept_for_hours_is_looked_at_again(world: World, application: RequestRecord) -> None:
    """Whoever started by hand what we had stopped told nobody: the survey finds out."""
    server = scheduled(world, application)
    metric(world, server, 92)
    await operate(application, "apply-schedule", parameters={"at": EVENING})
    first = await respond(application, server)
    (held,) = [item async for item in held_alerts.every() if item.operation == first.id]
    yesterday = (datetime.fromisoformat(held.at) - timedelta(hours=7)).isoformat()
    await held_alerts.hold(held.model_copy(update={"at": yesterday}))
    await sweep_held_alerts(CLIENT)
    (again,) = await replays(application)
    await perform(again)
    assert await held_of(application) == [again.id]
    assert size_of(world, server) == 32


async def test_a_stop_that_failed_keeps_nothing(world: World, application: RequestRecord) -> None:
    server = scheduled(world, application)
    metric(world, server, 92)
    lock = f"{server}/providers/Microsoft.Authorization/locks/audit"
    world.azure(lock, "2020-05-01", "PUT", {"properties": {"level": "ReadOnly"}})
    await operate(application, "apply-schedule", parameters={"at": EVENING})
    done = await respond(application, server)
    assert "held" not in done.facts


@pytest.mark.parametrize("number", [pytest.param(n, marks=[] if n == 5 else [pytest.mark.long]) for n in range(3, 7)])
async def test_killed_while_it_stops_the_alert_is_still_known_to_be_ours(
    world: World, application: RequestRecord, number: int
) -> None:
    server = scheduled(world, application)
    metric(world, server, 92)
    asked = await ask(application, "apply-schedule", parameters={"at": EVENING})
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number)
    stopped = state(world, server) == "Stopped"
    done = await respond(application, server)
    assert ("held" in done.facts) is stopped
