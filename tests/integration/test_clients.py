"""Every call of every client against every way a vendor can answer badly: the right error, and never success."""

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest

from shared.boards import Board, BoardSpec, Item
from shared.clients import (
    _azure_devops,
    application,
    azure_boards,
    backstage,
    blobs,
    entra,
    github,
    github_actions,
    github_projects,
    grafana,
    graph,
    key_vault,
    monitor,
    resource_manager,
    servicenow,
    slack,
    teams,
)
from shared.errors import (
    ConflictError,
    IntegrationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    TransientIntegrationError,
)
from shared.guard import Action, Facts, permit
from shared.register import requests, reservations
from tests.integration.world import INFRASTRUCTURE, SUBSCRIPTION, World

ALLOWED = permit(Action("undo", "thing", "x", "req-1"), Facts(owned_by="req-1"))
CLUSTER = (
    f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-platform-dev"
    "/providers/Microsoft.ContainerService/managedClusters/aks-dev-weu"
)
GROUP = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-appstore/providers"
IDENTITY = f"{GROUP}/Microsoft.ManagedIdentity/userAssignedIdentities/id-iac-plan"
TARGET = "https://github.com/contoso/infrastructure/blob/main/catalog-info.yaml"
FOREVER = {"times": None}
LONG = {"Retry-After": "30"}  # longer than a client waits by itself: the error comes at once
VAULT = "https://kv-appstore.vault.azure.net"
REPO = "/repos/contoso/infrastructure"


@dataclass(frozen=True)
class Asked:
    """A client's call.

    Attributes:
        fine: statuses that are an answer to this question, not an error.
        kinds: errors that this call gives another name.
        content: regex over the body, where all calls have one path.
    """

    system: str
    method: str
    path: str
    call: Callable[[], Awaitable[object]]
    fine: tuple[int, ...] = ()
    kinds: tuple[tuple[int, type[IntegrationError]], ...] = ()
    prepare: Callable[[], Awaitable[object]] | None = None
    content: str = ""


async def _head(name: str = "infrastructure") -> str:
    return str(await github.read_head(name, "main"))


async def _tree() -> str:
    return (await github.read_commit("infrastructure", await _head())).tree.sha


async def _token() -> object:
    return await entra.verify_token(
        "eyJhbGciOiJSUzI1NiIsImtpZCI6IngifQ.eyJzdWIiOiJ4In0.c2ln"  # no key has this id: the keys are fetched
    )


async def _metric() -> object:
    watched = monitor.WatchedMetric(
        resource_id=f"{GROUP}/Microsoft.KeyVault/vaults/c",
        namespace="Microsoft.KeyVault/vaults",
        name="Availability",
        aggregation="Average",
    )
    return await monitor.read_metric(watched, datetime.now(UTC) - timedelta(minutes=5), datetime.now(UTC))


SPEC = BoardSpec(title="cases", request_id="req-1", repository="contoso/infrastructure")
NO_BOARD = Board(id="c", title="cases", url="u", request_id="req-1")
ITEM = Item(request_id="req-1", key="k", title="t", body="b", column="Done", link="https://example.com", id="1")


async def _project() -> Board:
    """A project that is there."""
    return (await github_projects.find(SPEC) or [await github_projects.create(SPEC)])[0]


async def _team() -> Board:
    """A team with everything that its board needs."""
    board = (await azure_boards.find(SPEC) or [await azure_boards.create(SPEC)])[0]
    return await azure_boards.configure(board, SPEC)


async def _set_columns() -> None:
    await github_projects.set_columns(await _project(), ["Backlog", "Done"])


async def _place_draft() -> None:
    await github_projects.place_items(await _project(), [ITEM])


async def _settle() -> None:
    await azure_boards.configure(await _team(), SPEC)


async def _set_board_columns() -> None:
    await azure_boards.set_columns(await _team(), ["Backlog", "Done"])


async def _move_story() -> None:
    await azure_boards.place_items(await _team(), [ITEM.model_copy(update={"column": "New"})])


async def _read_stories() -> object:
    board = await _team()
    if not await azure_boards.list_items(board):
        await azure_boards.add_items(board, [ITEM])
    return await azure_boards.list_items(board)


async def _remove_area() -> None:
    await azure_boards.delete(await _team(), ALLOWED)


