"""Every effect activity on its stage: what must exist before, which call does it, and what must exist afterwards."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from uuid import uuid4

from shared import archetypes
from shared import plan as plans
from shared.clock import utc_now
from shared.models.approval import PlanDecision
from shared.models.catalogue import CatalogueInput
from shared.models.messages import MessageKind, MessageState, SendAgain, SendNotice
from shared.models.problem import Problem
from shared.models.promotions import Release, StartPromotion
from shared.models.records import Decision, DecisionRecord, RequestRecord, RequestState
from shared.models.runs import (
    ActivityInput,
    Deployment,
    IacRun,
    InfrastructureChange,
    MergeInfrastructureChange,
    OpenInfrastructureChange,
)
from shared.names import change_branch, environment_names, variables_path, vault_topic
from shared.plan import group_of
from shared.register import intents, requests
from tests.approvals import SHOWN, change, put_up
from tests.boards import devops, projects, stories, team
from tests.integration.releases import DIGEST, Source, run_for, source
from tests.integration.world import INFRASTRUCTURE, SUBSCRIPTION, TAG, World, run_of

AKS = "2026-08-01"
TOPICS = "2025-02-15"
IDENTITY = "2024-11-30"
NOTHING = "0" * 40
PIPELINE = """\
name: ci
run-name: deploy ${{ inputs.request_id }} to ${{ inputs.environment }}
on:
  workflow_dispatch:
    inputs:
      environment: {type: string}
      request_id: {type: string}
jobs:
  nothing:
    runs-on: ubuntu-latest
    steps:
      - run: "true"
"""


@dataclass
class Scene:
    """One activity with everything prepared.

    Attributes:
        payload: its input.
        count: what exists at the vendor now: 1 when the effect is there, 0 when not; fails on anything else.
        before, after: what ``count`` says without and with the effect.
    """

    activity: str
    payload: ActivityInput
    count: Callable[[], int]
    before: int = 0
    after: int = 1


@dataclass(frozen=True)
class Effect:
    """An activity and the call by which it changes something.

    Attributes:
        once: the vendor would make a second object of a repeated call, so the journal must hold exactly one.
        content: regex over the call's body, where all calls have one path.
        system: which of several systems it is done in.
    """

    activity: str
    method: str
    path: str
    prepare: Callable[[World, str], Awaitable[Scene]]
    once: bool = False
    label: str = ""
    content: str = ""
    system: str = ""

    def __str__(self) -> str:
        return f"{self.activity}{self.system}{self.label}"


async def _repository(world: World) -> RequestRecord:
    record = await world.order()
    await world.value("ensure_repository", ActivityInput(run=run_of(record)))
    return record


async def _ensure_repository(world: World, activity: str) -> Scene:
    record = await world.order()

    def count() -> int:
        found = world.github(f"/repos/contoso/{record.application}")
        assert found is None or found["custom_properties"] == {TAG: record.id}
        return int(found is not None)

    return Scene(activity, ActivityInput(run=run_of(record)), count)


async def _set_content(world: World, activity: str) -> Scene:
    record = await _repository(world)

    def count() -> int:
        commits = world.github(f"/repos/contoso/{record.application}/commits?sha=main")
        assert len(commits) == 1
        return int("[skip ci]" in commits[0]["commit"]["message"])

    return Scene(activity, ActivityInput(run=run_of(record)), count)


async def _set_team_access(world: World, activity: str) -> Scene:
    record = await _repository(world)

    def count() -> int:
        teams = world.github(f"/repos/contoso/{record.application}/teams")
        assert {(team["slug"], team["permission"]) for team in teams} <= {("payments", "maintain")}
        return len(teams)

    return Scene(activity, ActivityInput(run=run_of(record)), count)


async def _set_protection(world: World, activity: str) -> Scene:
    record = await _repository(world)

    def count() -> int:
        found = world.github(f"/repos/contoso/{record.application}/branches/main/protection")
        assert found is None or found["required_status_checks"]["contexts"] == ["Test"]
        return int(found is not None)

    return Scene(activity, ActivityInput(run=run_of(record)), count)


async def _ensure_environment(world: World, activity: str) -> Scene:
    record = await _repository(world)
    outputs = {
        "deployment_client_id": "client",
        "identity_client_id": "workload",
        "key_vault_uri": "https://kv-x.vault.azure.net/",
    }
    place = f"/repos/contoso/{record.application}/environments"

    def count() -> int:
        environments = world.github(place)["environments"]
        if not environments:
            return 0
        assert [item["name"] for item in environments] == ["dev"]
        variables = world.github(f"{place}/dev/variables?per_page=30")["variables"]
        values = {item["name"]: item["value"] for item in variables}
        if len(values) < 10:
            return 0
        assert len(values) == len(variables)
        assert values["AZURE_CLIENT_ID"] == "client"
        return 1

    return Scene(activity, Deployment(run=run_of(record, "deployment", "dev"), outputs=outputs), count)


async def _start_deployment(world: World, activity: str) -> Scene:
    record = await _repository(world)
    world.commit(record.application, {".github/workflows/ci.yml": PIPELINE})
    operation = f"{record.id}-1"

    def count() -> int:
        return _runs(world, f"/repos/contoso/{record.application}", f"deploy {operation} to dev")

    return Scene(activity, Deployment(run=run_of(record, "deployment", "dev"), operation=operation), count)


def _runs(world: World, repository: str, title: str) -> int:
    runs = world.github(f"{repository}/actions/runs?event=workflow_dispatch&per_page=100")["workflow_runs"]
    return [run["display_title"] for run in runs].count(title)


async def _start(world: World, activity: str) -> Scene:
    record = await world.order()
    action = activity.removeprefix("start_").replace("_", "-")
    run_id = f"{record.id}-dev-{action}-1.1"
    planned = {"plan_run_id": "saved", "plan_sha256": "0" * 64} if action in ("apply", "destroy") else {}
    undo = action.startswith("destroy")
    run = run_of(record, "undo" if undo else "environment", "dev", undo=undo)

    def count() -> int:
        return _runs(world, INFRASTRUCTURE, f"iac {run_id}")

    return Scene(activity, IacRun(run=run, run_id=run_id, action=action, commit=NOTHING, **planned), count)


async def _start_with_topic(world: World, activity: str) -> Scene:
    """A topic that Azure Policy made for the environment's vault: the engine would not delete the group with it."""
    scene = await _start(world, activity)
    record = await requests.get(scene.payload.run.application, scene.payload.run.request_id)
    topic = vault_topic_in(world, record)
    return Scene(activity, scene.payload, lambda: 0 if world.azure(topic, TOPICS) else 1)


