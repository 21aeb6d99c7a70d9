"""Client, activities and stand-in against a real Backstage: every test here runs against both (make test-backstage)."""

import asyncio
import json
import os
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self
from uuid import uuid4

import httpx
import pytest

from activities.backstage import TEMPLATE
from local.stack import CHECKOUT
from shared.clients import backstage as client
from shared.errors import ConflictError, PermanentIntegrationError
from shared.guard import Action, Facts, permit
from shared.models.application_request import ApplicationRequest
from shared.models.catalogue import CatalogueInput, ReadRegistration, ReadTemplate, Registration, TemplateTask
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import ActivityInput
from shared.outcome import Outcome
from tests.backstage.backend import Backend
from tests.e2e.driver import body
from tests.integration.world import REQUESTER, World, run_of
from triggers._intake import judge
from triggers.http_requests import Accepted

type Document = dict[str, Any]

ONCE = "/locations?onConflict=refresh"
SYSTEM = """\
apiVersion: backstage.io/v1alpha1
kind: System
metadata:
  name: {name}
  annotations:
    appstore/request-id: {request}
spec:
  owner: group:default/payments
"""
WITH_TEXT = """\
apiVersion: backstage.io/v1alpha1
kind: API
metadata: {name: x}
spec: {type: openapi, lifecycle: production, owner: a, definition: {$text: ./none.json}}
"""
COMPONENT = """\
apiVersion: backstage.io/v1alpha1
kind: Component
metadata: {name: x}
spec: {type: service, lifecycle: production}
"""
ONE = SYSTEM.format(name="x", request="r")
NOT_VALID = (
    'Policy check failed for system:default/-x-; caused by Error: "metadata.name" is not valid; expected a string'
)
REFUSED = {
    "kind": (COMPONENT.replace("Component", "Domain"), "NotAllowedError: Entity domain:default/x at url:"),
    "name": (SYSTEM.format(name="-x-", request="r"), f"InputError: {NOT_VALID}"),
    "owner": (COMPONENT, "/spec must have required property 'owner' - missingProperty: owner"),
    "yaml": ("a: [", "Error: YAML error at url:https://github.com/contoso/"),
    "text": (WITH_TEXT, "Placeholder $text could not read location ./none.json"),
    "double": (f"{ONE}---\n{ONE}", "Duplicate nested entity: system:default/x"),
}
GOOD = "{id: wait, name: Wait, action: 'debug:wait', input: {seconds: 1}}"
BAD = "{id: call, name: Call, action: 'no:such:action', input: {}}"
SOFTWARE_TEMPLATE = """\
apiVersion: scaffolder.backstage.io/v1beta3
kind: Template
metadata: {name: NAME}
spec:
  owner: group:default/platform
  type: service
  parameters:
    - required: [requestId, application]
      properties:
        requestId: {type: string}
        application: {type: string}
        NEEDED: {type: string}
  steps:
    - {id: greet, name: Greet, action: 'debug:log', input: {message: 'hello ${{ parameters.application }}'}}
    - STEP
    - {id: last, name: Last, action: 'debug:log', input: {message: 'bye'}}
  output:
    text: [{title: Greeted, content: '${{ parameters.application }}'}]
"""


def repository(world: World, files: dict[str, str]) -> str:
    """A repository with these files; returns the address of its catalog-info.yaml."""
    name = f"bs-{uuid4().hex[:8]}"
    wanted = {"name": name, "visibility": "internal", "auto_init": True}
    assert world.github("/orgs/contoso/repos", "POST", wanted)["default_branch"] == "main"
    world.commit(name, files)
    return f"https://github.com/contoso/{name}/blob/main/{next(iter(files))}"


def system(world: World, name: str = "", request: str = "req-1") -> tuple[str, str]:
    """A repository that brings one system; its address and the system's reference."""
    name = name or f"sys-{uuid4().hex[:8]}"
    return repository(world, {"catalog-info.yaml": SYSTEM.format(name=name, request=request)}), f"system:default/{name}"


async def until[T](ask: Callable[[], T | None], seconds: float = 30) -> T:
    """What ``ask`` says as soon as it says something."""
    deadline = time.monotonic() + seconds
    said = ask()
    while not said:
        assert time.monotonic() < deadline, "it did not come true in time"
        await asyncio.sleep(0.1)
        said = ask()
    return said