KEY = "0" * 32
SINCE = datetime(2026, 11, 25, tzinfo=UTC)
POSTED = slack.Posted(channel="C0APPSTORE", ts="1.000001")
CHANGE = servicenow.Change(sys_id=KEY, number="CHG1", state="-5", correlation_id="req-1")
NOWHERE = tuple((status, TransientIntegrationError) for status in (401, 403, 404, 409))


def _document(operation: str, call: Callable[[], Awaitable[object]]) -> Asked:
    """A call that is one GraphQL document."""
    return Asked("github_projects", "POST", "/graphql$", call, content=operation)


CALLS = {
    "find_repository": Asked("github", "GET", f"{REPO}$", lambda: github.find_repository("infrastructure"), (404,)),
    "create_repository": Asked("github", "POST", "/orgs/contoso/repos$", lambda: github.create_repository("c-1", "r")),
    "delete_repository": Asked(
        "github", "DELETE", "/repos/contoso/c-2$", lambda: github.delete_repository("c-2", ALLOWED), (404,)
    ),
    "read_subject_prefix": Asked(
        "github", "GET", "/oidc/customization/sub$", lambda: github.read_subject_prefix("infrastructure")
    ),
    "read_head": Asked("github", "GET", "/git/ref/heads/main$", _head, (404, 409)),
    "read_commit": Asked("github", "GET", "/git/commits/", lambda: github.read_commit("infrastructure", "0" * 40)),
    "read_paths": Asked("github", "GET", "/git/trees/", lambda: github.read_paths("infrastructure", "main")),
    "create_tree": Asked(
        "github",
        "POST",
        "/git/trees$",
        lambda: github.create_tree("infrastructure", [github.File("a", "b")]),
        kinds=((409, TransientIntegrationError),),
    ),
    "create_commit": Asked(
        "github",
        "POST",
        "/git/commits$",
        lambda: github.create_commit("infrastructure", message="m", tree="t", parents=[], at="2026-01-01T00:00:00Z"),
    ),
    "create_branch": Asked(
        "github", "POST", "/git/refs$", lambda: github.create_branch("infrastructure", "c", "0" * 40)
    ),
    "move_branch": Asked(
        "github", "PATCH", "/git/refs/heads/c$", lambda: github.move_branch("infrastructure", "c", "0" * 40)
    ),
    "delete_branch": Asked(
        "github", "DELETE", "/git/refs/heads/c$", lambda: github.delete_branch("infrastructure", "c", ALLOWED), (404,)
    ),
    "find_pull": Asked("github", "GET", r"/pulls\?", lambda: github.find_pull("infrastructure", "c")),
    "create_pull": Asked(
        "github", "POST", "/pulls$", lambda: github.create_pull("infrastructure", branch="c", title="t", body="b")
    ),
    "read_pull": Asked("github", "GET", "/pulls/9999$", lambda: github.read_pull("infrastructure", 9999)),
    "merge_pull": Asked(
        "github",
        "PUT",
        "/pulls/9999/merge$",
        lambda: github.merge_pull("infrastructure", 9999, commit="0" * 40, title="t"),
        kinds=((409, NotFoundError),),  # it looks at the pull request then, and there is none
    ),
    "close_pull": Asked("github", "GET", "/pulls/9999$", lambda: github.close_pull("infrastructure", 9999, ALLOWED)),
    "set_protection": Asked("github", "PUT", "/protection$", lambda: github.set_protection("infrastructure", ["Test"])),
    "set_team_permission": Asked(
        "github", "PUT", "/teams/web/repos/", lambda: github.set_team_permission("infrastructure", "web", "pull")
    ),
    "set_environment": Asked(
        "github", "PUT", "/environments/c$", lambda: github_actions.set_environment("infrastructure", "c")
    ),
    "list_variables": Asked(
        "github",
        "GET",
        "/environments/iac-plan-dev/variables",
        lambda: github_actions.set_variables("infrastructure", "iac-plan-dev", {}),
    ),
    "create_variable": Asked(
        "github",
        "POST",
        "/environments/iac-plan-dev/variables$",
        lambda: github_actions.set_variables("infrastructure", "iac-plan-dev", {"NEW": "1"}),
    ),
    "update_variable": Asked(
        "github",
        "PATCH",
        "/environments/iac-plan-dev/variables/ARM_CLIENT_ID$",
        lambda: github_actions.set_variables("infrastructure", "iac-plan-dev", {"ARM_CLIENT_ID": "other"}),
    ),
    "find_run": Asked(
        "github",
        "GET",
        "/iac.yml/runs",
        lambda: github_actions.find_run("infrastructure", "iac.yml", "t", "2026-01-01T00:00:00Z"),
    ),
    "find_run_by_id": Asked(
        "github", "GET", "/actions/runs/9999$", lambda: github_actions.find_run_by_id("infrastructure", 9999), (404,)
    ),
    "read_file": Asked(
        "github", "GET", "/contents/README.md", lambda: github.read_file("infrastructure", "README.md", "main"), (404,)
    ),
    "read_token_issuer": Asked(
        "arm",
        "GET",
        "/managedClusters/aks-dev-weu",
        lambda: resource_manager.read_token_issuer(CLUSTER),
        kinds=((404, PermanentIntegrationError),),  # the sentence names the cluster
    ),
    "dispatch": Asked(
        "github", "POST", "/iac.yml/dispatches$", lambda: github_actions.dispatch("infrastructure", "iac.yml", {})
    ),
    "read_run": Asked("github", "GET", "/actions/runs/9999$", lambda: github_actions.read_run("infrastructure", 9999)),
    "read_failure": Asked(
        "github", "GET", "/actions/runs/9999/jobs", lambda: github_actions.read_failure("infrastructure", 9999)
    ),
    "read_namespace": Asked(
        "arm", "GET", "/managedNamespaces/c", lambda: resource_manager.read_namespace(CLUSTER, "c"), (404,)
    ),
    "put_namespace": Asked(
        "arm", "PUT", "/managedNamespaces/c", lambda: resource_manager.put_namespace(CLUSTER, "c", {"location": "x"})
    ),
    "delete_namespace": Asked(
        "arm",
        "DELETE",
        "/managedNamespaces/c",
        lambda: resource_manager.delete_namespace(CLUSTER, "c", ALLOWED),
        (404,),
    ),
    "put_federated_credential": Asked(
        "arm",
        "PUT",
        "/federatedIdentityCredentials/",
        lambda: resource_manager.put_federated_credential(IDENTITY, "iac-plan-dev", issuer="i", subject="s"),
    ),
    "read_federated_credential": Asked(
        "arm",
        "GET",
        "/federatedIdentityCredentials/",
        lambda: resource_manager.read_federated_credential(IDENTITY, "iac-plan-dev"),
        (404,),
    ),
    "read_resource_group": Asked(
        "arm",
        "GET",
        "/resourceGroups/rg-appstore",
        lambda: resource_manager.read_resource_group(SUBSCRIPTION, "rg-appstore"),
        (404,),
    ),
    "list_deleted_vaults": Asked(
        "arm", "GET", "/deletedVaults", lambda: resource_manager.list_deleted_vaults(SUBSCRIPTION)
    ),
    "list_alert_rules": Asked(
        "arm", "GET", "/metricAlerts", lambda: monitor.list_alert_rules(SUBSCRIPTION, "rg-appstore")
    ),
    "count_receivers": Asked(
        "arm", "GET", "/actionGroups/c", lambda: monitor.count_receivers(f"{GROUP}/Microsoft.Insights/actionGroups/c")
    ),
    "read_metric": Asked("arm", "GET", "/Microsoft.Insights/metrics", _metric),
    "find_changes": Asked("servicenow", "GET", "/table/change_request", lambda: servicenow.find_changes("req-1")),
    "create_change": Asked("servicenow", "POST", "/change/normal$", lambda: servicenow.create_change({})),
    "move_change": Asked(
        "servicenow", "GET", "/nextstates$", lambda: servicenow.move_change(CHANGE, servicenow.IMPLEMENT, {})
    ),
    "cancel_change": Asked(
        "servicenow", "PATCH", f"/change/{KEY}$", lambda: servicenow.cancel_change(CHANGE, "undone", ALLOWED)
    ),
    "list_approvals": Asked(
        "servicenow", "GET", "/table/sysapproval_approver", lambda: servicenow.list_approvals(CHANGE)
    ),
    "add_note": Asked("servicenow", "GET", "/table/change_request/", lambda: servicenow.add_note(CHANGE, "note")),
    "check_conflicts": Asked("servicenow", "GET", "/conflict$", lambda: servicenow.check_conflicts(CHANGE)),
    "find_item": Asked("servicenow", "GET", "/table/cmdb_ci_service_auto", lambda: servicenow.find_item("c-api")),
    "put_item": Asked(
        "servicenow",
        "POST",
        "/cmdb/instance/",
        lambda: servicenow.put_item({"name": "c-api", "correlation_id": "req-1"}),
    ),
    "find_folder": Asked("grafana", "GET", "/api/folders/c$", lambda: grafana.find_folder("c"), (404,)),
    "create_folder": Asked("grafana", "POST", "/api/folders$", lambda: grafana.create_folder("c", "c")),
    "find_dashboard": Asked("grafana", "GET", "/api/dashboards/uid/c$", lambda: grafana.find_dashboard("c"), (404,)),
    "put_dashboard": Asked(
        "grafana", "POST", "/api/dashboards/db$", lambda: grafana.put_dashboard("c", "c", {"title": "c"}, "c")
    ),
    "delete_folder": Asked("grafana", "DELETE", "/api/folders/c$", lambda: grafana.delete_folder("c", ALLOWED), (404,)),
    "post_card": Asked("teams", "POST", "/triggers/manual/paths/invoke", lambda: teams.post_card({"type": "x"})),
    "post_message": Asked("slack", "POST", "/chat.postMessage$", lambda: slack.post_message("key", "text", [])),
    "find_message": Asked("slack", "GET", "/conversations.history", lambda: slack.find_message("key", SINCE)),
    "read_permalink": Asked("slack", "GET", "/chat.getPermalink", lambda: slack.read_permalink(POSTED)),
    "check_location": Asked("backstage", "POST", r"\?dryRun=true$", lambda: backstage.check_location(TARGET)),
    "register_location": Asked(
        "backstage", "POST", r"\?onConflict=refresh$", lambda: backstage.register_location(TARGET)
    ),
    "find_locations": Asked("backstage", "GET", "/locations$", lambda: backstage.find_locations(TARGET)),
    "delete_location": Asked(
        "backstage", "DELETE", "/locations/c$", lambda: backstage.delete_location("c", ALLOWED), (404,)
    ),
    "find_entities": Asked(
        "backstage", "POST", "/entities/by-refs$", lambda: backstage.find_entities(["system:default/c"])
    ),
    "find_entities_of": Asked("backstage", "GET", "/entities/by-query", lambda: backstage.find_entities_of(TARGET)),
    "start_task": Asked("backstage", "POST", "/v2/tasks$", lambda: backstage.start_task("template:default/c", {})),
    "find_tasks": Asked(
        "backstage", "GET", r"/v2/tasks\?", lambda: backstage.find_tasks(("requestId", "c"), datetime.now(UTC))
    ),
    "read_task": Asked("backstage", "GET", "/v2/tasks/c$", lambda: backstage.read_task("c")),
    "read_task_failure": Asked("backstage", "GET", "/v2/tasks/c/events$", lambda: backstage.read_failure("c")),
    "cancel_task": Asked(
        "backstage", "POST", "/v2/tasks/c/cancel$", lambda: backstage.cancel_task("c", ALLOWED), (404,)
    ),
    "find_projects": _document("FindBoards", lambda: github_projects.find(SPEC)),
    "find_owner": _document("FindOwner", lambda: github_projects.create(SPEC)),
    "create_project": _document("CreateBoard", lambda: github_projects.create(SPEC)),
    "describe_project": _document("DescribeBoard", lambda: github_projects.configure(NO_BOARD, SPEC)),
    "link_repository": _document("LinkRepository", lambda: github_projects.link_repository(NO_BOARD, SPEC)),
    "read_options": _document("ReadColumns", lambda: github_projects.set_columns(NO_BOARD, [])),
    "set_options": _document("SetColumns", _set_columns),
    "list_drafts": _document("ListItems", lambda: github_projects.list_items(NO_BOARD)),
    "add_drafts": _document("AddItems", lambda: github_projects.add_items(NO_BOARD, [ITEM])),
    "place_drafts": _document("PlaceItems", _place_draft),
    "remove_draft": _document("RemoveItem", lambda: github_projects.remove_item(NO_BOARD, ITEM, ALLOWED)),
    "delete_project": _document("DeleteBoard", lambda: github_projects.delete(NO_BOARD, ALLOWED)),
    "find_team": Asked("azure_boards", "GET", "/teams/cases", lambda: azure_boards.find(SPEC), (404,)),
    "create_team": Asked(
        "azure_boards",
        "POST",
        r"/teams\?",
        lambda: azure_boards.create(SPEC.model_copy(update={"title": "none"})),
    ),
    "create_area": Asked("azure_boards", "POST", r"/Areas\?", _settle, (409,), prepare=_team),
    "set_area": Asked("azure_boards", "PATCH", r"/teamfieldvalues\?", _settle),
    "read_iterations": Asked("azure_boards", "GET", r"/Iterations\?", _settle),
    "set_team_settings": Asked("azure_boards", "PATCH", r"/teamsettings\?", _settle),
    "update_team": Asked("azure_boards", "PATCH", "/teams/c", lambda: azure_boards.link_repository(NO_BOARD, SPEC)),
    "read_board": Asked("azure_boards", "GET", r"/boards/Stories\?", _set_board_columns),
    "set_board_columns": Asked("azure_boards", "PUT", r"/columns\?", _set_board_columns),
    "query_stories": Asked("azure_boards", "POST", "/wiql", lambda: azure_boards.list_items(NO_BOARD)),
    "read_stories": Asked("azure_boards", "GET", r"/workitems\?", _read_stories),
    "create_story": Asked("azure_boards", "POST", r"/workitems/\$", lambda: azure_boards.add_items(NO_BOARD, [ITEM])),
    "move_story": Asked("azure_boards", "PATCH", "/workitems/1", _move_story),
    "delete_story": Asked(
        "azure_boards",
        "DELETE",
        "/workitems/1",
        lambda: azure_boards.remove_item(NO_BOARD, ITEM, ALLOWED),
        (404,),
    ),
    "read_area": Asked("azure_boards", "GET", "/Areas/cases", _remove_area, (404,)),
    "read_areas": Asked("azure_boards", "GET", r"/Areas\?", _remove_area),
    "delete_area": Asked("azure_boards", "DELETE", "/Areas/cases", _remove_area, (404,)),
    "delete_team": Asked("azure_boards", "DELETE", "/teams/", _remove_area, (404,)),
    "read_secret": Asked("key_vault", "GET", "/secrets/", lambda: key_vault.read_secret(VAULT, "github-app-key")),
    "check_member_groups": Asked(
        "microsoft_graph", "POST", "/checkMemberGroups$", lambda: graph.check_member_groups("x", ["g"])
    ),
    "find_person": Asked(
        "microsoft_graph", "GET", "/users/", lambda: graph.find_person("approver@contoso.com"), (404,)
    ),
    "find_service_principal": Asked(
        "microsoft_graph", "GET", r"/servicePrincipals\?", lambda: graph.app_role_holders("api://appstore")
    ),
    "app_role_holders": Asked(
        "microsoft_graph", "GET", "/appRoleAssignedTo", lambda: graph.app_role_holders("api://appstore")
    ),
    "people_in": Asked("microsoft_graph", "GET", "/members", lambda: graph.people_in("g", nested=False)),
    "verify_token": Asked("entra", "GET", "/discovery/v2.0/keys", _token),
    "read_health": Asked(
        "kubernetes", "GET", "/health", lambda: application.read_health("c.dev.apps.contoso.com"), kinds=NOWHERE
    ),
}
REFUSALS = {401: NotAuthorizedError, 403: NotAuthorizedError, 404: NotFoundError, 409: ConflictError}


