"""A response that changes the workload, or asks for a rotation; and what becomes of one that did not help."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from shared import responses
from shared.clients import automation
from shared.clock import utc_now
from shared.models.controls import KillSwitch
from shared.models.messages import MessageKind
from shared.models.operations import ActionState, Occasion, OperationState
from shared.models.records import RequestRecord
from shared.names import environment_names
from shared.plan import zone_of
from shared.register import controls, intents, operations
from tests.integration.day2 import WorkerDiedError, active, ask, perform, rows
from tests.integration.test_alert_responses import alert, database, incidents, metric, respond
from tests.integration.world import World

S = OperationState
RULES = """
responses:
  - id: {name}
    match: {{rules: ["*"]}}
    action: {action}
    settle: 5
"""


@pytest.fixture
async def application(world: World) -> RequestRecord:
    return await active(world)


@pytest.fixture
def action(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], None]:
    """The one response that the rules have."""

    def write(text: str) -> None:
        (tmp_path / "own.yaml").write_text(RULES.format(name="only", action=text))
        monkeypatch.setattr(responses, "FOLDER", tmp_path)

    return write


class Workload:
    """A Deployment of the application in its cluster, and the database whose alert is answered."""

    def __init__(self, world: World, record: RequestRecord, replicas: int = 2) -> None:
        self.world, self.record = world, record
        zone = zone_of(record, "dev")
        namespace = environment_names(record.application, "dev", record.id).namespace
        path, kind = f"{zone.cluster_id}/managedNamespaces/{namespace}", "managedClusters/managedNamespaces"
        home = {"id": path, "name": namespace, "type": f"Microsoft.ContainerService/{kind}"}
        world.seed("arm", {f"resource{path.lower()}": home | {"properties": {"provisioningState": "Succeeded"}}})
        self.key = f"object/{zone.cluster_name}/{namespace}/Deployment/{record.application}"
        self.server = database(world, record)
        metric(world, self.server, 92)
        self.scale(replicas)

    def scale(self, replicas: int) -> None:
        """As somebody else does it."""
        template = {"metadata": {}, "spec": {"containers": [{"name": "app", "image": "none"}]}}
        manifest = {
            "kind": "Deployment",
            "metadata": {"name": self.record.application},
            "spec": {"replicas": replicas, "template": template},
        }
        self.world.seed("kubernetes", {self.key: manifest})

    def commands(self, since: int) -> list[str]:
        """What was run in the cluster."""
        calls = self.world.calls(since, "aks_commands")
        return [str(call["body"]["command"]) for call in calls if call["method"] == "POST"]

    def scalings(self, since: int) -> list[str]:
        return [command.rpartition(" ")[2] for command in self.commands(since) if " scale " in command]


def told(world: World, server: str) -> str:
    """What the incident says."""
    query = f"correlation_id=alert-{server.rpartition('/')[2]}"
    (row,) = world.servicenow(f"/api/now/table/incident?sysparm_query={query}")
    return str(row["description"])


async def test_scaling_helps_and_stays(world: World, application: RequestRecord, action: Any) -> None:
    action("{kind: scale-workload, replicas: 4}")
    workload, before = Workload(world, application), world.position()
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(workload.server))
    done = await perform(asked, on_timer=lambda: metric(world, workload.server, 40))
    assert done.state is S.SUCCEEDED, [row.detail for row in await rows(done)]
    assert (done.facts["before"], done.facts["after"], done.facts.get("undone")) == (92, 40, None)
    assert workload.scalings(before) == ["4"]
    assert (await rows(done))[0].result == {"replicas": 2}


async def test_scaling_that_did_not_help_is_taken_back_and_a_person_is_called(
    world: World, application: RequestRecord, action: Any
) -> None:
    action("{kind: scale-workload, replicas: 4}")
    workload, before = Workload(world, application), world.position()
    done = await respond(application, workload.server)
    assert (done.state, done.facts["undone"]) == (S.PARTIAL, "2 replicas again")
    assert done.problem
    assert (done.problem.code, "was taken back: 2 replicas again" in done.problem.detail) == ("not-verified", True)
    assert workload.scalings(before) == ["4", "2"]
    assert incidents(world, workload.server) == ["1"]
    (row,) = await rows(done)
    assert row.detail == "from 2 to 4 replicas; taken back: 2 replicas again"
    assert row.detail in told(world, workload.server)


async def test_what_somebody_changed_since_is_not_taken_back(
    world: World, application: RequestRecord, action: Any
) -> None:
    action("{kind: scale-workload, replicas: 4}")
    workload, before = Workload(world, application), world.position()
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(workload.server))
    done = await perform(asked, on_timer=lambda: workload.scale(7))
    assert (done.state, done.facts["undone"]) == (S.PARTIAL, "")
    assert workload.scalings(before) == ["4"]
    assert incidents(world, workload.server) == ["1"]


async def test_the_kill_switch_keeps_what_did_not_help_and_a_person_is_called(
    world: World, application: RequestRecord, action: Any
) -> None:
    """It is thrown while the response settles; from then on nothing is changed, not even back."""
    action("{kind: scale-workload, replicas: 4}")
    workload, before, at = Workload(world, application), world.position(), utc_now()
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(workload.server))
    by: dict[str, Any] = {"reason": "test", "actor": "test", "actor_name": "test"}
    flow = perform(asked, dies_after=6)
    with suppress(WorkerDiedError):
        await flow
    await controls.set_kill_switch(KillSwitch(on=True, at=at, **by))
    try:
        done = await perform(asked)
    finally:
        await controls.set_kill_switch(KillSwitch(on=False, at=f"{at}2", **by))
    assert workload.scalings(before) == ["4"]
    assert done.state is S.PARTIAL
    assert incidents(world, workload.server) == ["1"]


@pytest.mark.parametrize(("there", "why"), [(0, "0 replicas"), (4, "4 replicas"), (9, "9 replicas")])
async def test_what_is_off_or_larger_already_is_left_alone(
    world: World, application: RequestRecord, action: Any, there: int, why: str
) -> None:
    action("{kind: scale-workload, replicas: 4}")
    workload, before = Workload(world, application, there), world.position()
    done = await respond(application, workload.server)
    (row,) = await rows(done)
    assert (row.state, why in row.detail) == (ActionState.GONE, True)
    assert workload.scalings(before) == []


@pytest.mark.parametrize(
    "number", [pytest.param(n, marks=[] if n in (5, 7) else [pytest.mark.long]) for n in range(3, 10)]
)
async def test_killed_after_any_activity_it_ends_as_it_began(
    world: World, application: RequestRecord, action: Any, number: int
) -> None:
    action("{kind: scale-workload, replicas: 4}")
    workload, before = Workload(world, application), world.position()
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(workload.server))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=number)
    await perform(asked, twice=True)
    assert workload.scalings(before)[-1] == "2"
    assert set(workload.scalings(before)) == {"4", "2"}, "our own number is never taken for what was there before"
    assert incidents(world, workload.server) == ["1"]


@pytest.mark.parametrize(
    "how", ["status_after", *(pytest.param(how, marks=pytest.mark.long) for how in ("status", "drop_after"))]
)
async def test_a_lost_answer_of_the_scaling_does_not_lose_what_was_there(
    world: World, application: RequestRecord, action: Any, how: str
) -> None:
    action("{kind: scale-workload, replicas: 4}")
    workload, before = Workload(world, application), world.position()
    world.fault(system="aks_commands", method="POST", content="kubectl scale", mode=how, status=500)
    done = await respond(application, workload.server)
    assert done.facts["undone"] == "2 replicas again"
    assert workload.scalings(before)[-1] == "2"


async def test_a_restart_is_marked_and_leaves_nothing_to_take_back(
    world: World, application: RequestRecord, action: Any
) -> None:
    action("{kind: restart-workload}")
    workload, before = Workload(world, application), world.position()
    done = await respond(application, workload.server)
    (command,) = workload.commands(before)
    assert f'"appstore/restarted-by":"{done.id}"' in command
    assert (done.state, "undone" in done.facts) == (S.PARTIAL, False)
    assert incidents(world, workload.server) == ["1"]


async def test_without_incidents_the_partial_operation_tells(
    world: World, application: RequestRecord, action: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SERVICENOW_INSTANCE", "")
    action("{kind: extend-database, largest: 64}")
    workload = Workload(world, application)
    asked = await ask(
        application,
        "respond-to-alert",
        environment="dev",
        parameters=alert(workload.server),
        occasion=Occasion.ALERT,
    )
    done = await perform(asked)
    assert done.state is S.PARTIAL
    assert incidents(world, workload.server) == []
    (message,) = await intents.of_request(application.application, application.id)
    assert (message.kind, "still holds after the response" in str(message.document())) == (MessageKind.OPERATION, True)


async def test_a_rotation_is_asked_for_once(world: World, application: RequestRecord, action: Any) -> None:
    action("{kind: rotate-secret, secret: storage-key}")
    workload = Workload(world, application)
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(workload.server))
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=5)
    done = await perform(asked, twice=True)
    found = await operations.of_application(application.application)
    (rotation,) = [item for item in found if item.operation == "rotate-secret"]
    own = environment_names(application.application, "dev", application.id).key_vault
    assert rotation.state is S.RECEIVED, "the sweep starts it"
    assert rotation.parameters["vault"] == own
    assert (await rows(done))[0].result == {"operation": rotation.id}


async def test_a_stuck_response_stops_neither_others_nor_its_own_application(
    world: World, application: RequestRecord, action: Any
) -> None:
    """A job that never ends: another application's alert is answered meanwhile, the same one's when time is up."""
    other = await active(world)
    action("{kind: start-runbook, runbook: collect-diagnostics}")
    stuck_on, free = Workload(world, application), Workload(world, other)
    asked = await ask(application, "respond-to-alert", environment="dev", parameters=alert(stuck_on.server))
    job = automation.job_name(asked.id, "collect-diagnostics")
    world.seed("automation", {f"job/{job}": {"runbook": "x", "parameters": {}, "status": "Running", "output": ""}})
    with suppress(WorkerDiedError):
        await perform(asked, dies_after=3)  # what it will do is decided
    action("{kind: extend-database, largest: 64}")
    stuck, answered = await asyncio.gather(perform(asked), respond(other, free.server))
    assert answered.counts.done == 1
    assert stuck.state is S.PARTIAL
    again = await respond(application, stuck_on.server, fingerprint=f"{stuck.id}-other")
    assert again.counts.done == 1
