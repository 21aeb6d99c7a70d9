"""ServiceNow: incidents, each found again by its correlation id.

Documentation: https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html
"""

from collections.abc import Mapping

from pydantic import Field

from shared.clients._http import Call
from shared.clients._servicenow import base, vendor
from shared.models import Model

_TABLE = "/api/now/table/incident"
RESOLVED, CLOSED, CANCELED = "6", "7", "8"
_FIELDS = "sys_id,number,state,correlation_id"


class Incident(Model):
    """An incident: its key, its number for people, where it stands."""

    sys_id: str = Field(min_length=32, max_length=32)
    number: str
    state: str
    correlation_id: str

    @property
    def open(self) -> bool:
        """Whether somebody still has to look at it."""
        return self.state not in (RESOLVED, CLOSED, CANCELED)


class _Rows(Model):
    result: list[Incident]


class _Row(Model):
    result: Incident


async def find_incidents(correlation_id: str) -> list[Incident]:
    """Incidents that carry a correlation id, the oldest first; each row's own id is compared.

    An instance ignores a condition that it does not understand and then answers with any rows.
    """
    params = {
        "sysparm_query": f"correlation_id={correlation_id.replace('^', '^^')}^ORDERBYsys_created_on",
        "sysparm_fields": _FIELDS,
        "sysparm_limit": "10",
    }
    found = await vendor().read(Call("find incident", "GET", _TABLE, params=params), _Rows)
    ours = [incident for incident in found.result if incident.correlation_id == correlation_id]
    return sorted(ours, key=lambda incident: incident.number)


async def create_incident(fields: Mapping[str, str]) -> Incident:
    """Create an incident."""
    call = Call("create incident", "POST", _TABLE, dict(fields), params={"sysparm_fields": _FIELDS}, expect=(201,))
    return (await vendor().read(call, _Row)).result


async def resolve_incident(incident: Incident, notes: str) -> None:
    """Resolve an incident; one that is resolved or closed stays as it is."""
    if not incident.open:
        return
    fields = {"state": RESOLVED, "close_code": "Resolved by request", "close_notes": notes, "work_notes": notes}
    path = f"{_TABLE}/{incident.sys_id}"
    await vendor().read(Call("resolve incident", "PATCH", path, fields, params={"sysparm_fields": _FIELDS}), _Row)


async def close_duplicate(incident: Incident, first: Incident) -> None:
    """Cancel an incident that was opened twice at the same moment."""
    fields = {"state": CANCELED, "work_notes": f"Duplicate of {first.number}."}
    path = f"{_TABLE}/{incident.sys_id}"
    await vendor().read(Call("cancel incident", "PATCH", path, fields, params={"sysparm_fields": _FIELDS}), _Row)


def link(incident: Incident) -> str:
    """The incident in the instance's own pages."""
    return f"{base()}/nav_to.do?uri=incident.do?sys_id={incident.sys_id}"