def vault_topic_in(world: World, record: RequestRecord, **tags: str) -> str:
    """A system topic of the environment's vault, as Azure Policy makes it; returns its id."""
    group, vault = group_of(record, "dev"), environment_names(record.application, "dev", record.id).key_vault
    own = {TAG: record.id} | tags
    if world.azure(group, "2025-04-01") is None:
        world.azure(group, "2025-04-01", "PUT", {"location": "westeurope", "tags": own})
    topic = f"{group}/providers/Microsoft.EventGrid/systemTopics/{vault_topic(vault)}"
    source = f"{group}/providers/Microsoft.KeyVault/vaults/{vault}"
    properties = {"source": source, "topicType": "Microsoft.KeyVault.vaults"}
    world.azure(topic, TOPICS, "PUT", {"location": "westeurope", "tags": own, "properties": properties})
    return topic


async def _open_change(world: World, activity: str) -> Scene:
    record = await world.order()
    branch = change_branch(record.id, "dev")

    def count() -> int:
        pulls = world.github(f"{INFRASTRUCTURE}/pulls?state=all&head=contoso:{branch}")
        if pulls:
            assert len(world.github(f"{INFRASTRUCTURE}/pulls/{pulls[0]['number']}/files")) == 1
        return len(pulls)

    return Scene(activity, OpenInfrastructureChange(run=run_of(record, "plan", "dev"), round=1), count)


async def _opened(world: World) -> tuple[RequestRecord, InfrastructureChange]:
    record = await world.order()
    payload = OpenInfrastructureChange(run=run_of(record, "plan", "dev"), round=1)
    return record, InfrastructureChange.model_validate(await world.value("open_infrastructure_change", payload))


async def _merged(world: World) -> tuple[RequestRecord, MergeInfrastructureChange]:
    record, change = await _opened(world)
    run = run_of(record, "environment", "dev")
    return record, MergeInfrastructureChange(run=run, pull_number=change.pull_number, commit=change.commit)


