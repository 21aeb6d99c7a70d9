"""How the App Store talks to Azure DevOps: its identity, its settings, and the patience that is asked for.

Documentation: https://learn.microsoft.com/azure/devops/integrate/get-started/authentication/service-principal-managed-identity
"""

import asyncio
import time
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from urllib.parse import quote

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import LONGEST_WAIT, Answer, Call, Vendor, azure_headers
from shared.clients._retry_after import retry_after
from shared.errors import ConfigurationError, NotAuthorizedError, VendorCall
from shared.per_loop import per_loop
from shared.settings import Settings, load

# The application id of Azure DevOps in every tenant.
_SCOPE = "499b84ac-1321-427f-aa17-267ca6975798/.default"
_VERSION = {"api-version": "7.1"}
_SIGN_IN = (203, 302)  # a page to sign in with: the token is not accepted


class AzureBoardsSettings(Settings):
    """Azure Boards. Used when BOARD_SYSTEM says so; the defaults fit the process Agile."""

    model_config = SettingsConfigDict(env_prefix="AZURE_BOARDS_", frozen=True, extra="ignore")

    organization: str = Field(default="", description="Organization of Azure DevOps (`https://dev.azure.com/<name>`).")
    project: str = Field(default="", description="Project in which the applications get their teams.")
    board: str = Field(default="Stories", description="Board of the process; Scrum: `Backlog items`, Basic: `Issues`.")
    work_item_type: str = Field(
        default="User Story", description="Type of the items on it; Scrum: `Product Backlog Item`, Basic: `Issue`."
    )
    first_state: str = Field(default="New", description="State of the first column; Basic: `To Do`.")
    middle_state: str = Field(
        default="Active", description="State of the columns between; Scrum: `Committed`, Basic: `Doing`."
    )
    last_state: str = Field(default="Closed", description="State of the last column; Scrum and Basic: `Done`.")


@dataclass
class _Delay:
    """What Azure DevOps asked for with its last answer, even if that was a success."""

    until: float = 0.0


@per_loop
def _delay() -> _Delay:
    return _Delay()


async def _authorise() -> dict[str, str]:
    return await azure_headers(_SCOPE)


def vendor() -> Vendor:
    """Azure DevOps, as the integration is called."""
    return Vendor("azure_boards", f"https://dev.azure.com/{quote(setting('organization'))}", _authorise)


def setting(name: str) -> str:
    """A setting that is not empty.

    Raises:
        ConfigurationError: it is.
    """
    value = str(getattr(load(AzureBoardsSettings), name))
    if not value:
        raise ConfigurationError(f"AZURE_BOARDS_{name.upper()}", "is needed when Azure Boards keeps the boards")
    return value


async def ask(call: Call) -> Answer:
    """Make a call.

    Documentation: https://learn.microsoft.com/azure/devops/integrate/concepts/rate-limits

    Raises:
        NotAuthorizedError: among others, the answer is a page to sign in with.
    """
    delay = _delay()
    await asyncio.sleep(min(LONGEST_WAIT, max(0.0, delay.until - time.monotonic())))
    params = {**(call.params or {}), **_VERSION}
    answer = await vendor().call(replace(call, params=params, expect=(*call.expect, *_SIGN_IN)))
    if answer.status in _SIGN_IN:
        place = VendorCall("azure_boards", call.operation, answer.status)
        raise NotAuthorizedError(place, "Azure DevOps wants somebody to sign in: it does not accept the identity")
    delay.until = time.monotonic() + (retry_after(answer.headers, datetime.now(UTC)) or 0.0)
    return answer


async def read[T](call: Call, shape: type[T]) -> T:
    """Make a call and demand the answer's shape; raises as ``ask``."""
    return vendor().shaped(call, await ask(call), shape)
