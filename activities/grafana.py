"""The application's folder and dashboards in Grafana."""

from typing import Any

from activities._activity import activity
from shared import archetypes, shields
from shared import plan as plans
from shared.clients import grafana
from shared.errors import ConflictError
from shared.guard import Action
from shared.models.plan import MadeObject
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Nothing
from shared.models.undo import Removed
from shared.names import environment_names
from shared.register import requests
from shared.settings import load


def _made(kind: str, name: str) -> list[MadeObject]:
    return [MadeObject(system="grafana", type=kind, name=name)]


@activity
async def ensure_folder(data: ActivityInput) -> Nothing:
    """Create the application's folder.

    Idempotency: its uid is the request id; a folder of the same title with another uid is a conflict.
    """
    name, request_id = data.run.application, data.run.request_id
    folder = await grafana.find_folder(request_id) or await _create_folder(request_id, name)
    return Nothing(detail=folder.title, link=grafana.address(folder.url), made=_made("folder", name))


async def _create_folder(uid: str, title: str) -> grafana.Folder:
    """Create it, or return what another run of this very step created a moment earlier."""
    try:
        return await grafana.create_folder(uid, title)
    except ConflictError:
        found = await grafana.find_folder(uid)
        if found is None:
            raise
        return found


@activity
async def ensure_dashboards(data: ActivityInput) -> Nothing:
    """Put the archetype's dashboards into the folder, their variables set to this application.

    Idempotency: uid from request id and dashboard; one that is the same already is not written again.
    """
    record = await requests.get(data.run.application, data.run.request_id)
    link = None
    for name, dashboard in archetypes.dashboards(record.body.archetype).items():
        uid = f"{record.id}-{name}"  # Grafana refuses more than 40 characters
        wanted = {**dashboard, "templating": {"list": _variables(record)}}
        link = await _put(uid, record, wanted)
    return Nothing(detail="dashboards", link=link, made=_made("dashboards", record.application))


async def _put(uid: str, record: RequestRecord, wanted: dict[str, Any]) -> str:
    found = await grafana.find_dashboard(uid)
    if found and found[1] == record.id and wanted.items() <= found[0].items():
        return grafana.address(f"/d/{uid}")
    return await grafana.put_dashboard(uid, record.id, wanted, f"App Store, request {record.id}")


def _variables(record: RequestRecord) -> list[dict[str, Any]]:
    """Constants of the first environment; a dashboard's own text stays as the archetype has it."""
    environment = str(record.body.environments[0])
    names, zone = environment_names(record.application, environment, record.id), plans.zone_of(record, environment)
    values = {
        "data_source": load(grafana.GrafanaSettings).data_source,
        "subscription": zone.subscription_id,
        "resource_group": names.resource_group,
        "namespace": names.namespace,
        "database": names.postgres,
        "key_vault": names.key_vault,
        "log_workspace": zone.log_workspace_id,
        **plans.further_names(record, environment),
    }
    return [{"name": name, "type": "constant", "hide": 2, "query": value} for name, value in values.items()]


@activity
async def remove_folder(data: ActivityInput) -> Removed:
    """Delete the folder with its dashboards, if this request made it.

    Idempotency: absent is success; the uid is the request id, so that no other folder can be meant.
    """
    request_id = data.run.request_id
    folder = await grafana.find_folder(request_id)
    if folder is None:
        return Removed(detail="there is no folder")
    action = Action("undo", "folder", folder.title, request_id)
    allowed = await shields.allow(action, application=data.run.application, owned_by=folder.uid)
    await grafana.delete_folder(request_id, allowed)
    return Removed(detail=folder.title)
