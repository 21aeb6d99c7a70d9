"""Alerts of Azure Monitor, delivered by an action group's secure webhook.

Documentation: https://learn.microsoft.com/azure/azure-monitor/alerts/action-groups#configure-authentication-for-secure-webhook
"""

from typing import Any

from pydantic import Field, ValidationError
from pydantic_settings import SettingsConfigDict

from shared.authorisation import ALERT, why_not
from shared.canonical import digest
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.models.events import AlertData, EventState, ReceivedEvent
from shared.settings import Settings, load
from triggers._event_intake import kept, take_in
from triggers._http import Answer, Call, endpoint


class AlertSettings(Settings):
    """Alerts of Azure Monitor."""

    model_config = SettingsConfigDict(env_prefix="ALERTS_", frozen=True, extra="ignore")

    sender: str = Field(
        default="461e8683-5575-4561-ac7f-899cc907d62a",
        description="Application id of whoever delivers alerts: Azure Monitor's action groups.",
    )


class Taken(Model):
    """An alert that was taken in.

    Attributes:
        operation: the one that answers it; a duplicate of the alert is told the same one.
    """

    id: str
    state: EventState
    operation: str = ""


@endpoint(
    "POST",
    "alerts/azure-monitor",
    action=ALERT,
    summary="Take in an alert in the common alert schema.",
    answers={202: Taken},
)
async def take_alert(call: Call) -> Answer:
    """Take in an alert of any kind; what cannot be read is kept as a dead letter, because nobody sends it again."""
    caller = call.caller
    if why_not(caller, ALERT) or not caller.is_service or caller.name != load(AlertSettings).sender:
        detail = "Alerts are taken from Azure Monitor's action groups only, with their Entra ID token."
        raise RequestRejectedError("unauthenticated", detail, status=401)
    record = await take_in(call.client, received(call.document()))
    return Answer(202, Taken(id=record.id, state=record.state, operation=record.operation).document())


def received(document: Any) -> ReceivedEvent:
    """The alert as it is kept: only what is needed of it; what is not in the common schema, without its claims."""
    data = document.get("data") if isinstance(document, dict) else None
    try:
        alert = AlertData.model_validate(data)
    except ValidationError:
        unknown = document if isinstance(document, dict) else {"body": document}
        return ReceivedEvent(source="azure-monitor", id=digest(unknown), kind="unknown alert", data=kept(unknown))
    essentials, context = alert.essentials, alert.alert_context
    return ReceivedEvent(
        source="azure-monitor",
        id="/".join(filter(None, (essentials.alert_id, context.event_data_id or context.correlation_id))),
        topic=essentials.alert_rule,
        kind=f"alert {essentials.monitor_condition.lower()}",
        time=essentials.resolved_date_time or essentials.fired_date_time,
        data=kept(dict(alert.document())),
    )
