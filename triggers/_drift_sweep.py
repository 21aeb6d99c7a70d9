"""The part of the sweep that takes the merge of a pull request of drift as its team's wish, once."""

from typing import Any

from shared.errors import RequestRejectedError
from shared.models.drift_proposals import ProposalRecord, ProposalState
from shared.models.operations import AskedOperation, Occasion
from shared.register import drift_proposals as proposals
from triggers._operation_intake import accept
from triggers._sweeping import apart

_S = ProposalState


async def sweep_drift_proposals(client: Any) -> None:
    """Ask for what was merged; the operation's id is derived from the pull request, so that asking again finds it."""
    async for row in proposals.in_states((_S.MERGED,)):
        await apart(f"the proposal of {row.application} {row.environment}", _ask(client, row))


async def _ask(client: Any, row: ProposalRecord) -> None:
    """Ask on behalf of who merged: whoever asks cannot approve."""
    asked = AskedOperation(
        operation="detect-drift",
        application=row.application,
        environment=row.environment,
        parameters={"reconcile": "all", "findings": row.digest},
        occasion=Occasion.EVENT,
        business_key=f"drift-proposal\x00{row.environment}\x00{row.number}",
        requester=row.requester,
        requester_name=row.merged_by,
        reason=f"{row.merged_by} merged pull request {row.number}",
    )
    try:
        operation = await accept(client, asked)
    except RequestRejectedError as error:
        await proposals.replace(row, state=_S.CLOSED, detail=str(error)[:500])
        return
    await proposals.replace(row, state=_S.ASKED, operation=operation.id)
