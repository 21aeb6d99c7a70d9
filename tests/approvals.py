"""A request whose plan waits for approvals, as the register has it."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared import approval_rules
from shared import plan as plans
from shared.approvals import ApprovalNeed
from shared.models.plan import PlanReference
from shared.models.records import RequestRecord, RequestState
from shared.register import requests
from shared.register._table import Write, commit

SHOWN = "a" * 64


def text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


def usual_needs(record: RequestRecord) -> list[ApprovalNeed]:
    """What the rules of this repository ask for."""
    facts = plans.facts_of(record.body, plans.estimate(record.body), [], destructive=False)
    return approval_rules.needed(facts, record.requester)


async def put_up(record: RequestRecord, needs: list[ApprovalNeed] | None = None, **more: Any) -> RequestRecord:
    """The request with a plan that waits; ``needs`` instead of those of the rules."""
    wanted = usual_needs(record) if needs is None else needs
    plan = PlanReference(
        digest=SHOWN,
        blob="x",
        round=1,
        pins=plans.pins(record.body),
        summary={},
        environments=[],
        changes=1,
        approvals=[dict(need.document()) for need in wanted],
    )
    now = datetime.now(UTC)
    waiting = {
        "state": RequestState.AWAITING_APPROVAL,
        "plan": plan,
        "asked_at": text(now),
        "decide_before": text(now + timedelta(hours=1)),
    }
    return await change(record, **{**waiting, **more})


async def change(record: RequestRecord, **fields: Any) -> RequestRecord:
    """The request with other fields, whatever may follow what."""
    new = record.model_copy(update=fields)
    await commit(record.application, [Write(requests.request_key(record.id), dict(new.document()), force=True)])
    return new
