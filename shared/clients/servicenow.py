"""ServiceNow: change requests and configuration items.

Documentation: https://www.servicenow.com/docs/r/api-reference/rest-apis/change-management-api.html
"""

from collections.abc import Mapping
from contextlib import suppress
from typing import Any

from pydantic import Field

from shared.clients._http import Answer, Call
from shared.clients._servicenow import ServiceNowSettings, base, vendor
from shared.errors import ConflictError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model
from shared.settings import load

CHANGE = "change_request"
_CHANGES = "/api/sn_chg_rest/v1/change"
ASSESS, AUTHORIZE, IMPLEMENT, REVIEW, CLOSED, CANCELED = "-4", "-3", "-1", "0", "3", "4"
APPROVED, REJECTED = "approved", "rejected"
RETIRED = "6"
# The ways of the standard models, until the state that a step wants.
_ORDER = ("-5", "-4", "-3", "-2", "-1", "0", "3")


class Change(Model):
    """A change request: its key, its number for people, where it stands, and what it is about."""

    sys_id: str = Field(min_length=32, max_length=32)
    number: str
    state: str
    correlation_id: str
    correlation_display: str = ""
    approval: str = ""
    sys_created_by: str = ""


class ChangeApproval(Model):
    """What one user of the instance was asked about a change, and said."""

    state: str
    change: str = Field(alias="sysapproval")
    user_name: str = Field(alias="approver.user_name")
    email: str = Field(default="", alias="approver.email")
    comments: str = ""


class ConfigurationItem(Model):
    """A configuration item of the CMDB."""

    sys_id: str = Field(min_length=32, max_length=32)
    name: str
    correlation_id: str = ""
    operational_status: str = ""


class _Rows(Model):
    result: list[Change]


class _Approvals(Model):
    result: list[ChangeApproval]


class _Notes(Model):
    work_notes: str


class _NotesAnswer(Model):
    result: _Notes


class _Items(Model):
    result: list[ConfigurationItem]


class _Item(Model):
    attributes: dict[str, Any]


class _ItemAnswer(Model):
    result: _Item


class _Check(Model):
    status: str
    last_run: str
    job_status: str = ""
    conflicts: list[dict[str, Any]] = []


class _CheckAnswer(Model):
    result: _Check


class _Started(Model):
    result: str


class _ChangeAnswer(Model):
    result: dict[str, Any]


def configured() -> bool:
    """Whether records are kept in ServiceNow at all."""
    return bool(load(ServiceNowSettings).instance)


def approved_beforehand() -> bool:
    """Whether changes are standard ones, which nobody approves one by one."""
    return bool(load(ServiceNowSettings).change_template)


def assignment_group() -> str:
    """Group that gets the changes; empty when the instance's own rules decide."""
    return load(ServiceNowSettings).assignment_group


def link(change: Change) -> str:
    """The change in the instance's own pages."""
    return f"{base()}/nav_to.do?uri=change_request.do?sys_id={change.sys_id}"


async def find_changes(correlation_id: str) -> list[Change]:
    """Changes that carry a correlation id, the oldest first.

    An instance ignores a condition that it does not understand and then answers with any rows, so that each row's own
    correlation id is compared.

    Documentation: https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html
    """
    params = {
        "sysparm_query": f"correlation_id={correlation_id.replace('^', '^^')}^ORDERBYsys_created_on",
        "sysparm_fields": "sys_id,number,state,correlation_id,correlation_display,approval,sys_created_by",
        "sysparm_limit": "10",
    }
    call = Call("find change", "GET", f"/api/now/table/{CHANGE}", params=params)
    found = await vendor().read(call, _Rows)
    ours = [change for change in found.result if change.correlation_id == correlation_id]
    return sorted(ours, key=lambda change: change.number)  # creation times have whole seconds


async def create_change(fields: Mapping[str, str]) -> Change:
    """Create a normal change, or a standard one when a template is configured.

    Raises:
        PermanentIntegrationError: the instance ignored a field: the change would not say what it is about.
    """
    template = load(ServiceNowSettings).change_template
    path = f"{_CHANGES}/standard/{template}" if template else f"{_CHANGES}/normal"
    call = Call("create change", "POST", path, dict(fields), expect=(200, 201))
    return _change(call, (await vendor().read(call, _ChangeAnswer)).result)