def entity(world: World, ref: str) -> Document | None:
    found: Document | None = world.backstage("/entities/by-refs", "POST", {"entityRefs": [ref]})["items"][0]
    return found


def rows(world: World, target: str) -> list[str]:
    return [row["data"]["id"] for row in world.backstage("/locations") if row["data"]["target"] == target]


def allowed(target: str) -> Any:
    return permit(Action("undo", "location", target, "req-1"), Facts(owned_by="req-1"))


async def refused(path: str, method: str = "GET", token: str = "", content: Any = None) -> tuple[int, Document | None]:
    """An answer as it comes over the wire."""
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    async with httpx.AsyncClient() as http:
        answer = await http.request(
            method, f"{os.environ['BACKSTAGE_BASE_URL']}/api{path}", headers=headers, json=content
        )
    return answer.status_code, answer.json() if answer.content else None


# -- what goes over the wire -----------------------------------------------------------------------------------------


async def test_who_has_no_right_is_told_so(backstage: World) -> None:
    assert backstage.backstage("/locations") is not None
    place = {"request": {"method": "GET", "url": "/locations"}, "response": {"statusCode": 401}}
    for token, message in (("", "Missing credentials"), ("x.y.z", "Illegal token")):
        error = {"name": "AuthenticationError", "message": message}
        assert await refused("/catalog/locations", token=token) == (401, {"error": error} | place)
    token = (await client._for_catalog())["Authorization"].removeprefix("Bearer ")
    status, answer = await refused("/scaffolder/v2/tasks?order=desc:created_at", token=token)
    message = "This token's access is restricted to plugin(s) 'catalog'"
    assert answer is not None
    assert (status, answer["error"]) == (403, {"name": "NotAllowedError", "message": message})


@pytest.mark.parametrize("flaw", REFUSED)
async def test_a_trial_says_what_is_wrong_with_a_file(backstage: World, flaw: str) -> None:
    text, reason = REFUSED[flaw]
    target = repository(backstage, {"catalog-info.yaml": text})
    with pytest.raises(PermanentIntegrationError) as caught:
        await client.check_location(target)
    assert caught.value.call.status_code == 400
    assert caught.value.detail.startswith("InputError: ")
    assert reason in caught.value.detail
    assert rows(backstage, target) == []


@pytest.mark.usefixtures("backstage")
@pytest.mark.parametrize(
    ("target", "reason"),
    [
        (
            "https://github.com/contoso/none/blob/main/catalog-info.yaml",
            "NotFoundError: Unable to read url, no match",
        ),
        (
            "https://elsewhere.example.com/catalog-info.yaml",
            "Error: Unable to read url, Reading from 'https",
        ),
    ],
)
async def test_a_trial_says_what_cannot_be_read_and_a_registration_does_not(target: str, reason: str) -> None:
    with pytest.raises(PermanentIntegrationError) as caught:
        await client.check_location(target)
    assert caught.value.detail.startswith(f"InputError: {reason}")
    location = await client.register_location(target)
    assert [found.id for found in await client.find_locations(target)] == [location.id]
    assert await client.find_entities_of(target) == []
    await client.delete_location(location.id, allowed(target))


async def test_a_location_is_registered_once_and_its_entities_come_later(backstage: World) -> None:
    target, ref = system(backstage)
    assert [found.ref for found in await client.check_location(target)] == [ref]
    began = time.monotonic()
    first = await client.register_location(target)
    assert entity(backstage, ref) is None
    again = await client.register_location(target)
    assert (first, [first.id]) == (again, rows(backstage, target))
    token = (await client._for_catalog())["Authorization"].removeprefix("Bearer ")
    body = {"type": "url", "target": target}
    status, answer = await refused("/catalog/locations", "POST", token, body)
    assert answer is not None
    assert (status, answer["error"]["message"]) == (409, f"Location url:{target} already exists")
    found = await until(lambda: entity(backstage, ref))
    assert time.monotonic() - began < 10
    wanted = {"appstore/request-id": "req-1", client.ORIGIN: f"url:{target}"}
    assert wanted.items() <= found["metadata"]["annotations"].items()
    assert (await client.find_entities([ref, "system:default/none"])).keys() == {ref}
    kinds = await until(lambda: _kinds(backstage, target, 2))
    assert kinds == ["Location", "System"]
    await client.delete_location(first.id, allowed(target))
    await until(lambda: entity(backstage, ref) is None)
    await client.delete_location(first.id, allowed(target))
    assert rows(backstage, target) == []


