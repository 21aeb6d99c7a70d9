"""Starting and stopping what Azure bills while it runs: PostgreSQL servers, AKS clusters, virtual machines.

Documentation: https://learn.microsoft.com/rest/api/postgresql/servers/stop,
https://learn.microsoft.com/rest/api/aks/managed-clusters/stop and
https://learn.microsoft.com/rest/api/compute/virtual-machines/deallocate
"""

from dataclasses import dataclass
from typing import Any

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.guard import Permit


@dataclass(frozen=True)
class Switch:
    """How a type is switched.

    Attributes:
        version: API version.
        start, stop: names of the actions. A machine that is only powered off is billed on.
        state: where its properties say how it stands.
        view: query that shows this.
    """

    version: str
    start: str
    stop: str
    state: tuple[str, ...]
    view: str = ""


SWITCHES = {
    "microsoft.dbforpostgresql/flexibleservers": Switch("2026-10-01", "start", "stop", ("state",)),
    "microsoft.containerservice/managedclusters": Switch("2026-08-01", "start", "stop", ("powerState", "code")),
    "microsoft.compute/virtualmachines": Switch(
        "2026-03-01", "start", "deallocate", ("instanceView", "statuses"), view="instanceView"
    ),
}


_ARM = arm()


def switch_of(kind: str) -> Switch | None:
    """How a resource type is switched; None when it is not."""
    return SWITCHES.get(kind.lower())


async def is_running(resource: str, switch: Switch) -> bool | None:
    """Whether it runs; None while it changes.

    Raises:
        NotFoundError: it does not exist.
    """
    params = {"api-version": switch.version} | ({"$expand": switch.view} if switch.view else {})
    document = await _ARM.read(Call("get power state", "GET", resource, params=params), dict[str, Any])
    found: Any = document.get("properties") or {}
    for part in switch.state:
        found = (found or {}).get(part) if isinstance(found, dict) else None
    return _reading(found)


def _reading(found: Any) -> bool | None:
    """The words of three providers for the same two states."""
    codes = {str(item.get("code", "")) for item in found} if isinstance(found, list) else {str(found)}
    if codes & {"Ready", "Running", "PowerState/running"}:
        return True
    return False if codes & {"Stopped", "PowerState/deallocated", "PowerState/stopped"} else None


async def turn(resource: str, switch: Switch, permit: Permit, *, on: bool) -> None:
    """Ask for a start or a stop; both take minutes, and starting what runs changes nothing."""
    action = switch.start if on else switch.stop
    call = Call(
        f"switch {permit.action.kind}",
        "POST",
        f"{resource}/{action}",
        params={"api-version": switch.version},
        expect=(200, 202),
    )
    await _ARM.call(call)
