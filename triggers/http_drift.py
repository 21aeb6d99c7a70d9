"""What was found to differ between an application and its code."""

from typing import Any

from shared.authorisation import SEE
from shared.models import Model
from shared.models.drift import FindingRecord
from shared.models.drift_proposals import ProposalRecord
from shared.register import drift_proposals, findings
from triggers._http import Answer, Call, endpoint
from triggers.http_catalogue import visible_application


class DriftFindings(Model):
    """Findings of an application, open ones first, and the pull requests that propose to put them right."""

    findings: list[dict[str, Any]]
    proposals: list[dict[str, Any]]


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
    proposed = [_proposal(row) for row in await drift_proposals.of_application(application.name)]
    return Answer(200, {"findings": [_view(record) for record in found], "proposals": proposed})


def _proposal(row: ProposalRecord) -> dict[str, Any]:
    """A proposal as people see it; its findings are the open ones with the same digest."""
    return {
        "environment": row.environment,
        "state": row.state,
        "digest": row.digest,
        "number": row.number,
        "url": row.url or None,
        "detail": row.detail,
        "mergedBy": row.merged_by or None,
        "operation": row.operation or None,
        "updatedAt": row.updated_at,
    }


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