def _kinds(world: World, target: str, count: int) -> list[str]:
    query = f"/entities/by-query?filter=metadata.annotations.{client.ORIGIN}=url:{target}&fields=kind"
    kinds = sorted(item["kind"] for item in world.backstage(query)["items"])
    return kinds if len(kinds) == count else []


async def test_a_change_of_the_file_is_read_when_it_is_registered_again(backstage: World) -> None:
    target, ref = system(backstage)
    await client.register_location(target)
    await until(lambda: entity(backstage, ref))
    name = target.split("/")[4]
    other = f"{ref.rpartition('/')[2]}-renamed"
    backstage.commit(name, {"catalog-info.yaml": SYSTEM.format(name=other, request="req-1")})
    await client.register_location(target)
    await until(lambda: entity(backstage, f"system:default/{other}"))
    for location in await client.find_locations(target):
        await client.delete_location(location.id, allowed(target))


async def test_the_second_location_of_a_name_is_passed_over_in_silence(backstage: World) -> None:
    first, ref = system(backstage)
    await client.register_location(first)
    await until(lambda: entity(backstage, ref))
    second, _ = system(backstage, ref.rpartition("/")[2])
    assert [found.ref for found in await client.check_location(second)] == [ref]
    await client.register_location(second)
    await until(lambda: _kinds(backstage, second, 1) == ["Location"])
    found = entity(backstage, ref)
    assert found is not None
    assert found["metadata"]["annotations"][client.ORIGIN] == f"url:{first}"


async def test_several_rows_of_one_target_share_their_entities(backstage: World) -> None:
    """Registered eight times at once, a target has several rows. Deleting one of them takes the entities away."""
    target, ref = system(backstage)
    for _ in range(20):  # at a real Backstage the race is a matter of chance
        body = {"type": "url", "target": target}
        calls = (asyncio.to_thread(backstage.backstage, ONCE, "POST", body) for _ in range(8))
        await asyncio.gather(*calls)
        if len(rows(backstage, target)) > 1:
            break
        await client.delete_location(rows(backstage, target)[0], allowed(target))
    locations = await client.find_locations(target)
    assert len(locations) > 1
    await until(lambda: entity(backstage, ref))
    await client.delete_location(locations[0].id, allowed(target))
    await until(lambda: entity(backstage, ref) is None)
    await client.register_location(target)
    assert len(rows(backstage, target)) == len(locations) - 1
    await until(lambda: entity(backstage, ref))
    for location in locations[1:]:
        await client.delete_location(location.id, allowed(target))
    await until(lambda: entity(backstage, ref) is None)


# -- the catalogue branch --------------------------------------------------------------------------------------------


async def ordered(world: World) -> tuple[RequestRecord, CatalogueInput]:
    """A request whose repository has its content."""
    record = await world.order()
    run = run_of(record)
    for step in ("ensure_repository", "set_content"):
        await world.value(step, ActivityInput(run=run))
    return record, CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")


async def visible(world: World, registration: Registration, record: RequestRecord) -> Outcome:
    """Look until nothing is missing, or something is wrong."""
    look = ReadRegistration(run=run_of(record, "catalogue"), target=registration.target, entities=registration.entities)
    deadline = time.monotonic() + 60
    while True:
        outcome = await world.run("read_registration", look)
        if not outcome.ok or not (outcome.value or {})["missing"]:
            return outcome
        assert time.monotonic() < deadline, outcome
        await asyncio.sleep(0.2)