def _commits(world: World, path: str) -> int:
    return len(world.github(f"{INFRASTRUCTURE}/commits?sha=main&path={path}"))


async def _merge_change(world: World, activity: str) -> Scene:
    record, payload = await _merged(world)

    def count() -> int:
        return _commits(world, variables_path(record.application, "dev"))

    return Scene(activity, payload, count)


async def _remove_open_change(world: World, activity: str) -> Scene:
    record, change = await _opened(world)

    def count() -> int:
        pull = world.github(f"{INFRASTRUCTURE}/pulls/{change.pull_number}")
        assert not pull["merged"]
        branch = world.github(f"{INFRASTRUCTURE}/git/ref/heads/{change.branch}")
        return int(pull["state"] == "open") + int(branch is not None)

    payload = ActivityInput(run=run_of(record, "undo", "dev", undo=True))
    return Scene(activity, payload, count, before=2, after=0)


async def _remove_merged_change(world: World, activity: str) -> Scene:
    record, payload = await _merged(world)
    await world.value("merge_infrastructure_change", payload)

    def count() -> int:
        path = variables_path(record.application, "dev")
        tree = world.github(f"{INFRASTRUCTURE}/git/trees/main?recursive=1")["tree"]
        assert (path in {item["path"] for item in tree}) is (_commits(world, path) == 1)
        return _commits(world, path)

    return Scene(activity, ActivityInput(run=run_of(record, "undo", "dev", undo=True)), count, before=1, after=2)


def namespace_id(record: RequestRecord) -> str:
    """ARM id of the application's namespace in dev."""
    zone = plans.zone_of(record, "dev")
    name = environment_names(record.application, "dev", record.id).namespace
    return f"{zone.cluster_id}/managedNamespaces/{name}"


def _count_namespace(world: World, record: RequestRecord) -> int:
    found = world.azure(namespace_id(record), AKS)
    if found is None:
        return 0
    assert found["tags"][TAG] == record.id
    assert found["properties"]["provisioningState"] == "Succeeded"
    return 1


async def _ensure_namespace(world: World, activity: str) -> Scene:
    record = await world.order()
    payload = ActivityInput(run=run_of(record, "environment", "dev"))
    return Scene(activity, payload, lambda: _count_namespace(world, record))


async def _remove_namespace(world: World, activity: str) -> Scene:
    record = await world.order()
    await world.value("ensure_namespace", ActivityInput(run=run_of(record, "environment", "dev")))
    payload = ActivityInput(run=run_of(record, "undo", "dev", undo=True))
    return Scene(activity, payload, lambda: _count_namespace(world, record), before=1, after=0)


def make_identity(world: World, record: RequestRecord, end: str = "") -> str:
    """An identity that Terraform would have made, the workload's unless its name ends otherwise; returns its ARM id."""
    names = environment_names(record.application, "dev", record.id)
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{names.resource_group}"
    world.azure(group, "2025-04-01", "PUT", {"location": "westeurope"})
    identity = f"{group}/providers/Microsoft.ManagedIdentity/userAssignedIdentities/{names.identity}{end}"
    world.azure(identity, IDENTITY, "PUT", {"location": "westeurope"})
    return identity


async def _federated_credential(world: World, activity: str) -> Scene:
    record = await world.order()
    identity = make_identity(world, record)
    payload = Deployment(
        run=run_of(record, "deployment", "dev"),
        outputs={"deployment_identity_id": identity},
        subject_prefix="repo:contoso@1/x@2",
    )

    def count() -> int:
        found = world.azure(f"{identity}/federatedIdentityCredentials", IDENTITY)["value"]
        assert {item["properties"]["subject"] for item in found} <= {"repo:contoso@1/x@2:environment:dev"}
        return len(found)

    return Scene(activity, payload, count)


async def _workload_credential(world: World, activity: str) -> Scene:
    record = await world.order()
    identity = make_identity(world, record)
    payload = Deployment(run=run_of(record, "deployment", "dev"), outputs={"identity_id": identity})

    def count() -> int:
        found = world.azure(f"{identity}/federatedIdentityCredentials", IDENTITY)["value"]
        name = record.application
        assert {item["properties"]["subject"] for item in found} <= {f"system:serviceaccount:{name}-dev:{name}"}
        return len(found)

    return Scene(activity, payload, count)