async def move_change(change: Change, state: str, fields: Mapping[str, str]) -> Change:
    """Move a change towards a state by the steps of its model; a change that is there or further stays.

    Raises:
        ConflictError: the model, or an approval that is missing at the instance, does not allow the next step.
    """
    if change.state not in _ORDER:
        detail = f"{change.number} was cancelled or is in a state of its own ({change.state}) at the instance"
        raise ConflictError(VendorCall("servicenow", "move change", 200), detail)
    while _ORDER.index(change.state) < _ORDER.index(state):
        following = await _next_state(change)
        call = Call("move change", "PATCH", f"{_CHANGES}/{change.sys_id}", {"state": following, **fields})
        moved = _change(call, (await vendor().read(call, _ChangeAnswer)).result)
        if moved.state == change.state:
            detail = f"{change.number} stays in state {change.state}: an approval is missing at the instance"
            raise ConflictError(VendorCall("servicenow", call.operation, 200), detail)
        change = moved
    return change


async def _next_state(change: Change) -> str:
    call = Call("read next states", "GET", f"{_CHANGES}/{change.sys_id}/nextstates")
    result = (await vendor().read(call, _ChangeAnswer)).result
    offered = [str(value) for value in result.get("available_states", []) if str(value) in _ORDER]
    later = [value for value in offered if _ORDER.index(value) > _ORDER.index(change.state)]
    if not later:
        detail = f"{change.number} cannot leave state {change.state}: it waits for an approval at the instance"
        raise ConflictError(VendorCall("servicenow", call.operation, 200), detail)
    return min(later, key=_ORDER.index)


async def put_up_change(change: Change) -> Change:
    """Ask the instance for its approvals: as far towards Authorize as its model goes without them."""
    change = await move_change(change, ASSESS, {})
    with suppress(ConflictError):  # it waits for the approval that was asked for
        change = await move_change(change, AUTHORIZE, {})
    return change


async def list_approvals(change: Change) -> list[ChangeApproval]:
    """What each approver was asked about a change, and said.

    As for changes, each row's own reference is compared. The fields of the approver are read through the reference.

    Documentation: https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html
    """
    params = {
        "sysparm_query": f"sysapproval={change.sys_id}",
        "sysparm_fields": "state,sysapproval,approver.user_name,approver.email,comments",
        "sysparm_exclude_reference_link": "true",
        "sysparm_limit": "100",
    }
    call = Call("list approvals", "GET", "/api/now/table/sysapproval_approver", params=params)
    found = (await vendor().read(call, _Approvals)).result
    return [approval for approval in found if approval.change == change.sys_id]


async def add_note(change: Change, note: str) -> bool:
    """Add a work note unless the change has one that contains the note's first line; returns whether it was added.

    A journal field is read by its display value, which holds every entry.
    """
    path, params = f"/api/now/table/{CHANGE}/{change.sys_id}", {"sysparm_fields": "work_notes"}
    read = Call("read work notes", "GET", path, params=params | {"sysparm_display_value": "true"})
    if note.partition("\n")[0] in (await vendor().read(read, _NotesAnswer)).result.work_notes:
        return False
    call = Call("add work note", "PATCH", f"{_CHANGES}/{change.sys_id}", {"work_notes": note})
    _change(call, (await vendor().read(call, _ChangeAnswer)).result)
    return True


async def cancel_change(change: Change, reason: str, permit: Permit) -> None:
    """Cancel a change that has not been reviewed; what is closed or cancelled stays as it is."""
    if change.state in (REVIEW, CLOSED, CANCELED):
        return
    body = {"state": CANCELED, "work_notes": f"{permit.action.kind}: {reason}"}
    call = Call("cancel change", "PATCH", f"{_CHANGES}/{change.sys_id}", body)
    await vendor().read(call, _ChangeAnswer)


