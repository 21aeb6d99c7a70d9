"""Backstage: locations and entities of the software catalog, tasks of the scaffolder.

The catalog is pull-only: a location is registered, and Backstage reads the entities from it by itself, a little later.

Documentation: https://backstage.io/docs/features/software-catalog/software-catalog-api/
"""

from collections.abc import Collection, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from pydantic import AwareDatetime, Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Answer, Call, Vendor, azure_headers
from shared.errors import ConflictError
from shared.guard import Permit
from shared.models import Model
from shared.settings import Settings, load

ORIGIN = "backstage.io/managed-by-origin-location"
COMPLETED = "completed"
_LOCATIONS, _ENTITIES, _TASKS = "/catalog/locations", "/catalog/entities", "/scaffolder/v2/tasks"
_UNDER_WAY = frozenset({"open", "processing"})
_ABSENT = 404
_PAGE = 100


class BackstageSettings(Settings):
    """Backstage. Without a base URL nothing is registered there."""

    model_config = SettingsConfigDict(env_prefix="BACKSTAGE_", frozen=True, extra="ignore")

    base_url: str = Field(default="", description="Address of the backend (`backend.baseUrl`); empty: not used.")
    app_url: str = Field(default="", description="Address of the pages (`app.baseUrl`); empty: the backend's.")
    audience: str = Field(
        default="api://backstage",
        description="Audience of the token for the catalog, as in `externalAccess`; never `backstage`, which Backstage "
        "takes for a user's token.",
    )
    scaffolder_audience: str = Field(
        default="", description="Audience of the token for the scaffolder; empty: the catalog's."
    )
    template: str = Field(
        default="", description="Template to run once per application (`template:default/<name>`); empty: none."
    )


class _Metadata(Model):
    name: str
    namespace: str = "default"
    annotations: dict[str, str] = {}


class Entity(Model):
    """An entity of the catalog."""

    kind: str
    metadata: _Metadata

    @property
    def ref(self) -> str:
        """Its entity reference, ``component:default/payments-api``."""
        return f"{self.kind}:{self.metadata.namespace}/{self.metadata.name}".lower()

    def annotation(self, name: str) -> str:
        """An annotation, empty when there is none."""
        return self.metadata.annotations.get(name, "")


class Location(Model):
    """A registered location."""

    id: str
    type: str
    target: str


class _Registered(Model):
    location: Location


class _DryRun(Model):
    exists: bool
    entities: list[Entity]


class _Row(Model):
    data: Location


class _Found(Model):
    items: list[Entity | None]


class _Entities(Model):
    items: list[Entity]


class _Spec(Model):
    parameters: dict[str, Any] = {}


class Task(Model):
    """A task of the scaffolder; ``spec.parameters`` are the values it was started with."""

    id: str
    status: str
    created_at: AwareDatetime
    last_heartbeat_at: AwareDatetime | None = None
    spec: _Spec = _Spec()

    @property
    def under_way(self) -> bool:
        """Whether the task has not ended."""
        return self.status in _UNDER_WAY

    def silent_for(self, patience: timedelta) -> bool:
        """Whether its worker has not given a sign of life for so long; one that waits for a worker has none to give."""
        last = self.last_heartbeat_at or self.created_at
        return self.status == "processing" and datetime.now(UTC) - last > patience


class _Tasks(Model):
    tasks: list[Task]
    total_tasks: int


class _Started(Model):
    id: str


class _Cancelled(Model):
    status: str


class _Event(Model):
    type: str
    body: dict[str, Any]


def configured() -> bool:
    """Whether applications are registered at all."""
    return bool(load(BackstageSettings).base_url)


def runs_template() -> bool:
    """Whether a template is run for each application."""
    return configured() and bool(load(BackstageSettings).template)


def template() -> str:
    """Reference of the template that is run for each application."""
    return load(BackstageSettings).template


def entity_page(ref: str) -> str:
    """The page of an entity."""
    kind, _, name = ref.partition(":")
    namespace, _, name = name.partition("/")
    return f"{_pages()}/catalog/{namespace}/{kind}/{name}"


def task_page(task_id: str) -> str:
    """The page of a scaffolder task."""
    return f"{_pages()}/create/tasks/{task_id}"


def _pages() -> str:
    settings = load(BackstageSettings)
    return (settings.app_url or settings.base_url).rstrip("/")


async def _for_catalog() -> dict[str, str]:
    return await azure_headers(f"{load(BackstageSettings).audience}/.default")


async def _for_scaffolder() -> dict[str, str]:
    settings = load(BackstageSettings)
    return await azure_headers(f"{settings.scaffolder_audience or settings.audience}/.default")


def _catalog() -> Vendor:
    return Vendor("backstage", f"{load(BackstageSettings).base_url.rstrip('/')}/api", _for_catalog, traced=True)


def _scaffolder() -> Vendor:
    return Vendor("backstage", f"{load(BackstageSettings).base_url.rstrip('/')}/api", _for_scaffolder, traced=True)