async def _scaler_credential(world: World, activity: str) -> Scene:
    """A worker's second credential: it is made after the first, so that both are there or the step is not done."""
    record = await world.order(archetype="worker", parameters={})
    identities = {
        "identity_id": make_identity(world, record),
        "scaler_identity_id": make_identity(world, record, "-scale"),
    }
    payload = Deployment(run=run_of(record, "deployment", "dev"), outputs=identities)

    def count() -> int:
        listed = [
            world.azure(f"{item}/federatedIdentityCredentials", IDENTITY)["value"] for item in identities.values()
        ]
        name = record.application
        wanted = [[f"system:serviceaccount:{name}-dev:{name}"], ["system:serviceaccount:kube-system:keda-operator"]]
        subjects = [[item["properties"]["subject"] for item in found] for found in listed]
        assert all(found in ([], right) for found, right in zip(subjects, wanted, strict=True)), subjects
        return int(subjects == wanted)

    return Scene(activity, payload, count)


async def _remove_repository(world: World, activity: str) -> Scene:
    record = await _repository(world)

    def count() -> int:
        return int(world.github(f"/repos/contoso/{record.application}") is not None)

    payload = ActivityInput(run=run_of(record, "undo", undo=True))
    return Scene(activity, payload, count, before=1, after=0)


def changes(world: World, record: RequestRecord) -> list[dict[str, str]]:
    """The change requests that carry the request's id."""
    query = f"sysparm_query=correlation_id={record.id}&sysparm_fields=number,state,correlation_id,close_code"
    found: list[dict[str, str]] = world.servicenow(f"/api/now/table/change_request?{query}")
    return found


def _items(world: World, record: RequestRecord) -> list[dict[str, str]]:
    query = f"sysparm_query=name={record.application}&sysparm_fields=name,correlation_id,operational_status"
    found: list[dict[str, str]] = world.servicenow(f"/api/now/table/cmdb_ci_service_auto?{query}")
    return found


async def _recorded(world: World, activity: str, state: str, *steps: str) -> Scene:
    """A change at which the steps before were done already; counted when it is in the state."""
    record = await world.order()
    payload = ActivityInput(run=run_of(record, "records"))
    for step in steps:
        await world.value(step, payload)

    def count() -> int:
        found = changes(world, record)
        assert len(found) == min(1, len(found))
        return [change["state"] for change in found].count(state)

    return Scene(activity, payload, count)


async def _open_change_request(world: World, activity: str) -> Scene:
    return await _recorded(world, activity, "-5")


async def _request_approval(world: World, activity: str) -> Scene:
    record = await put_up(await world.order())

    def count() -> int:
        return len(changes(world, record))

    return Scene(activity, PlanDecision(run=run_of(record, "records"), digest=SHOWN), count)


async def _note(world: World, activity: str) -> Scene:
    """Counted by what the notes say, so that a second one of the same would be seen."""
    record = await put_up(await world.order())
    said = DecisionRecord(
        request_id=record.id, decision=Decision.APPROVE, actor="ann", actor_name="ann@contoso.com", decided_at=utc_now()
    )
    approved = {"approvals": [said], "approved_digest": SHOWN, "state": RequestState.PROVISIONING}
    record = await change(record, **approved)
    await world.value("open_change", ActivityInput(run=run_of(record, "records")))
    payload = PlanDecision(run=run_of(record, "records"), digest=SHOWN)

    def count() -> int:
        (found,) = world.servicenow(
            f"/api/now/table/change_request?sysparm_query=correlation_id={record.id}"
            "&sysparm_fields=work_notes&sysparm_display_value=true"
        )
        return str(found["work_notes"]).count("- ann@contoso.com at ")

    return Scene(activity, payload, count)


async def _start_change(world: World, activity: str) -> Scene:
    return await _recorded(world, activity, "-1", "open_change")


async def _close_change(world: World, activity: str) -> Scene:
    return await _recorded(world, activity, "3", "open_change", "start_change")


async def _configuration_item(world: World, activity: str) -> Scene:
    record = await world.order()

    def count() -> int:
        found = _items(world, record)
        assert {item["correlation_id"] for item in found} <= {record.id}
        return len(found)

    return Scene(activity, ActivityInput(run=run_of(record, "records")), count)


