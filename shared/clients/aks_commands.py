"""kubectl inside an AKS cluster by way of Azure Resource Manager: no network path to the cluster is needed.

Documentation: https://learn.microsoft.com/rest/api/aks/managed-clusters/run-command and
https://learn.microsoft.com/rest/api/aks/managed-clusters/get-command-result
"""

import asyncio

from shared.clients._arm import BASE, NAME, arm
from shared.clients._http import Call
from shared.errors import PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.models import Model

_VERSION = "2026-08-01"
_POLLS = 60


_ARM = arm()


class _Result(Model):
    provisioning_state: str
    exit_code: int = 0
    logs: str = ""
    reason: str = ""


class _CommandResult(Model):
    id: str = ""
    properties: _Result | None = None


async def run_command(cluster: str, command: str, permit: Permit) -> str:
    """Run one kubectl command in a cluster (its ARM id) and return what it printed.

    Raises:
        PermanentIntegrationError: the command failed.
        TransientIntegrationError: it did not end in time, or its result cannot be read.
    """
    path, version = f"{cluster}/runCommand", {"api-version": _VERSION}
    call = Call(f"change {permit.action.kind}", "POST", path, {"command": command}, params=version, expect=(200, 202))
    answer = await _ARM.call(call)
    place = answer.headers.get("location", "")
    for _ in range(_POLLS):
        if answer.status == 200:  # noqa: PLR2004 - HTTP status
            return _output(call, _ARM.shaped(call, answer, _CommandResult))
        if not place.startswith(f"{BASE}/"):
            break
        await asyncio.sleep(_interval(answer.headers.get("retry-after", "")))
        answer = await _ARM.call(Call("read command result", "GET", place.removeprefix(BASE), expect=(200, 202)))
    raise TransientIntegrationError(VendorCall(NAME, call.operation, 202), "the command did not end in time")


def _interval(value: str) -> float:
    return min(float(value), 15.0) if value.isdigit() else 1.0


def _output(call: Call, result: _CommandResult) -> str:
    place = VendorCall(NAME, call.operation, 200)
    if result.properties is None:
        raise TransientIntegrationError(place, "the answer is no command result")
    if result.properties.provisioning_state != "Succeeded" or result.properties.exit_code != 0:
        text = result.properties.logs or result.properties.reason
        raise PermanentIntegrationError(place, f"the command failed: {text[:300]}")
    return result.properties.logs
