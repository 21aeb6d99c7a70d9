"""Azure Managed Grafana: a folder and dashboards per application.

Documentation: https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/dashboard/
"""

from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Call, Vendor, azure_headers
from shared.errors import ConflictError, VendorCall
from shared.guard import Permit
from shared.models import Model
from shared.settings import Settings, load

# The application id of Azure Managed Grafana in every tenant.
_SCOPE = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f/.default"
_ABSENT = 404


class GrafanaSettings(Settings):
    """Azure Managed Grafana. Without an endpoint there are no dashboards."""

    model_config = SettingsConfigDict(env_prefix="GRAFANA_", frozen=True, extra="ignore")

    endpoint: str = Field(
        default="", description="Address of the workspace (`https://...grafana.azure.com`); empty: not used."
    )
    data_source: str = Field(default="azure-monitor-oob", description="uid of the data source Azure Monitor.")


class Folder(Model):
    """A folder: its key, which we choose, and its title for people."""

    uid: str
    title: str
    url: str


class _Meta(Model):
    url: str
    folder_uid: str = ""


class _Dashboard(Model):
    meta: _Meta
    dashboard: dict[str, Any]


class _Deleted(Model):
    title: str


class _Saved(Model):
    uid: str
    url: str
    status: str


def configured() -> bool:
    """Whether there are dashboards at all."""
    return bool(load(GrafanaSettings).endpoint)


def address(path: str) -> str:
    """A page of the workspace."""
    return f"{load(GrafanaSettings).endpoint.rstrip('/')}{path}"


async def _authorise() -> dict[str, str]:
    return await azure_headers(_SCOPE)


def _vendor() -> Vendor:
    return Vendor("grafana", f"{load(GrafanaSettings).endpoint.rstrip('/')}/api", _authorise, traced=True)


async def find_folder(uid: str) -> Folder | None:
    """The folder with this uid, or None."""
    call = Call("read folder", "GET", f"/folders/{uid}", expect=(200, _ABSENT))
    answer = await _vendor().call(call)
    return None if answer.status == _ABSENT else _vendor().shaped(call, answer, Folder)


async def create_folder(uid: str, title: str) -> Folder:
    """Create a folder.

    Documentation: https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/folder/

    Raises:
        ConflictError: the uid or the title is taken.
    """
    return await _vendor().read(Call("create folder", "POST", "/folders", {"uid": uid, "title": title}), Folder)


async def find_dashboard(uid: str) -> tuple[dict[str, Any], str] | None:
    """The dashboard with this uid and the uid of its folder, or None."""
    call = Call("read dashboard", "GET", f"/dashboards/uid/{uid}", expect=(200, _ABSENT))
    answer = await _vendor().call(call)
    if answer.status == _ABSENT:
        return None
    found = _vendor().shaped(call, answer, _Dashboard)
    return found.dashboard, found.meta.folder_uid


async def put_dashboard(uid: str, folder: str, dashboard: dict[str, Any], message: str) -> str:
    """Create or replace a dashboard; returns its page.

    Raises:
        ConflictError: Grafana kept something else.
    """
    body = {"dashboard": {**dashboard, "uid": uid, "id": None}, "folderUid": folder, "overwrite": True}
    call = Call("put dashboard", "POST", "/dashboards/db", body | {"message": message})
    saved = await _vendor().read(call, _Saved)
    if (saved.uid, saved.status) != (uid, "success"):
        raise ConflictError(VendorCall("grafana", call.operation, 200), f"Grafana kept {saved.uid}: {saved.status}")
    return address(saved.url)


async def delete_folder(uid: str, permit: Permit) -> None:
    """Delete a folder with its dashboards; absent is success."""
    call = Call(f"delete {permit.action.kind}", "DELETE", f"/folders/{uid}", expect=(200, _ABSENT))
    answer = await _vendor().call(call)
    if answer.status != _ABSENT:
        _vendor().shaped(call, answer, _Deleted)