async def _remove_records(world: World, activity: str) -> Scene:
    record = await world.order()
    payload = ActivityInput(run=run_of(record, "records"))
    for step in ("open_change", "start_change", "ensure_configuration_item"):
        await world.value(step, payload)

    def count() -> int:
        living = [change for change in changes(world, record) if change["state"] != "4"]
        return len(living) + sum(item["operational_status"] != "6" for item in _items(world, record))

    payload = ActivityInput(run=run_of(record, "undo", undo=True))
    return Scene(activity, payload, count, before=2, after=0)


async def _folder(world: World, activity: str) -> Scene:
    record = await world.order()

    def count() -> int:
        folder = world.grafana(f"/folders/{record.id}")
        assert folder is None or folder["title"] == record.application
        return int(folder is not None)

    return Scene(activity, ActivityInput(run=run_of(record, "dashboards")), count)


async def _dashboards(world: World, activity: str) -> Scene:
    record = await world.order()
    payload = ActivityInput(run=run_of(record, "dashboards"))
    await world.value("ensure_folder", payload)

    def count() -> int:
        found = world.grafana(f"/dashboards/uid/{record.id}-service")
        if found is None:
            return 0
        assert found["meta"]["folderUid"] == record.id
        variables = {item["name"]: item["query"] for item in found["dashboard"]["templating"]["list"]}
        assert variables["namespace"] == f"{record.application}-dev"
        return int(found["meta"]["version"])  # written once, it is version 1

    return Scene(activity, payload, count)


async def _remove_folder(world: World, activity: str) -> Scene:
    record = await world.order()
    for step in ("ensure_folder", "ensure_dashboards"):
        await world.value(step, ActivityInput(run=run_of(record, "dashboards")))

    def count() -> int:
        places = (f"/folders/{record.id}", f"/dashboards/uid/{record.id}-service")
        return sum(world.grafana(place) is not None for place in places)

    return Scene(activity, ActivityInput(run=run_of(record, "undo", undo=True)), count, before=2, after=0)


def _scene(world: World, activity: str, payload: ActivityInput, record: RequestRecord, chat: str) -> Scene:
    return Scene(activity, payload, lambda: len(world.told(record, chat)))


async def _welcome(world: World, activity: str) -> Scene:
    record = await _repository(world)
    return _scene(world, activity, ActivityInput(run=run_of(record, "messages")), record, "teams")


async def _welcome_in_slack(world: World, activity: str) -> Scene:
    world.use_slack()
    record = await _repository(world)
    return _scene(world, activity, ActivityInput(run=run_of(record, "messages")), record, "slack")


def _notice(record: RequestRecord) -> SendNotice:
    problem = Problem(code="integration-conflict", title="It is there", detail="Somebody made it.")
    return SendNotice(run=run_of(record), kind=MessageKind.PARKED, problem=problem)


async def _told(world: World, activity: str) -> Scene:
    record = await world.order()
    return _scene(world, activity, _notice(record), record, "teams")


async def _told_in_slack(world: World, activity: str) -> Scene:
    world.use_slack()
    record = await world.order()
    return _scene(world, activity, _notice(record), record, "slack")


async def _due(world: World, activity: str) -> Scene:
    """A notice that failed, and that somebody has asked for again."""
    record = await world.order()
    world.fault(system="teams", mode="status", status=404)
    assert not (await world.run("send_notice", _notice(record))).ok
    (intent,) = await intents.of_request(record.application, record.id)
    await intents.change(intent, lambda now: now.model_copy(update={"state": MessageState.DUE}))
    again = SendAgain(run=run_of(record), kind=intent.kind, occasion=intent.occasion)
    return _scene(world, activity, again, record, "teams")


_WEBHOOK = r"/triggers/manual/paths/invoke"


def _locations(world: World, record: RequestRecord) -> list[str]:
    target = f"https://github.com/contoso/{record.application}/blob/main/catalog-info.yaml"
    return [row["data"]["id"] for row in world.backstage("/locations") if row["data"]["target"] == target]


async def _published(world: World, *steps: str) -> tuple[RequestRecord, CatalogueInput]:
    """A repository with its content, and steps of the catalogue branch that were done."""
    record = await _repository(world)
    await world.value("set_content", ActivityInput(run=run_of(record)))
    payload = CatalogueInput(run=run_of(record, "catalogue"), operation=f"{record.id}-1")
    for step in steps:
        await world.value(step, payload)
    return record, payload