def dialects() -> dict[str, tuple[int, dict[str, str]]]:
    """Half a minute from now, in every way a vendor may say it."""
    then = datetime.now(UTC) + timedelta(seconds=30)
    return {
        "seconds": (429, {"Retry-After": "30"}),
        "date": (429, {"Retry-After": format_datetime(then, usegmt=True)}),
        "milliseconds": (429, {"retry-after-ms": "30000"}),
        "github's reset": (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(then.timestamp()))}),
        "resource graph": (429, {"x-ms-user-quota-remaining": "0", "x-ms-user-quota-resets-after": "00:00:30"}),
        "unavailable": (503, {"Retry-After": "30"}),
    }


async def _error(world: World, asked: Asked, **fault: object) -> IntegrationError | None:
    """What the call raises under the fault, which must have met it; None when it ends well."""
    began = world.position()
    place = {"method": asked.method, "path": asked.path, "content": asked.content}
    world.fault(system=asked.system, **place, **FOREVER, **fault)
    try:
        await asked.call()
    except IntegrationError as error:
        return error
    finally:
        world.heal()
        _azure_devops._delay().until = 0.0  # what one case asks for is not waited for in the next
        await world.unpause()
        assert [entry for entry in world.calls(began) if entry["fault"]], "the fault met nothing"
    return None