async def check_location(target: str) -> list[Entity]:
    """The entities that a location would bring, as Backstage itself reads them; nothing is stored.

    Without this check Backstage takes any location, and what is wrong with it is only in its log.

    Raises:
        PermanentIntegrationError: Backstage cannot read the target or does not accept what it holds; says why.
    """
    body = {"type": "url", "target": target}
    call = Call("check location", "POST", _LOCATIONS, body, params={"dryRun": "true"}, expect=(201,))
    return [entity for entity in (await _catalog().read(call, _DryRun)).entities if entity.kind != "Location"]


async def register_location(target: str) -> Location:
    """Register a location, or let Backstage read one that is registered already anew.

    Raises:
        ConflictError: a backend that does not know ``onConflict`` has it and does not show it.
    """
    body = {"type": "url", "target": target}
    call = Call("register location", "POST", _LOCATIONS, body, params={"onConflict": "refresh"}, expect=(201,))
    try:
        return (await _catalog().read(call, _Registered)).location
    except ConflictError:
        found = await find_locations(target)
        if not found:
            raise
        return found[0]


async def find_locations(target: str) -> list[Location]:
    """Every location with this target: registrations at the same time make several."""
    rows = await _catalog().read(Call("list locations", "GET", _LOCATIONS), list[_Row])
    found = [row.data for row in rows if (row.data.type, row.data.target) == ("url", target)]
    return sorted(found, key=lambda location: location.id)


async def delete_location(location_id: str, permit: Permit) -> None:
    """Delete a location, and with it the entities that came from it; absent is success."""
    path = f"{_LOCATIONS}/{location_id}"
    await _catalog().call(Call(f"delete {permit.action.kind}", "DELETE", path, expect=(204, _ABSENT)))


async def find_entities(refs: Collection[str]) -> dict[str, Entity]:
    """The entities that exist, by their references."""
    body = {"entityRefs": list(refs), "fields": ["kind", "metadata"]}
    call = Call("find entities", "POST", f"{_ENTITIES}/by-refs", body)
    found = await _catalog().read(call, _Found)
    return {entity.ref: entity for entity in found.items if entity}


async def find_entities_of(target: str) -> list[Entity]:
    """The entities whose origin is this location; the first hundred, a location of ours has five."""
    params = {"filter": f"metadata.annotations.{ORIGIN}=url:{target}", "fields": "kind,metadata", "limit": str(_PAGE)}
    call = Call("find entities of location", "GET", f"{_ENTITIES}/by-query", params=params)
    found = (await _catalog().read(call, _Entities)).items
    return [entity for entity in found if entity.annotation(ORIGIN) == f"url:{target}"]


async def start_task(template_ref: str, values: Mapping[str, object]) -> str:
    """Start a task of the scaffolder; returns its id. Backstage starts a second one when it is asked twice.

    Documentation: https://backstage.io/docs/features/software-templates/
    """
    body = {"templateRef": template_ref, "values": dict(values)}
    call = Call("start task", "POST", _TASKS, body, expect=(201,))
    return (await _scaffolder().read(call, _Started)).id


async def find_tasks(value: tuple[str, str], since: datetime) -> list[Task]:
    """The tasks that were started with this value, and not before this time, the oldest first."""
    name, wanted = value
    found, offset = [], 0
    while True:
        page = await _task_page(offset)
        found += [task for task in page.tasks if task.spec.parameters.get(name) == wanted]
        offset += len(page.tasks)
        if not page.tasks or offset >= page.total_tasks or page.tasks[-1].created_at < since:
            return sorted(found, key=lambda task: (task.created_at, task.id))


async def _task_page(offset: int) -> _Tasks:
    params = {"order": "desc:created_at", "limit": str(_PAGE), "offset": str(offset)}
    return await _scaffolder().read(Call("list tasks", "GET", _TASKS, params=params), _Tasks)


async def read_task(task_id: str) -> Task:
    """A task and where it stands."""
    return await _scaffolder().read(Call("read task", "GET", f"{_TASKS}/{task_id}"), Task)


async def read_failure(task_id: str) -> str:
    """Why a task failed: the step, and the error of the completion event; empty when it completed.

    Only for a task that has ended: while there is no event, Backstage holds the answer back for half a minute.
    """
    call = Call("read events", "GET", f"{_TASKS}/{task_id}/events")
    events = await _scaffolder().read(call, list[_Event])
    error = next((event.body.get("error") for event in events if event.type == "completion"), {"message": "cancelled"})
    if not error:
        return ""
    steps = (event.body.get("stepId") for event in events if event.body.get("status") == "failed")
    step = next((str(step) for step in steps if step), "")
    reason = str(error.get("message") or error.get("name") or "no reason given")
    return f"step {step}: {reason}" if step else reason


async def cancel_task(task_id: str, permit: Permit) -> None:
    """Ask a task to stop. A step that runs goes on to its end; absent is success."""
    call = Call(f"cancel {permit.action.kind}", "POST", f"{_TASKS}/{task_id}/cancel", expect=(200, _ABSENT))
    answer: Answer = await _scaffolder().call(call)
    if answer.status != _ABSENT:
        _scaffolder().shaped(call, answer, _Cancelled)
