"""Microsoft Graph: which groups somebody is in, when there are too many for a token.

Needs the application permission GroupMember.Read.All.
Documentation: https://learn.microsoft.com/graph/api/directoryobject-checkmembergroups
"""

import asyncio
from collections.abc import Sequence

from shared.clients._http import Call, Vendor, azure_headers
from shared.models import Model

_AT_ONCE = 20  # the service takes no more ids in one call


class _Groups(Model):
    value: list[str]


async def _authorise() -> dict[str, str]:
    return await azure_headers("https://graph.microsoft.com/.default")


async def check_member_groups(object_id: str, groups: Sequence[str]) -> list[str]:
    """Those of the groups that a person or service principal is in, nested membership included.

    Raises:
        IntegrationError: Graph does not answer, or our identity may not ask.
    """
    vendor = Vendor("microsoft graph", "https://graph.microsoft.com/v1.0", _authorise)
    path = f"/directoryObjects/{object_id}/checkMemberGroups"
    parts = [groups[start : start + _AT_ONCE] for start in range(0, len(groups), _AT_ONCE)]
    calls = [Call("check member groups", "POST", path, {"groupIds": list(part)}) for part in parts]
    answers = await asyncio.gather(*(vendor.read(call, _Groups) for call in calls))
    return [group for answer in answers for group in answer.value]