@pytest.mark.parametrize("name", CALLS)
async def test_every_bad_answer_has_its_error_and_is_no_success(world: World, name: str) -> None:
    asked = CALLS[name]
    if asked.prepare:
        await asked.prepare()
    if asked.system == "slack":
        world.use_slack()
    await _refused(world, asked)
    if asked.system in ("github", "github_projects", "arm", "azure_boards", "slack", "teams"):
        await _throttled(world, asked)
    bodies: tuple[object, ...] = ({}, "<html><title>Sign in to your account</title></html>")
    for body in bodies:
        error = await _error(world, asked, mode="body", body=body, headers=LONG)
        assert type(error) is TransientIntegrationError, (body, error)


async def _refused(world: World, asked: Asked) -> None:
    renamed = dict(asked.kinds)
    for status, kind in REFUSALS.items():
        wanted = renamed.get(status, kind)
        error = await _error(world, asked, mode="status", status=status)
        if status in asked.fine:
            assert error is None
            continue
        assert type(error) is wanted, (status, error)
        assert status in renamed or error.call.status_code == status


async def _throttled(world: World, asked: Asked) -> None:
    for dialect, (status, headers) in dialects().items():
        error = await _error(world, asked, mode="status", status=status, headers=headers)
        assert isinstance(error, TransientIntegrationError), (dialect, error)
        assert error.retry_after == pytest.approx(30, abs=3), dialect