async def _ensure_registration(world: World, activity: str) -> Scene:
    record, payload = await _published(world)
    return Scene(activity, payload, lambda: len(_locations(world, record)))


async def _remove_registration(world: World, activity: str) -> Scene:
    record, _ = await _published(world, "ensure_registration")
    payload = ActivityInput(run=run_of(record, "undo", undo=True))
    return Scene(activity, payload, lambda: len(_locations(world, record)), before=1, after=0)


def _tasks(world: World, record: RequestRecord) -> int:
    tasks = world.backstage("/v2/tasks?order=desc:created_at&limit=100", plugin="scaffolder")["tasks"]
    ours = [task for task in tasks if task["spec"]["parameters"].get("requestId") == record.id]
    return len(ours)


async def _start_template(world: World, activity: str) -> Scene:
    record, payload = await _published(world)
    return Scene(activity, payload, lambda: _tasks(world, record))


async def _remove_task(world: World, activity: str) -> Scene:
    """A task that a worker has left; counted by the word that it shall stop."""
    record, _ = await _published(world)
    left = str(uuid4())
    world.lose_task(left, record.id)

    def count() -> int:
        events = world.backstage(f"/v2/tasks/{left}/events", plugin="scaffolder")
        return int("cancelled" in {event["type"] for event in events})

    return Scene(activity, ActivityInput(run=run_of(record, "undo", undo=True)), count)


def _count_project(world: World, record: RequestRecord) -> int:
    found = projects(world.stack, record.application)
    for project in found:
        assert project["title"] == record.application
        assert f"appstore:{record.id}" in project["shortDescription"]
        assert project["repositories"]["nodes"] == [{"name": record.application}]
    return len(found)


def _count_drafts(world: World, record: RequestRecord) -> int:
    (project,) = projects(world.stack, record.application)
    lying = [
        (item["content"]["body"].rpartition("/")[2].removesuffix(" -->"), (item["fieldValueByName"] or {}).get("name"))
        for item in project["items"]["nodes"]
    ]
    return _complete([option["name"] for option in project["field"]["options"]], lying) if lying else 0


def _complete(columns: list[str], lying: list[tuple[str, str | None]]) -> int:
    """1 when every item of the archetype lies in its column, once."""
    template = archetypes.board("api")
    assert columns == template.columns
    assert sorted(lying) == sorted((item.id, item.column) for item in template.items)
    return 1


def _count_team(world: World, record: RequestRecord) -> int:
    found = team(world.stack, record.application)
    if found is None:
        assert stories(world.stack, f"{record.application}-{record.id}") == []
        return 0
    assert f"appstore:{record.id}" in found["description"]
    assert f"https://github.com/contoso/{record.application}" in found["description"]
    return 1


def _count_stories(world: World, record: RequestRecord) -> int:
    made = stories(world.stack, f"{record.application}-{record.id}")
    lying = []
    for item in made:
        (link,) = item["relations"]
        assert link["url"] == f"https://github.com/contoso/{record.application}"
        lying.append((link["attributes"]["comment"].rpartition("/")[2], item["fields"]["System.BoardColumn"]))
    board = devops(world.stack, f"/Applications/{record.application}/_apis/work/boards/Stories")
    return _complete([column["name"] for column in board["columns"]], lying) if lying else 0


_COUNTS = {
    ("github_projects", "ensure_work_items"): _count_drafts,
    ("azure_boards", "ensure_work_items"): _count_stories,
    ("github_projects", "board"): _count_project,
    ("azure_boards", "board"): _count_team,
}
_BEFORE = {
    "ensure_board": (),
    "ensure_work_items": ("ensure_board",),
    "remove_board": ("ensure_board", "ensure_work_items"),
}


def _board(system: str) -> Callable[[World, str], Awaitable[Scene]]:
    """The board's steps in one of the systems."""

    async def prepare(world: World, activity: str) -> Scene:
        with world.board_system(system):
            record = await _repository(world)
        for step in _BEFORE[activity]:
            await world.value(step, ActivityInput(run=run_of(record, "board")))
        count = _COUNTS.get((system, activity), _COUNTS[system, "board"])
        undo = activity == "remove_board"
        payload = ActivityInput(run=run_of(record, "undo" if undo else "board", undo=undo))
        return Scene(activity, payload, lambda: count(world, record), before=int(undo), after=int(not undo))

    return prepare


