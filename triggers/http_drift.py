"""What was found to differ between an application and its code."""

from typing import Any

from shared.authorisation import SEE
from shared.models import Model
from shared.models.drift import FindingRecord
from shared.register import findings
from triggers._http import Answer, Call, endpoint
from triggers.http_catalogue import visible_application


class DriftFindings(Model):
    """Findings of an application, open ones first."""

    findings: list[dict[str, Any]]


@endpoint(
    "GET",
    "applications/{name}/drift",
    action=SEE,
    summary="Differences between an application and its code.",
    answers={200: DriftFindings},
)
async def list_drift(call: Call) -> Answer:
    """List what was found, open or closed; a detection is asked for as the Day-2 operation ``detect-drift``."""
    application = await visible_application(call)
    found = await findings.of_application(application.name)
    return Answer(200, {"findings": [_view(record) for record in found]})


def _view(record: FindingRecord) -> dict[str, Any]:
    difference = {
        ("class" if name == "driftClass" else name): value for name, value in record.difference.document().items()
    }
    return {
        "id": record.id,
        "environment": record.environment,
        "state": record.state,
        **difference,
        "times": record.times,
        "openedAt": record.opened_at,
        "seenAt": record.seen_at,
        "closedAt": record.closed_at,
        "detection": record.detection,
        "item": {"number": record.item.number, "url": record.item.url} if record.item else None,
    }