async def require_no_conflict(change: Change) -> None:
    """Demand that the instance's own check found nothing against the change; the first call starts the check.

    Raises:
        TransientIntegrationError: the check still runs.
        ConflictError: something stands against the change.
    """
    call, found = VendorCall("servicenow", "check conflicts", 200), await check_conflicts(change)
    if found is None:
        raise TransientIntegrationError(call, f"the conflict check of {change.number} still runs")
    if found:
        raise ConflictError(call, f"{change.number} conflicts with {', '.join(found)}")


async def check_conflicts(change: Change) -> list[str] | None:
    """What the instance's check found: changes and calendars that stand against it; None while the check runs.

    The instance checks by itself; the first call starts it.
    """
    path = f"{_CHANGES}/{change.sys_id}/conflict"
    check = (await vendor().read(Call("read conflicts", "GET", path), _CheckAnswer)).result
    if not check.last_run:
        await vendor().read(Call("check conflicts", "POST", path, expect=(200, 202)), _Started)
        return None
    return [str(conflict.get("type", "conflict")) for conflict in check.conflicts] if check.job_status == "2" else None


async def find_item(name: str) -> ConfigurationItem | None:
    """The configuration item of this name in the class of applications.

    Raises:
        ConflictError: there are several, so that nobody can say which one is meant.
    """
    settings = load(ServiceNowSettings)
    params = {
        "sysparm_query": f"name={name}",
        "sysparm_fields": "sys_id,name,correlation_id,operational_status",
        "sysparm_limit": "10",
    }
    call = Call("find configuration item", "GET", f"/api/now/table/{settings.service_class}", params=params)
    found = [item for item in (await vendor().read(call, _Items)).result if item.name == name]
    if len(found) > 1:
        detail = f"{len(found)} configuration items are named {name}"
        raise ConflictError(VendorCall("servicenow", call.operation, 200), detail)
    return found[0] if found else None


async def put_item(attributes: Mapping[str, str]) -> ConfigurationItem:
    """Create or update an application's configuration item by the identification engine, which matches by name.

    Documentation: https://www.servicenow.com/docs/r/api-reference/rest-apis/cmdb-instance-api.html

    Raises:
        PermanentIntegrationError: the instance answered with another item, or did not take our correlation id.
    """
    call = _item_call("put configuration item", "POST", "", attributes)
    attributes_now = (await vendor().read(call, _ItemAnswer)).result.attributes
    item = vendor().shaped(call, Answer(200, {}, attributes_now), ConfigurationItem)
    if (item.name, item.correlation_id) != (attributes["name"], attributes["correlation_id"]):
        detail = f"the instance answered with {item.name} of {item.correlation_id or 'nobody'}"
        raise PermanentIntegrationError(VendorCall("servicenow", call.operation, 201), detail)
    return item


async def retire_item(item: ConfigurationItem, permit: Permit) -> None:
    """Mark a configuration item as retired: a CMDB keeps what there once was."""
    attributes = {"operational_status": RETIRED}
    call = _item_call(f"retire {permit.action.kind}", "PATCH", f"/{item.sys_id}", attributes)
    await vendor().read(call, _ItemAnswer)


def _item_call(operation: str, method: str, path: str, attributes: Mapping[str, str]) -> Call:
    settings = load(ServiceNowSettings)
    body = {"attributes": dict(attributes), "source": settings.data_source}
    return Call(operation, method, f"/api/now/cmdb/instance/{settings.service_class}{path}", body, expect=(200, 201))


def _change(call: Call, result: Mapping[str, Any]) -> Change:
    """A change as the Change API shows it: every field with a value and a value for people.

    Raises:
        PermanentIntegrationError: the instance ignored a field that was sent.
    """
    meta = result.get("__meta")
    ignored = meta.get("ignoredFields", []) if isinstance(meta, dict) else []
    if ignored:
        detail = f"the instance ignored {', '.join(map(str, ignored))}: our user may not write it"
        raise PermanentIntegrationError(VendorCall("servicenow", call.operation, 200), detail)
    values = {name: _text(field.get("value")) for name, field in result.items() if isinstance(field, dict)}
    return vendor().shaped(call, Answer(200, {}, values), Change)


def _text(value: object) -> object:
    """The Change API has numbers where the Table API has text."""
    return f"{value:g}" if isinstance(value, int | float) else value
