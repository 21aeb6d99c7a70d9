"""Resource ids: case-insensitive, casing preserved.

https://learn.microsoft.com/azure/azure-resource-manager/management/resource-name-rules
"""

from dataclasses import dataclass
from functools import cached_property

GROUP_TYPE = "Microsoft.Resources/resourceGroups"
SUBSCRIPTION_TYPE = "Microsoft.Resources/subscriptions"


@dataclass(frozen=True)
class ResourceId:
    """A path below management.azure.com; without a name it is the collection of that type at `scope`."""

    path: str
    type: str
    name: str
    scope: str  # the parent resource, group or subscription
    is_extension: bool = False  # .../providers/A/b/c/providers/Microsoft.Authorization/locks/d

    @property
    def key(self) -> str:
        return self.path.lower()

    @property
    def is_collection(self) -> bool:
        return not self.name

    @property
    def is_group(self) -> bool:
        return self.type == GROUP_TYPE

    @cached_property
    def segments(self) -> list[str]:
        return self.path.strip("/").split("/")

    @property
    def subscription(self) -> str:
        return self.segments[1] if len(self.segments) > 1 else ""

    @property
    def group_path(self) -> str:
        """The id of the resource group this lies in, or ""."""
        if len(self.segments) < 4 or self.segments[2].lower() != "resourcegroups":
            return ""
        return "/" + "/".join(self.segments[:4])

    def is_type(self, name: str) -> bool:
        return self.type.lower() == name.lower()


def parse(path: str) -> ResourceId | None:
    """Read a path; None when it is no resource id of a subscription."""
    parts = path.strip("/").split("/")
    if len(parts) < 2 or parts[0].lower() != "subscriptions" or not all(parts):
        return None
    path = "/" + "/".join(parts)
    providers = [index for index, part in enumerate(parts) if part.lower() == "providers"]
    if not providers:
        return _without_provider(path, parts)
    at = providers[-1]
    namespace, rest = parts[at + 1 : at + 2], parts[at + 2 :]
    if not namespace or not rest:
        return None
    named = len(rest) % 2 == 0
    kind = "/".join([*namespace, *rest[::2]])
    parents = rest[:-2] if named else rest[:-1]
    scope = parts[: at + 2] + parents if parents else parts[:at]
    return ResourceId(path, kind, rest[-1] if named else "", "/" + "/".join(scope), len(providers) > 1)


def _without_provider(path: str, parts: list[str]) -> ResourceId | None:
    subscription = "/" + "/".join(parts[:2])
    if len(parts) == 2:
        return ResourceId(subscription, SUBSCRIPTION_TYPE, parts[1], "")
    if parts[2].lower() == "resources" and len(parts) == 3:
        return ResourceId(path, "", "", subscription)
    if parts[2].lower() != "resourcegroups":
        return None
    if len(parts) <= 4:
        return ResourceId(path, GROUP_TYPE, parts[3] if len(parts) == 4 else "", subscription)
    group = "/" + "/".join(parts[:4])
    return ResourceId(path, "", "", group) if parts[4].lower() == "resources" and len(parts) == 5 else None