async def test_a_vendor_that_is_down_is_transient_everywhere(world: World) -> None:
    """All calls at once, because a client waits between its tries."""
    for name in ("github", "arm", "key_vault", "kubernetes"):
        world.fault(system=name, path="^(?!.*/access_tokens|.*/secrets/)", mode="status", status=502, **FOREVER)
    world.fault(system="key_vault", path="/secrets/other", mode="status", status=502, **FOREVER)
    wanted = {name: asked for name, asked in CALLS.items() if asked.system in ("github", "arm", "kubernetes")}
    outcomes = await asyncio.gather(*(asked.call() for asked in wanted.values()), return_exceptions=True)
    wrong = {
        name: outcome
        for name, outcome in zip(wanted, outcomes, strict=True)
        if type(outcome) is not TransientIntegrationError
    }
    assert not wrong


async def test_a_throttled_post_is_asked_again_once_the_vendor_allows_it(world: World) -> None:
    began = world.position()
    world.fault(system="github", path="/orgs/contoso/repos$", mode="status", status=429, headers={"Retry-After": "1"})
    made = await github.create_repository("throttled-api", "req-1")
    assert made.full_name == "contoso/throttled-api"
    statuses = [entry["status"] for entry in world.calls(began) if entry["url"].endswith("/orgs/contoso/repos")]
    assert statuses == [429, 201]


