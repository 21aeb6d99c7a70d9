"""The audit trail: reading it, and proving that it is what was written."""

import json
from typing import Any

from shared import authorisation
from shared.audit_verification import Finding, Trail, verify_all
from shared.authorisation import AUDIT
from shared.clients import blobs
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.models.records import AuditHead, AuditRecord
from shared.register import audit
from triggers._http import Answer, Call, endpoint

_LIMIT = 1000
_FILTERS = ("application", "request", "actor", "action", "since", "until")
_LINES = "application/x-ndjson"


class AuditList(Model):
    """Entries of the audit trails, oldest first; as JSON lines with `Accept: application/x-ndjson`."""

    entries: list[dict[str, Any]]
    complete: bool


class Verification(Model):
    """What is wrong with the trails: nothing, or the first changed or missing entry of each."""

    entries: int
    applications: int
    anchors: int
    findings: list[Finding]


@endpoint("GET", "audit", action=AUDIT, summary="Who did what, when and why.", answers={200: AuditList})
async def list_audit(call: Call) -> Answer:
    """List entries, narrowed by `application`, `request`, `actor`, `action`, `since`, `until`, cut at `limit`."""
    authorisation.require(call.caller, AUDIT)
    limit = _limit(call.query.get("limit", str(_LIMIT)))
    wanted = {name: call.query[name] for name in _FILTERS if call.query.get(name)}
    found = [(name, record) async for name, record in audit.every() if _fits(name, record, wanted)]
    found.sort(key=lambda pair: (pair[1].at, pair[0], pair[1].sequence))
    entries = [{"application": name, **record.document()} for name, record in found[:limit]]
    if _LINES in call.headers.get("accept", ""):
        lines = "".join(f"{json.dumps(entry, ensure_ascii=False)}\n" for entry in entries)
        return Answer(200, text=lines.encode(), content_type=_LINES)
    return Answer(200, {"entries": entries, "complete": len(found) <= limit})


def _fits(application: str, record: AuditRecord, wanted: dict[str, str]) -> bool:
    have = {"application": application, "request": record.request_id, "actor": record.actor, "action": record.action}
    exact = all(have[name] == value for name, value in wanted.items() if name in have)
    return exact and wanted.get("since", "") <= record.at <= wanted.get("until", "~")


def _limit(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 1 <= int(text) <= _LIMIT:
        raise RequestRejectedError("invalid-parameter", f"limit is a number from 1 to {_LIMIT}.", status=400)
    return int(text)


@endpoint(
    "GET",
    "audit/verification",
    action=AUDIT,
    summary="Whether every trail is what was written.",
    answers={200: Verification},
)
async def verify_audit(call: Call) -> Answer:
    """Follow every chain and compare it with the ends that were kept each day."""
    authorisation.require(call.caller, AUDIT)
    before = await audit.heads()
    entries: dict[str, list[AuditRecord]] = {name: [] for name in before}
    async for name, record in audit.every():
        entries.setdefault(name, []).append(record)
    after = await audit.heads()
    trails = {name: _trail(name, rows, before, after) for name, rows in entries.items()}
    anchors = [(day, _ends(content)) async for day, content in blobs.read_anchors()]
    result = Verification(
        entries=sum(map(len, entries.values())),
        applications=len(trails),
        anchors=len(anchors),
        findings=verify_all(trails, anchors),
    )
    return Answer(200, result.document())


def _trail(name: str, rows: list[AuditRecord], before: dict[str, AuditHead], after: dict[str, AuditHead]) -> Trail:
    rows.sort(key=lambda record: record.sequence)
    return Trail(application=name, entries=rows, before=before.get(name), after=after.get(name))


def _ends(content: bytes) -> dict[str, AuditHead]:
    return {name: AuditHead.model_validate(head) for name, head in json.loads(content).items()}
