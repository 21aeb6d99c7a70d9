"""Azure Event Grid: the custom topic of what happens to applications."""

import time
from collections.abc import Sequence
from datetime import datetime

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Health, health
from shared.clock import utc_now
from shared.credential import credential
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.domain_events import DomainEvent
from shared.settings import USER_AGENT, AppStoreSettings, Settings, load
from shared.telemetry import spans

_VENDOR = "event grid"


class EventGridSettings(Settings):
    """The topic that other systems subscribe to; not set: nothing is published."""

    model_config = SettingsConfigDict(env_prefix="EVENTGRID_", frozen=True, extra="ignore")

    topic_endpoint: str = Field(
        default="",
        pattern=r"^$|^https://[a-z0-9.-]+/api/events$",
        description="Endpoint of the custom topic (CloudEvents schema), written with the app's own identity.",
    )


def configured() -> bool:
    """Whether there is a topic."""
    return bool(load(EventGridSettings).topic_endpoint)


def schema_url(name: str) -> str | None:
    """Where the JSON Schema of a type lies; None when the App Store does not know its own address."""
    base = load(AppStoreSettings).public_url.rstrip("/")
    return f"{base}/api/domain-events/types/{name}" if base else None


async def publish(events: Sequence[DomainEvent]) -> None:
    """Publish events in one call; all of them or none is accepted.

    Documentation: https://learn.microsoft.com/azure/event-grid/cloud-event-schema

    Raises:
        TransientIntegrationError: the topic does not answer, or refuses.
    """
    from azure.core.exceptions import AzureError  # noqa: PLC0415 - heavy
    from azure.core.messaging import CloudEvent  # noqa: PLC0415 - heavy
    from azure.eventgrid.aio import EventGridPublisherClient  # noqa: PLC0415 - heavy

    state, began = health().setdefault(_VENDOR, Health()), time.monotonic()
    told = [
        CloudEvent(
            source=event.source,
            type=event.type,
            id=event.id,
            subject=event.subject,
            time=datetime.fromisoformat(event.time),
            dataschema=schema_url(event.type),
            datacontenttype="application/json",
            data=event.data.document(),
            extensions={"sequence": f"{event.position:010d}"},
        )
        for event in events
    ]
    try:
        with spans.vendor_call(_VENDOR, "publish events"):
            client = EventGridPublisherClient(
                load(EventGridSettings).topic_endpoint, credential(), user_agent=USER_AGENT, retry_total=1
            )
            async with client:
                await client.send(told)
    except AzureError as error:
        state.last_failure = utc_now()
        status = getattr(error, "status_code", None)
        raise TransientIntegrationError(VendorCall(_VENDOR, "publish", status), type(error).__name__) from error
    state.last_success, state.latency_ms = utc_now(), round((time.monotonic() - began) * 1000)