@pytest.mark.parametrize(
    ("refusal", "kind"),
    [
        ({"type": "RATE_LIMITED", "message": "API rate limit exceeded"}, TransientIntegrationError),
        ({"message": "You have exceeded a secondary rate limit"}, TransientIntegrationError),
        ({"message": "Something went wrong while executing your query."}, TransientIntegrationError),
        ({"type": "NOT_FOUND", "message": "no", "path": ["organization"]}, NotFoundError),
        ({"type": "FORBIDDEN", "message": "Resource not accessible by integration"}, NotAuthorizedError),
        ({"type": "UNPROCESSABLE", "message": "no"}, ConflictError),
        ({"message": "no such field", "extensions": {"code": "undefinedField"}}, PermanentIntegrationError),
        ({"type": "VALIDATION", "message": "no"}, PermanentIntegrationError),
    ],
)
async def test_a_refused_document_is_an_error_although_the_status_is_200(
    world: World, refusal: dict[str, object], kind: type[IntegrationError]
) -> None:
    body = {"data": {"organization": None, "repository": None}, "errors": [refusal]}
    headers = {"x-ratelimit-remaining": "0", "x-ratelimit-reset": str(int(time.time()) + 30)}
    error = await _error(world, CALLS["find_projects"], mode="body", body=body, headers=headers)
    assert type(error) is kind
    if "rate limit" in str(refusal["message"]):
        assert isinstance(error, TransientIntegrationError)
        assert error.retry_after == pytest.approx(30, abs=3)