def _in_github(activity: str, content: str, *, once: bool = False) -> Effect:
    """A step of the board that is one GraphQL document; ``content`` names its operation."""
    prepare = _board("github_projects")
    return Effect(activity, "POST", "/graphql$", prepare, once, f":{content}", content, "@github_projects")


def _in_azure(activity: str, method: str, path: str, label: str, *, once: bool = False) -> Effect:
    return Effect(activity, method, path, _board("azure_boards"), once, label, system="@azure_boards")


async def _start_release(world: World, activity: str) -> Scene:
    place = await source(world)
    release = Release(repository=f"contoso/{place.name}", commit=place.commit, digest=DIGEST)
    record = await place.promotion(state="deploying", release=release)
    operation = f"{record.id}-1"

    def count() -> int:
        return _runs(world, place.place, f"promote {operation} to qa")

    return Scene(activity, StartPromotion(run=run_for(record), release=release, operation=operation), count)


def _of_release(state: str, *before: str) -> Callable[[World, str], Awaitable[Scene]]:
    """A promotion's change at which the steps before were done already; counted when it is in the state."""

    async def prepare(world: World, activity: str) -> Scene:
        request = await world.order()
        record = await Source(world, request, "", 0).promotion(state="deploying")
        payload = ActivityInput(run=run_for(record))
        for step in before:
            await world.value(step, payload)

        def count() -> int:
            found = world.servicenow(f"/api/now/table/change_request?sysparm_query=correlation_id={record.id}")
            assert len(found) <= 1
            return [change["state"] for change in found].count(state)

        return Scene(activity, payload, count)

    return prepare


