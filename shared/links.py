"""The links of an application, each opened by the system that owns it before anybody is sent there.

A new system adds one line to ``_OPENERS``: what its link is called, the step whose row has it, and what opens it. An
opener raises when the object is not there, or is not the one that the step's row leads to.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

from shared.board_clients import board_of
from shared.clients import backstage, github, grafana, servicenow
from shared.clients.application import read_health
from shared.errors import NotFoundError, PermanentIntegrationError, TransientIntegrationError, VendorCall
from shared.models.messages import Link
from shared.models.records import RequestRecord, StepRecord, StepState
from shared.register import steps


@dataclass(frozen=True)
class _Opener:
    """A link that a step leaves.

    Attributes:
        title: what it is called in a message.
        step: name of the step.
        open: opens it; what it returns is its address now.
    """

    title: str
    step: str
    open: Callable[[RequestRecord, str], Awaitable[str | None]]


async def _repository(record: RequestRecord, _link: str) -> str | None:
    found = await github.find_repository(record.application)
    ours = found is not None and found.custom_properties.get(github.PROPERTY) == record.id
    return found.html_url if found and ours else None


async def _board(record: RequestRecord, link: str) -> str | None:
    _, client, spec = board_of(record)
    ours = [board.url for board in await client.find(spec) if board.request_id == record.id]
    return link if link in ours else None


async def _entry(record: RequestRecord, _link: str) -> str | None:
    name = f"component:default/{record.application}"
    found = (await backstage.find_entities([name])).get(name)
    ours = found is not None and found.annotation("appstore/request-id") == record.id
    return backstage.entity_page(name) if ours else None


async def _folder(record: RequestRecord, _link: str) -> str | None:
    found = await grafana.find_folder(record.id)
    return grafana.address(found.url) if found else None


async def _change(record: RequestRecord, link: str) -> str | None:
    found = [servicenow.link(change) for change in await servicenow.find_changes(record.id)]
    return link if link in found else None


async def _service(record: RequestRecord, link: str) -> str | None:
    parts = urlsplit(link)
    health = await read_health(str(parts.hostname), parts.path)
    if health.status != "healthy" or health.application != record.application:
        call = VendorCall("application", "read health", 200)
        raise TransientIntegrationError(call, f"{link} answers as {health.application}: {health.status}")
    return link


_OPENERS = (
    _Opener("Service", "verify_health", _service),
    _Opener("Repository", "ensure_repository", _repository),
    _Opener("Board", "ensure_board", _board),
    _Opener("Dashboards", "ensure_folder", _folder),
    _Opener("Change request", "open_change", _change),
    _Opener("Catalogue entry", "ensure_registration", _entry),
)


async def open_links(record: RequestRecord) -> tuple[list[Link], list[str]]:
    """Open every link of the application.

    Returns:
        The links that open, and a few words about each one that does not.

    Raises:
        TransientIntegrationError: a system does not answer, so that nobody can say whether its link opens.
    """
    done = [
        step
        for step in await steps.of_request(record.application, record.id)
        if step.state is StepState.DONE and step.link
    ]
    opened, closed = [], []
    for opener in _OPENERS:
        for step in (step for step in done if step.name == opener.step):
            title = f"{opener.title} {step.environment}" if step.environment else opener.title
            try:
                opened.append(Link(title=title, url=await _open(opener, record, step)))
            except PermanentIntegrationError as error:
                closed.append(f"{title} ({error})")
    return opened, closed


async def _open(opener: _Opener, record: RequestRecord, step: StepRecord) -> str:
    link = str(step.link)
    if await opener.open(record, link) != link:
        call = VendorCall(opener.title.lower(), "open link", 200)
        raise NotFoundError(call, f"{link} leads to nothing of this request")
    return link