async def test_of_two_items_in_one_document_the_one_that_was_made_is_found_again(world: World) -> None:
    assert world.github(INFRASTRUCTURE)
    board = await github_projects.create(SPEC)
    items = [ITEM.model_copy(update={"key": key, "title": title}) for key, title in (("one", "One"), ("two", " "))]
    with pytest.raises(ConflictError, match="Title can't be blank"):
        await github_projects.add_items(board, items)
    assert [item.key for item in await github_projects.list_items(board)] == ["one"]
    await github_projects.delete(board, ALLOWED)
    await github_projects.delete(board, ALLOWED)


async def test_lists_are_read_to_the_last_page(world: World) -> None:
    assert world.github(INFRASTRUCTURE)
    board = await github_projects.create(SPEC)
    await github_projects.add_items(board, [ITEM.model_copy(update={"key": f"k{number}"}) for number in range(101)])
    assert len(await github_projects.list_items(board)) == 101
    await github_projects.delete(board, ALLOWED)


@pytest.mark.parametrize("status", [203, 302])
async def test_a_page_to_sign_in_with_means_that_the_identity_is_not_accepted(world: World, status: int) -> None:
    page = "<html><title>Azure DevOps Services | Sign In</title></html>"
    error = await _error(world, CALLS["find_team"], mode="body", status=status, body=page)
    assert type(error) is NotAuthorizedError


async def test_what_azure_devops_asks_for_with_a_success_is_waited_for(world: World) -> None:
    team = {"id": "c", "name": "cases", "description": ""}
    world.fault(system="azure_boards", mode="body", body=team, headers={"Retry-After": "1"})
    began = time.monotonic()  # it says from when on: from its answer, which comes after this
    assert [board.title for board in await azure_boards.find(SPEC)] == ["cases"]
    await azure_boards.find(SPEC)
    assert time.monotonic() - began >= 1


STORAGE: dict[str, Callable[[], Awaitable[object]]] = {
    "table: read": lambda: requests.find("down-api", "req-1"),
    "table: write": lambda: reservations.close("web", "req-1"),
    "blob: read": lambda: blobs.read_document("x.json"),
    "blob: artefact": lambda: blobs.read_artefact("run", "result.json"),
    "blob: write": lambda: blobs.write_document("x.json", b"{}"),
}


@pytest.mark.long
async def test_storage_that_is_down_is_transient_and_does_not_hold_an_activity_for_long(world: World) -> None:
    world.fault(system="storage", mode="status", status=503, **FOREVER)
    started = time.monotonic()
    outcomes = await asyncio.gather(*(call() for call in STORAGE.values()), return_exceptions=True)
    assert {name: type(o) for name, o in zip(STORAGE, outcomes, strict=True)} == dict.fromkeys(
        STORAGE, TransientIntegrationError
    )
    assert time.monotonic() - started < 20


async def test_a_managed_identity_that_does_not_answer_is_transient(world: World) -> None:
    world.fault(path="/msi/token", mode="status", status=400, **FOREVER)
    with pytest.raises(TransientIntegrationError):
        await resource_manager.list_deleted_vaults(SUBSCRIPTION)
    with pytest.raises(TransientIntegrationError):
        await key_vault.read_secret(VAULT, "github-app-key")


async def test_a_missing_blob_is_said_to_be_missing(world: World) -> None:
    assert world.github(INFRASTRUCTURE)
    with pytest.raises(NotFoundError):
        await blobs.read_artefact("no-such-run", "result.json")
    with pytest.raises(PermanentIntegrationError):
        await key_vault.read_secret(VAULT, "no-such-secret")
