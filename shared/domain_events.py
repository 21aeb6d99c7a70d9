"""Which entries of an audit trail are told to other systems, and as what.

An entry is written together with the change that it tells of, so that it is the outbox: whatever happened is told, and
nothing is told that did not happen. Free text of an entry may hold what a person wrote; it is not told.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from shared.models.domain_events import ApplicationHappened, DomainEvent, Happened, OperationHappened, PromotionHappened
from shared.models.operations import OperationRecord
from shared.models.promotions import PromotionRecord
from shared.models.records import AuditRecord, RequestRecord

ROTATED = "appstore.secret.rotated"
FINISHED = "appstore.operation.finished"
_ROTATIONS = frozenset({"rotate-secret", "revoke-secret"})

type Subject = RequestRecord | OperationRecord | PromotionRecord


@dataclass(frozen=True)
class EventType:
    """A kind of event.

    Attributes:
        prefix: of the id of what it is about.
        actions: those of the audit entries that are told as it.
        summary: a sentence for subscribers.
    """

    data: type[Happened]
    prefix: str
    actions: tuple[str, ...]
    summary: str


def _application(summary: str, *actions: str) -> EventType:
    return EventType(ApplicationHappened, "req-", actions, summary)


def _operation(summary: str, *actions: str) -> EventType:
    return EventType(OperationHappened, "op-", actions, summary)


def _promotion(summary: str, *actions: str) -> EventType:
    return EventType(PromotionHappened, "pro-", actions, summary)


_ENDS = ("succeeded", "observed", "partial", "parked", "refused", "rejected", "expired", "cancelled", "park")
TYPES: Mapping[str, EventType] = {
    "appstore.application.requested": _application("Somebody ordered an application.", "request"),
    "appstore.application.planned": _application("Its plan is ready for approval.", "planned"),
    "appstore.application.approved": _application("A person approved the plan; others may have to.", "approve"),
    "appstore.application.rejected": _application("A person rejected the plan.", "reject"),
    "appstore.application.cancelled": _application("The request was cancelled.", "cancel"),
    "appstore.application.lapsed": _application("Nobody decided on the plan in time.", "expire"),
    "appstore.application.failed": _application("A run ended before its goal and waits for somebody.", "park"),
    "appstore.application.provisioned": _application("The application runs.", "succeeded", "degraded"),
    "appstore.application.removed": _application("Everything that was made is gone.", "undone"),
    "appstore.application.renewed": _application("The application got a new end.", "renew", "approve-renewal"),
    "appstore.application.expired": _application("The application's last day has passed.", "expired"),
    "appstore.operation.requested": _operation("A Day-2 operation was asked for.", "operate"),
    FINISHED: _operation("A Day-2 operation ended; `outcome` says how.", *_ENDS),
    ROTATED: _operation("A secret was rotated or revoked; nothing of it is in here."),
    "appstore.promotion.requested": _promotion("A promotion was asked for.", "promote"),
    "appstore.application.promoted": _promotion("A release runs in its next stage.", "succeeded", "degraded"),
    "appstore.promotion.failed": _promotion(
        "A promotion did not get there.", "refuse", "park", "parked", "refused", "rejected", "expired", "cancelled"
    ),
    "appstore.promotion.rolled-back": _promotion("What a promotion did was taken back.", "rolled_back"),
}
_BY_ENTRY = {(kind.prefix, action): name for name, kind in TYPES.items() for action in kind.actions}


def type_of(entry: AuditRecord) -> str | None:
    """The type that an entry is told as, or None when it is nobody else's business."""
    prefix = f"{entry.request_id.partition('-')[0]}-"
    return _BY_ENTRY.get((prefix, entry.action))


def event_of(application: str, entry: AuditRecord, subject: Subject | None) -> DomainEvent:
    """The event of an entry that is told; of its subject only what never changes is used."""
    name = type_of(entry) or ""
    if name == FINISHED and entry.action == "succeeded" and _of(subject, "operation") in _ROTATIONS:
        name = ROTATED
    common = {
        "application": application,
        "position": entry.sequence,
        "actor": entry.actor,
        "outcome": entry.action,
    }
    return DomainEvent(
        id=f"{application}:{entry.sequence}",
        type=name,
        source=f"/applications/{application}",
        subject=entry.request_id,
        time=entry.at,
        position=entry.sequence,
        data=_data(name, common, entry, subject),
    )


def _data(
    name: str, common: dict[str, Any], entry: AuditRecord, subject: Subject | None
) -> ApplicationHappened | OperationHappened | PromotionHappened:
    kind = TYPES[name].data
    if kind is OperationHappened:
        fields = {key: _of(subject, key) for key in ("operation", "environment", "occasion", "dry_run")}
        return OperationHappened(**common, **fields, operation_id=entry.request_id)
    if kind is PromotionHappened:
        release = _of(subject, "release")
        fields = {key: _of(subject, key) for key in ("source", "target")} | {"digest": release and release.digest}
        return PromotionHappened(**common, **fields, promotion_id=entry.request_id)
    body = subject.body if isinstance(subject, RequestRecord) else None
    return ApplicationHappened(
        **common,
        request_id=entry.request_id,
        archetype=body.archetype if body else None,
        owner_team=body.owner_team if body else None,
        environments=[str(stage) for stage in body.environments] if body else [],
    )


def _of(subject: Subject | None, field: str) -> Any:
    return getattr(subject, field, None)


def schema_of(name: str) -> dict[str, Any]:
    """JSON Schema of the data of a type; raises KeyError when there is none."""
    kind = TYPES[name]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        **kind.data.model_json_schema(by_alias=True),
        "title": name,
        "description": kind.summary,
    }
