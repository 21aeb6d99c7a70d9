"""Microsoft Graph: who is in which group, and who holds which app role of this application.

Needs the application permissions GroupMember.Read.All, Application.Read.All and User.Read.All: whether an account is
enabled is no part of a basic profile.
Documentation: https://learn.microsoft.com/graph/api/overview
"""

import asyncio
from collections.abc import Mapping, Sequence
from urllib.parse import quote

from pydantic import Field

from shared.clients._http import Answer, Call, Vendor, azure_headers
from shared.errors import NotFoundError, PermanentIntegrationError, VendorCall
from shared.models import Model

_HOST = "https://graph.microsoft.com"
_AT_ONCE = 20  # the service takes no more ids in one call
_IN_FILTER = 15  # nor more values of one expression in a filter
_PAGE = "999"
_MOST_PAGES = 100
USER, GROUP = "User", "Group"


class _Groups(Model):
    value: list[str]


class _Page(Model):
    value: list[dict[str, object]]
    next_link: str | None = Field(default=None, alias="@odata.nextLink")


class _AppRole(Model):
    id: str
    value: str | None = None


class _ServicePrincipal(Model):
    id: str
    app_roles: list[_AppRole]


class _ServicePrincipals(Model):
    value: list[_ServicePrincipal]


class _Assignment(Model):
    app_role_id: str
    principal_id: str
    principal_type: str


class _Member(Model):
    """A member of a group, or a user; properties that our identity may not read come as null."""

    id: str
    kind: str = Field(default="", alias="@odata.type")
    account_enabled: bool | None = None


class Person(Model):
    """A user of the directory."""

    id: str
    user_principal_name: str


async def _authorise() -> dict[str, str]:
    return await azure_headers(f"{_HOST}/.default")


def _vendor() -> Vendor:
    return Vendor("microsoft graph", _HOST, _authorise)


async def check_member_groups(object_id: str, groups: Sequence[str]) -> list[str]:
    """Those of the groups that a person or service principal is in, nested membership included.

    Documentation: https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups

    Raises:
        IntegrationError: Graph does not answer, or our identity may not ask.
    """
    path = f"/v1.0/directoryObjects/{quote(object_id, safe='')}/checkMemberGroups"
    parts = [groups[start : start + _AT_ONCE] for start in range(0, len(groups), _AT_ONCE)]
    calls = [Call("check member groups", "POST", path, {"groupIds": list(part)}) for part in parts]
    answers = await asyncio.gather(*(_vendor().read(call, _Groups) for call in calls))
    return [group for answer in answers for group in answer.value]


async def find_person(name: str) -> Person | None:
    """The user with this object id or sign-in name; None for a service principal, a group, or nobody.

    Documentation: https://learn.microsoft.com/graph/api/user-get
    """
    params = {"$select": "id,userPrincipalName"}
    call = Call("get user", "GET", f"/v1.0/users/{quote(name, safe='')}", params=params)
    try:
        return await _vendor().read(call, Person)
    except NotFoundError:
        return None


async def app_role_holders(audience: str) -> dict[str, list[tuple[str, str]]]:
    """Who is assigned which app role of the application with this identifier: by role, type and object id of each.

    Documentation: https://learn.microsoft.com/graph/api/serviceprincipal-list-approleassignedto
    """
    quoted = audience.replace("'", "''")
    params = {"$filter": f"servicePrincipalNames/any(n:n eq '{quoted}')", "$select": "id,appRoles"}
    call = Call("find service principal", "GET", "/v1.0/servicePrincipals", params=params)
    found = (await _vendor().read(call, _ServicePrincipals)).value
    if len(found) != 1:
        detail = f"{len(found)} enterprise applications have the identifier {audience}"
        raise PermanentIntegrationError(VendorCall("microsoft graph", call.operation, 200), detail)
    names = {role.id: role.value for role in found[0].app_roles}
    path = f"/v1.0/servicePrincipals/{found[0].id}/appRoleAssignedTo"
    holders: dict[str, list[tuple[str, str]]] = {}
    for assignment in await _pages("list app role assignments", path, {"$top": _PAGE}, _Assignment):
        if name := names.get(assignment.app_role_id):
            holders.setdefault(name, []).append((assignment.principal_type, assignment.principal_id))
    return holders


async def people_in(group: str, *, nested: bool) -> list[str]:
    """Object ids of the users in a group whose account is enabled; with those in its groups when ``nested``.

    Documentation: https://learn.microsoft.com/graph/api/group-list-members and .../group-list-transitivemembers
    """
    kind = "transitiveMembers" if nested else "members"
    operation, params = f"list {kind}", {"$select": "id,accountEnabled", "$top": _PAGE}
    rows = await _pages(operation, f"/v1.0/groups/{group}/{kind}", params, _Member)
    return _enabled(operation, [member for member in rows if member.kind == "#microsoft.graph.user"])


async def enabled(people: Sequence[str]) -> list[str]:
    """Those of the users whose account is enabled; who was deleted is not among them.

    Documentation: https://learn.microsoft.com/graph/api/user-list
    """
    parts = [people[start : start + _IN_FILTER] for start in range(0, len(people), _IN_FILTER)]
    filters = [", ".join("'{}'".format(person.replace("'", "''")) for person in part) for part in parts]
    operation = "list users"
    pages = await asyncio.gather(
        *(
            _pages(operation, "/v1.0/users", {"$filter": f"id in ({ids})", "$select": "id,accountEnabled"}, _Member)
            for ids in filters
        )
    )
    return _enabled(operation, [person for page in pages for person in page])


def _enabled(operation: str, people: Sequence[_Member]) -> list[str]:
    if any(person.account_enabled is None for person in people):
        call = VendorCall("microsoft graph", operation, 200)
        raise PermanentIntegrationError(call, "accountEnabled is hidden: our identity needs User.Read.All")
    return [person.id for person in people if person.account_enabled]


async def _pages[T](operation: str, path: str, params: Mapping[str, str], shape: type[T]) -> list[T]:
    """Every page of a list. Documentation: https://learn.microsoft.com/graph/paging."""
    call = Call(operation, "GET", path, params=params)
    found, pages = list[T](), 0
    async for page in _vendor().pages(call, _Page):
        pages += 1
        if pages > _MOST_PAGES:
            detail = f"more than {_MOST_PAGES} pages"
            raise PermanentIntegrationError(VendorCall("microsoft graph", operation, 200), detail)
        found += [_vendor().shaped(call, Answer(200, {}, row), shape) for row in page.value]
    return found