_DISPATCH = r"/infrastructure/actions/workflows/iac\.yml/dispatches$"
_CHANGE = r"/sn_chg_rest/v1/change/\w{32}$"
EFFECTS = (
    Effect("ensure_repository", "POST", r"/orgs/contoso/repos$", _ensure_repository, once=True),
    Effect("set_content", "PATCH", r"/git/refs/heads/main$", _set_content),
    Effect("set_team_access", "PUT", r"/teams/payments/repos/", _set_team_access),
    Effect("set_protection", "PUT", r"/branches/main/protection$", _set_protection),
    Effect("ensure_environment", "PUT", r"/environments/dev$", _ensure_environment),
    Effect("ensure_environment", "POST", r"/environments/dev/variables$", _ensure_environment, label=":variable"),
    Effect("start_deployment", "POST", r"/ci\.yml/dispatches$", _start_deployment, once=True),
    Effect("start_plan", "POST", _DISPATCH, _start, once=True),
    Effect("start_apply", "POST", _DISPATCH, _start, once=True),
    Effect("start_destroy_plan", "POST", _DISPATCH, _start, once=True),
    Effect("start_destroy", "POST", _DISPATCH, _start, once=True),
    Effect("start_destroy", "DELETE", "/Microsoft.EventGrid/systemTopics/", _start_with_topic, label=":topic"),
    Effect(
        "open_infrastructure_change", "POST", r"/infrastructure/git/refs$", _open_change, once=True, label=":branch"
    ),
    Effect("open_infrastructure_change", "POST", r"/infrastructure/pulls$", _open_change, once=True),
    Effect("merge_infrastructure_change", "PUT", r"/pulls/\d+/merge$", _merge_change, once=True),
    Effect("remove_infrastructure_change", "PATCH", r"/pulls/\d+$", _remove_open_change, once=True, label=":pull"),
    Effect("remove_infrastructure_change", "DELETE", r"/git/refs/heads/", _remove_open_change, label=":branch"),
    Effect("remove_infrastructure_change", "PATCH", r"/git/refs/heads/main$", _remove_merged_change, once=True),
    Effect("ensure_namespace", "PUT", r"/managedNamespaces/", _ensure_namespace),
    Effect("ensure_federated_credential", "PUT", r"/federatedIdentityCredentials/", _federated_credential),
    Effect("ensure_workload_credential", "PUT", r"/federatedIdentityCredentials/", _workload_credential),
    Effect(
        "ensure_workload_credential", "PUT", r"/federatedIdentityCredentials/keda-", _scaler_credential, label=":scaler"
    ),
    Effect("remove_namespace", "DELETE", r"/managedNamespaces/", _remove_namespace),
    Effect("start_release", "POST", r"/promote\.yml/dispatches$", _start_release, once=True),
    Effect("open_release_change", "POST", r"/change/normal$", _of_release("-5"), once=True),
    Effect("start_release_change", "PATCH", _CHANGE, _of_release("-1", "open_release_change")),
    Effect("close_release_change", "PATCH", _CHANGE, _of_release("3", "open_release_change", "start_release_change")),
    Effect("open_change", "POST", r"/change/normal$", _open_change_request, once=True),
    Effect("request_change_approval", "POST", r"/change/normal$", _request_approval, once=True),
    Effect("request_change_approval", "PATCH", r"/sn_chg_rest/v1/change/\w{32}$", _request_approval, label=":state"),
    Effect("note_decisions", "PATCH", r"/sn_chg_rest/v1/change/\w{32}$", _note, once=True),
    Effect("start_change", "PATCH", r"/sn_chg_rest/v1/change/\w{32}$", _start_change),
    Effect("ensure_configuration_item", "POST", r"/cmdb/instance/\w+$", _configuration_item),
    Effect("close_change", "PATCH", r"/sn_chg_rest/v1/change/\w{32}$", _close_change),
    Effect("remove_records", "PATCH", r"/sn_chg_rest/v1/change/\w{32}$", _remove_records, label=":change"),
    Effect("remove_records", "PATCH", r"/cmdb/instance/\w+/\w{32}$", _remove_records, label=":item"),
    Effect("ensure_folder", "POST", r"/api/folders$", _folder, once=True),
    Effect("ensure_dashboards", "POST", r"/api/dashboards/db$", _dashboards, once=True),
    Effect("send_welcome", "POST", _WEBHOOK, _welcome, once=True),
    Effect("send_welcome", "POST", r"/chat\.postMessage$", _welcome_in_slack, once=True, label=":slack"),
    Effect("send_notice", "POST", _WEBHOOK, _told, once=True),
    Effect("send_notice", "POST", r"/chat\.postMessage$", _told_in_slack, once=True, label=":slack"),
    Effect("send_due", "POST", _WEBHOOK, _due, once=True),
    Effect("remove_folder", "DELETE", r"/api/folders/", _remove_folder),
    Effect("ensure_registration", "POST", r"/locations\?onConflict=refresh$", _ensure_registration),
    Effect("remove_registration", "DELETE", r"/api/catalog/locations/", _remove_registration, once=True),
    Effect("start_template", "POST", r"/v2/tasks$", _start_template, once=True),
    Effect("remove_template_task", "POST", r"/cancel$", _remove_task),
    _in_github("ensure_board", "CreateBoard", once=True),
    _in_github("ensure_board", "DescribeBoard"),
    _in_github("ensure_work_items", "SetColumns"),
    _in_github("ensure_work_items", "AddItems", once=True),
    _in_github("ensure_work_items", "PlaceItems"),
    _in_github("remove_board", "DeleteBoard"),
    _in_azure("ensure_board", "POST", r"/_apis/projects/Applications/teams\?", ":team", once=True),
    _in_azure("ensure_board", "POST", r"/classificationnodes/Areas\?", ":area"),
    _in_azure("ensure_board", "PATCH", r"/teamsettings/teamfieldvalues\?", ":area-of-team"),
    _in_azure("ensure_board", "PATCH", r"/teamsettings\?", ":settings"),
    _in_azure("ensure_board", "PATCH", r"/_apis/projects/Applications/teams/", ":link"),
    _in_azure("ensure_work_items", "PUT", r"/columns\?", ":columns"),
    _in_azure("ensure_work_items", "POST", r"/workitems/\$", ":item"),
    _in_azure("ensure_work_items", "PATCH", r"/workitems/\d+", ":place"),
    _in_azure("remove_board", "DELETE", r"/workitems/\d+", ":item"),
    _in_azure("remove_board", "DELETE", r"/classificationnodes/Areas/", ":area"),
    _in_azure("remove_board", "DELETE", r"/_apis/projects/Applications/teams/", ":team"),
    Effect("remove_repository", "DELETE", r"/repos/contoso/[^/]+$", _remove_repository),
)
