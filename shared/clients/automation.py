"""Azure Automation: jobs of the runbooks in ``infra/automation``.

Documentation: https://learn.microsoft.com/rest/api/automation/job
"""

import uuid
from collections.abc import Mapping
from typing import Any

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._arm import arm
from shared.clients._http import Call
from shared.errors import ConfigurationError, TransientIntegrationError, VendorCall
from shared.guard import Permit
from shared.log import redact
from shared.models import Model
from shared.settings import Settings, load

_VERSION = "2024-10-23"
_NAMESPACE = uuid.UUID("9a4ad3a6-6a5f-4a3b-8d5b-0b6c3d9f6f11")
ENDED = frozenset({"Completed", "Failed", "Stopped", "Suspended"})
COMPLETED = "Completed"
LONGEST_OUTPUT = 4_000


class AutomationSettings(Settings):
    """Azure Automation. Without an account no response may start a runbook."""

    model_config = SettingsConfigDict(env_prefix="AUTOMATION_", frozen=True, extra="ignore")

    account_id: str = Field(default="", description="ARM id of the Automation account; empty: not used.")


class _Properties(Model):
    status: str
    exception: str | None = None
    status_details: str | None = None


class Job(Model):
    """A job of a runbook."""

    name: str
    properties: _Properties

    @property
    def ended(self) -> bool:
        """Whether it runs no more."""
        return self.properties.status in ENDED

    @property
    def reason(self) -> str:
        """Why it did not complete, in Azure's words."""
        return self.properties.exception or self.properties.status_details or "no reason given"


_ARM = arm("azure automation")


def account() -> str:
    """ARM id of the account.

    Raises:
        ConfigurationError: none is configured.
    """
    found = load(AutomationSettings).account_id
    if not found:
        raise ConfigurationError("AUTOMATION_ACCOUNT_ID", "a response starts a runbook, and there is no account")
    return found


def job_name(operation: str, runbook: str, attempt: int = 1) -> str:
    """The name that the job of an attempt always has: starting it again starts nothing, a retry has one of its own."""
    return str(uuid.uuid5(_NAMESPACE, f"{operation}/{runbook}" if attempt == 1 else f"{operation}/{runbook}/{attempt}"))


def job_body(runbook: str, parameters: Mapping[str, str]) -> dict[str, Any]:
    """Body of the start of a job; parameters are text."""
    return {"properties": {"runbook": {"name": runbook}, "parameters": dict(parameters)}}


async def start_job(name: str, runbook: str, parameters: Mapping[str, str], permit: Permit) -> Job:
    """Start a job under its name; one that is there already is left as it is."""
    found = await find_job(name)
    if found is not None:
        return found
    call = Call(
        f"start {permit.action.kind}",
        "PUT",
        f"{account()}/jobs/{name}",
        job_body(runbook, parameters),
        params={"api-version": _VERSION},
        expect=(200, 201, 409),
    )
    answer = await _ARM.call(call)
    if answer.status == 409 and (found := await find_job(name)) is not None:  # noqa: PLR2004 - HTTP status
        return found  # a first try that Azure took, and whose answer was lost
    return _ARM.shaped(call, answer, Job)


async def find_job(name: str) -> Job | None:
    """The job of that name, or None."""
    call = Call("get job", "GET", f"{account()}/jobs/{name}", params={"api-version": _VERSION}, expect=(200, 404))
    answer = await _ARM.call(call)
    return None if answer.status == 404 else _ARM.shaped(call, answer, Job)  # noqa: PLR2004 - HTTP status


async def read_output(name: str) -> str:
    """The beginning of what a job printed, without what looks like a credential: a runbook prints what it likes.

    Raises:
        TransientIntegrationError: the answer is no text.
    """
    call = Call("get job output", "GET", f"{account()}/jobs/{name}/output", params={"api-version": _VERSION})
    answer = await _ARM.call(call)
    if answer.raw and not answer.headers.get("content-type", "").startswith("text/plain"):
        raise TransientIntegrationError(VendorCall("azure automation", call.operation, 200), "the output is no text")
    printed = redact(answer.raw.decode("utf-8", "replace")).strip()
    return printed if len(printed) <= LONGEST_OUTPUT else f"{printed[:LONGEST_OUTPUT]} [cut off]"
