"""Incidents of operations: a person has to look, or has nothing to look at any more.

Telling people is no change of the estate: it happens also when the guard refused everything else.
"""

from activities._activity import look
from shared.clients import servicenow, servicenow_incidents
from shared.clients.servicenow_incidents import Incident
from shared.errors import NotFoundError, VendorCall
from shared.log import redact
from shared.models.day2_alerts import RespondToAlert
from shared.models.operations import OperationRecord
from shared.models.runs import ActivityInput, Nothing
from shared.register import alerts, operations

_LONGEST, _MORE = 4_000, 2_000  # characters of the description, and of one action in it
_URGENCY = {"Sev0": "1", "Sev1": "1", "Sev2": "2"}


@look
async def open_incident(data: ActivityInput) -> Nothing:
    """Open an incident about an alert that nothing helped against, if incidents are kept at all.

    Idempotency: the correlation id is the alert's; an open incident that carries it is the one, a younger is cancelled.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    alert = RespondToAlert.model_validate(record.parameters)
    if not servicenow.configured():
        return Nothing(detail="no incidents are kept: SERVICENOW_INSTANCE is not set")
    found = await _open(alert)
    if not found:
        known = [record.summary, *await _what_was_done(record)]
        await servicenow_incidents.create_incident(_fields(record.application, record.environment, known, alert))
        found = await _open(alert)
    if not found:
        raise NotFoundError(
            VendorCall("servicenow", "create incident", 404), "nobody can find it by its correlation id"
        )
    first, *younger = found
    for duplicate in younger:
        await servicenow_incidents.close_duplicate(duplicate, first)
    await alerts.remember_incident(record.application, alert.fingerprint, first.number)
    return Nothing(detail=first.number, link=servicenow_incidents.link(first))


async def _open(alert: RespondToAlert) -> list[Incident]:
    return [item for item in await servicenow_incidents.find_incidents(_correlation(alert)) if item.open]


async def _what_was_done(record: OperationRecord) -> list[str]:
    """What became of the response, with what a runbook printed: whoever is called looks at that first."""
    found = [row async for row in operations.actions(record.application, record.id)]
    told = [(row, row.result.get("output") or row.detail or row.reason) for row in found]
    return [f"{row.action.summary}: {row.state}. {redact(str(more))[:_MORE]}" for row, more in told]


def _correlation(alert: RespondToAlert) -> str:
    return f"alert-{alert.fingerprint}"[:100]


def _fields(application: str, environment: str | None, known: list[str], alert: RespondToAlert) -> dict[str, str]:
    where = f"{application} {environment}" if environment else application
    lines = (
        alert.description,
        f"Alert rule: {alert.rule}",
        f"Fired: {alert.fired_at}",
        f"Target: {alert.target}",
        *known,
    )
    fields = {
        "short_description": f"{alert.rule} fired for {where}"[:160],
        "description": "\n".join(line for line in lines if line)[:_LONGEST],
        "urgency": _URGENCY.get(alert.severity, "3"),
        "impact": "1" if environment == "prod" else "3",
        "correlation_id": _correlation(alert),
        "correlation_display": "App Store",
    }
    group = servicenow.assignment_group()
    return fields | ({"assignment_group": group} if group else {})


@look
async def set_incident_resolved(data: ActivityInput) -> Nothing:
    """Resolve the incident that was opened about an alert that is over.

    Idempotency: an incident that is resolved or closed stays as it is; none is success.
    """
    record = await operations.get(data.run.application, data.run.request_id)
    alert = RespondToAlert.model_validate(record.parameters)
    held = await alerts.answering(record.application, alert.fingerprint)
    if held is None or not held.incident or not servicenow.configured():
        return Nothing(detail="there is no incident")
    for incident in await _open(alert):
        await servicenow_incidents.resolve_incident(incident, "Azure Monitor resolved the alert.")
    await alerts.remember_incident(record.application, alert.fingerprint, "")
    return Nothing(detail=f"{held.incident} is resolved")