async def test_an_application_is_found_in_the_catalogue_and_undo_leaves_nothing(backstage: World) -> None:
    record, payload = await ordered(backstage)
    name = record.application
    registration = Registration.model_validate(await backstage.value("ensure_registration", payload))
    refs = {f"{kind}:default/{name}" for kind in ("system", "component", "api")}
    assert set(registration.entities) == refs | {f"resource:default/{name}-database"}
    assert (await visible(backstage, registration, record)).ok
    component = entity(backstage, f"component:default/{name}")
    assert component is not None
    assert component["metadata"]["annotations"]["appstore/request-id"] == record.id
    assert component["spec"]["dependsOn"] == [f"resource:default/{name}-database"]
    interface = entity(backstage, f"api:default/{name}")
    assert interface is not None
    assert '"openapi"' in interface["spec"]["definition"]
    await backstage.forget("ensure_registration", payload)
    again = Registration.model_validate(await backstage.value("ensure_registration", payload))
    assert (again.location_id, rows(backstage, again.target)) == (registration.location_id, [again.location_id])
    await backstage.value("remove_registration", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert rows(backstage, registration.target) == []
    assert _kinds(backstage, registration.target, 0) == []
    assert {entity(backstage, ref) for ref in registration.entities} == {None}


async def test_a_name_of_somebody_else_is_a_conflict_that_says_whose(backstage: World) -> None:
    record, payload = await ordered(backstage)
    stranger, ref = system(backstage, record.application, "req-other")
    await client.register_location(stranger)
    await until(lambda: entity(backstage, ref))
    outcome = await backstage.run("ensure_registration", payload)
    assert outcome.problem is not None
    assert outcome.problem.code == "integration-conflict"
    assert f"{ref} belongs to url:{stranger}" in outcome.problem.detail
    registration = Registration(
        location_id="", target=stranger.replace(stranger.split("/")[4], record.application), entities=[ref]
    )
    assert rows(backstage, registration.target) == []
    await client.register_location(registration.target)  # as if the stranger had come a moment later
    judged = await visible(backstage, registration, record)
    assert judged.problem is not None
    assert f"{ref} belongs to url:{stranger}" in judged.problem.detail
    await backstage.value("remove_registration", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert (rows(backstage, registration.target), len(rows(backstage, stranger))) == ([], 1)
    assert entity(backstage, ref) is not None


async def test_a_file_of_another_request_is_neither_registered_nor_removed(backstage: World) -> None:
    record, payload = await ordered(backstage)
    text = SYSTEM.format(name=record.application, request="req-other")
    backstage.commit(record.application, {"catalog-info.yaml": text})
    target = f"https://github.com/contoso/{record.application}/blob/main/catalog-info.yaml"
    outcome = await backstage.run("ensure_registration", payload)
    assert outcome.problem is not None
    assert "belong to req-other" in outcome.problem.detail
    assert rows(backstage, target) == []
    await client.register_location(target)
    await until(lambda: entity(backstage, f"system:default/{record.application}"))
    removed = await backstage.value("remove_registration", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert "belong to req-other" in removed["detail"]
    assert len(rows(backstage, target)) == 1


async def test_a_broken_file_is_said_with_the_catalogs_reason(backstage: World) -> None:
    record, payload = await ordered(backstage)
    backstage.commit(record.application, {"catalog-info.yaml": COMPONENT})
    outcome = await backstage.run("ensure_registration", payload)
    assert outcome.problem is not None
    assert outcome.problem.code == "integration-permanent"
    assert "must have required property 'owner'" in outcome.problem.detail


# -- the scaffolder --------------------------------------------------------------------------------------------------


async def template(world: World, monkeypatch: pytest.MonkeyPatch, step: str, needed: str = "x") -> None:
    """Make a template with this step the one that the App Store starts."""
    name = f"tpl-{uuid4().hex[:8]}"
    text = SOFTWARE_TEMPLATE.replace("NAME", name).replace("STEP", step).replace("NEEDED", needed)
    if needed != "x":
        text = text.replace("[requestId, application]", f"[{needed}]")
    await client.register_location(repository(world, {"template.yaml": text}))
    await until(lambda: entity(world, f"template:default/{name}"))
    monkeypatch.setenv("BACKSTAGE_TEMPLATE", f"template:default/{name}")


def tasks(world: World, request_id: str) -> list[Document]:
    listed = world.backstage("/v2/tasks?order=desc:created_at&limit=100", plugin="scaffolder")["tasks"]
    return [task for task in listed if task["spec"]["parameters"].get("requestId") == request_id]


async def ended(world: World, record: RequestRecord, task_id: str) -> Outcome:
    """Follow a task until it has ended, or something is wrong."""
    look = ReadTemplate(run=run_of(record, "catalogue"), task_id=task_id)
    deadline = time.monotonic() + 60
    while True:
        outcome = await world.run("read_template", look)
        if not outcome.ok or (outcome.value or {})["ended"]:
            return outcome
        assert time.monotonic() < deadline, outcome
        await asyncio.sleep(0.2)


async def start(world: World, payload: CatalogueInput) -> str:
    """Start the template and forget that it was started."""
    task = TemplateTask.model_validate(await world.value("start_template", payload))
    await world.forget("start_template", payload)
    return task.task_id


async def test_a_template_runs_once_for_a_request_and_is_followed_to_its_end(
    backstage: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await template(backstage, monkeypatch, GOOD)
    record = await backstage.order()
    assert TEMPLATE in record.systems
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")
    task_id = await start(backstage, payload)
    assert await start(backstage, payload) == task_id
    assert (await ended(backstage, record, task_id)).ok
    later = payload.model_copy(update={"operation": f"{record.id}-2"})
    assert await start(backstage, later) == task_id, "what has completed is not run again by a retry"
    (task,) = tasks(backstage, record.id)
    assert (task["status"], task["spec"]["parameters"]["application"]) == ("completed", record.application)
    events = backstage.backstage(f"/v2/tasks/{task_id}/events", plugin="scaffolder")
    assert any(f"hello {record.application}" in event["body"]["message"] for event in events)
    assert events[-1]["type"] == "completion"
    assert events[-1]["body"]["output"] == {"text": [{"title": "Greeted", "content": record.application}]}


async def test_a_template_that_fails_is_said_with_its_step_and_a_retry_runs_it_again(
    backstage: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await template(backstage, monkeypatch, BAD)
    record = await backstage.order()
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")
    task_id = await start(backstage, payload)
    outcome = await ended(backstage, record, task_id)
    assert outcome.problem is not None
    assert "failed: step call: Template action with ID 'no:such:action' is not registered." in outcome.problem.detail
    assert await start(backstage, payload) == task_id
    later = payload.model_copy(update={"operation": f"{record.id}-2"})
    second = await start(backstage, later)
    assert second != task_id
    assert await start(backstage, later) == second
    await ended(backstage, record, second)
    assert [task["status"] for task in tasks(backstage, record.id)] == ["failed", "failed"]


async def test_of_two_that_start_at_once_one_is_taken_back(backstage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await template(backstage, monkeypatch, GOOD)
    record = await backstage.order()
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")
    values = {"requestId": record.id, "application": record.application, "operation": payload.operation}
    for _ in range(2):
        await client.start_task(client.template(), values)
    task_id = await start(backstage, payload)
    oldest, younger = reversed(tasks(backstage, record.id))
    assert oldest["id"] == task_id
    assert (await ended(backstage, record, task_id)).ok
    judged = await ended(backstage, record, younger["id"])
    assert judged.problem is not None
    assert "has been cancelled" in judged.problem.detail
    assert await start(backstage, payload) == task_id


async def test_values_that_the_template_does_not_take_are_said(
    backstage: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    await template(backstage, monkeypatch, GOOD, "costCenter")
    record = await backstage.order()
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")
    outcome = await backstage.run("start_template", payload)
    assert outcome.problem is not None
    assert outcome.problem.code == "integration-permanent"
    assert "costCenter" in outcome.problem.detail
    assert tasks(backstage, record.id) == []


async def test_a_template_that_does_not_exist_is_said(backstage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("BACKSTAGE_TEMPLATE", "template:default/none")
    record = await backstage.order()
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")
    outcome = await backstage.run("start_template", payload)
    assert outcome.problem is not None
    assert "Template template:default/none not found" in outcome.problem.detail


async def test_undo_stops_a_task_and_tells_that_it_is_kept(backstage: World, monkeypatch: pytest.MonkeyPatch) -> None:
    await template(backstage, monkeypatch, GOOD)
    record = await backstage.order()
    task_id = await start(backstage, CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1"))
    removed = await backstage.value("remove_template_task", ActivityInput(run=run_of(record, "undo", undo=True)))
    assert [item["name"] for item in removed["residue"]] == [task_id]
    outcome = await ended(backstage, record, task_id)
    assert outcome.problem is not None
    assert "has been cancelled" in outcome.problem.detail


async def test_the_form_in_backstage_orders_at_the_app_store(
    asked_for_backstage: Backend, world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At a real Backstage only: the order arrives as `POST /api/requests` takes it, and its answer is understood."""
    monkeypatch.setenv("BACKSTAGE_BASE_URL", asked_for_backstage.address)
    form = (CHECKOUT / "infra" / "backstage" / "template.yaml").read_text(encoding="utf-8")
    await client.register_location(repository(world, {"template.yaml": form}))
    await until(lambda: entity(world, "template:default/order-http-api"))
    given = body(f"form-{uuid4().hex[:8]}")
    values = {name: given[name] for name in given if name not in ("archetype", "currency", "parameters")}
    order = {"templateRef": "template:default/order-http-api", "values": values | given["parameters"]}
    tasks_url = f"{asked_for_backstage.address}/api/scaffolder/v2/tasks"
    with Intake(asked_for_backstage.intake_port) as intake, httpx.Client(trust_env=False) as http:
        http.headers["Authorization"] = f"Bearer {asked_for_backstage.token()}"
        task_id = _ordered(http, tasks_url, order)
        events = await until(lambda: _completed(http.get(f"{tasks_url}/{task_id}/events").json()))
    assert "error" not in events[-1]["body"], events
    path, headers, ordered = intake.orders[0]
    assert (len(intake.orders), path) == (1, "/api/requests")
    assert (headers["idempotency-key"], headers["ocp-apim-subscription-key"]) == (task_id, "subscription")
    assert "authorization" not in headers
    wanted = ApplicationRequest.model_validate(ordered)
    assert wanted == ApplicationRequest.model_validate(given)
    assert not (await judge(wanted, REQUESTER)).judgement.verdicts.denied
    output = events[-1]["body"]["output"]
    assert output["links"] == [{"title": "The request", "url": intake.link}]
    assert intake.request_id in output["text"][0]["content"]


def _ordered(http: httpx.Client, url: str, order: Document) -> str:
    started = http.post(url, json=order)
    assert started.status_code == 201, started.text
    return str(started.json()["id"])


def _completed(events: list[Document]) -> list[Document]:
    return events if events and events[-1]["type"] == "completion" else []


class Intake(ThreadingHTTPServer):
    """The App Store's intake as the form meets it: 202 with an id and a place to look at."""

    request_id, link = "req-0123456789ab", "https://appstore.example.com/api/requests/req-0123456789ab"

    def __init__(self, port: int) -> None:
        super().__init__(("127.0.0.1", port), _Taking)
        self.orders: list[tuple[str, dict[str, str], Document]] = []

    def __enter__(self) -> Self:
        threading.Thread(target=self.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self.server_close()


class _Taking(BaseHTTPRequestHandler):
    def do_POST(self) -> None:
        assert isinstance(self.server, Intake)
        content = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.server.orders.append((self.path, {name.lower(): text for name, text in self.headers.items()}, content))
        answer = Accepted(id=Intake.request_id, state=RequestState.RECEIVED, links={"self": Intake.link})
        self.send_response(202)
        self.send_header("Content-Type", "application/json")
        self.end_headers()
        self.wfile.write(json.dumps(answer.document()).encode())

    def log_message(self, *_: object) -> None:
        """Say nothing."""


async def test_a_task_whose_worker_is_gone_counts_as_lost(world: World) -> None:
    """At the stand-in only: a real Backstage needs a kill for that, and finds out after a day."""
    record = await world.order()
    lost = str(uuid4())
    world.lose_task(lost, record.id)
    outcome = await ended(world, record, lost)
    assert outcome.problem is not None
    assert f"Backstage lost task {lost}" in outcome.problem.detail
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-2")
    assert await start(world, payload) != lost


async def test_a_backend_that_knows_no_onconflict_is_asked_for_the_location(world: World) -> None:
    target, _ = system(world)
    first = await client.register_location(target)
    error = {"error": {"name": "ConflictError", "message": f"Location url:{target} already exists"}}
    world.fault(system="backstage", path="onConflict", mode="status", status=409, body=error)
    assert await client.register_location(target) == first
    await client.delete_location(first.id, allowed(target))
    world.fault(system="backstage", path="onConflict", mode="status", status=409, body=error)
    with pytest.raises(ConflictError, match="already exists"):
        await client.register_location(target)
