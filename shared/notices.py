"""What the channel is told: one welcome, and what happened to a request. Pure: rows in, messages out."""

from collections.abc import Sequence

from shared.approvals import ApprovalNeed
from shared.decisions import open_needs
from shared.models.break_glass import BreakGlass
from shared.models.clean_up import OrphanRecord
from shared.models.messages import Fact, IntentRecord, Link, Message, MessageKind, MessageState
from shared.models.operations import OperationRecord, OperationState
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.promotions import PromotionKind, PromotionRecord, PromotionState
from shared.models.records import RequestRecord

_K = MessageKind
CHATS = ("teams", "slack")
WAITING = frozenset({_K.REMINDER, _K.ESCALATION, _K.GRANT_ENDED})  # what is no news any more once somebody has decided
_KEPT = ", but for what its systems keep, which the next message lists"


def chat_of(record: RequestRecord) -> str | None:
    """The chat that the request uses, or None."""
    return next((system for system in record.systems if system in CHATS), None)


def welcome(record: RequestRecord, links: list[Link]) -> Message:
    """The application is there: what it is, where everything is."""
    body = record.body
    facts = [
        Fact(name="Archetype", value=body.archetype),
        Fact(name="Environments", value=", ".join(map(str, body.environments))),
        Fact(name="Owner", value=body.owner_team),
        Fact(name="Requested by", value=record.requester_name),
        Fact(name="Request", value=record.id),
    ]
    step = "Clone the repository; docs/runbook.md in it says how the service is run and deployed."
    title = f"Welcome, {record.application}"
    return Message(kind=_K.WELCOME, title=title, text=body.description, facts=facts, links=links, next_steps=[step])


def notice(
    kind: MessageKind,
    record: RequestRecord,
    *,
    base: str,
    attempt: int,
    problem: Problem | None = None,
    residue: Sequence[MadeObject] = (),
    undo: bool = False,
) -> Message:
    """What happened, and what to do now.

    Args:
        kind: any but the welcome and a broken glass.
        record: the request.
        base: prefix of the API's addresses.
        attempt: the attempt that it tells of.
        problem: what went wrong or is lacking.
        residue: what is left.
        undo: whether it happened to an undo.
    """
    name, place = record.application, f"{base}/requests/{record.id}"
    titles = {
        _K.REMINDER: f"The plan for {name} waits for an approval",
        _K.ESCALATION: f"The plan for {name} still waits: it is escalated",
        _K.GRANT_ENDED: f"The plan for {name} needs its approvals again",
        _K.PARKED: f"The undo of {name} has stopped" if undo else f"{name} is parked",
        _K.DEGRADED: f"{name} runs, but something is missing",
        _K.EXPIRED: f"The plan for {name} has expired",
        _K.UNDONE: f"{name} was undone",
        _K.RESIDUE: f"{name} left something behind",
    }
    until = f"If nobody decides by {record.decide_before or 'its end'}, it expires."
    texts = {
        _K.REMINDER: f"Half of the time is over. {until}",
        _K.ESCALATION: f"Three quarters of the time are over. {until}",
        _K.GRANT_ENDED: f"The glass was broken for a time, and that is over before everything was made. {until}",
        _K.EXPIRED: f"Nobody decided by {record.decide_before or 'its end'}. Nothing was made; the name is free again.",
        _K.UNDONE: f"What this request had made was removed{_KEPT if residue else ''}; the name is free again.",
        _K.RESIDUE: "It was undone. This stays where it is, because its system keeps it:",
    }
    left = [" ".join(filter(None, (item.system, item.type, item.name, item.environment))) for item in residue]
    return Message(
        kind=kind,
        title=titles[kind],
        text=problem.detail if problem else texts.get(kind, ""),
        facts=_facts(record, problem, attempt),
        items=_waiting(record) if kind in WAITING else {_K.DEGRADED: _missing(record), _K.RESIDUE: left}.get(kind, []),
        next_steps=_next(kind, place, undo=undo or record.undo_begun),
    )


def due(record: RequestRecord, message: Message, occasion: int, at: str) -> list[IntentRecord]:
    """A message for the sweep to send, where no flow is at work that could; none for a request without a chat.

    Written together with what it tells of.
    """
    system = chat_of(record)
    if system is None:
        return []
    return [
        IntentRecord(
            request_id=record.id,
            application=record.application,
            kind=message.kind,
            occasion=occasion,
            attempt=record.attempt,
            system=system,
            state=MessageState.DUE,
            message=message,
            tries=0,
            created_at=at,
            updated_at=at,
        )
    ]


def expiry(record: RequestRecord, end: str, days: int | None, *, base: str) -> Message:
    """The application's end: so many days from now at the most, or None when it has passed."""
    name = record.application
    if days is None:
        kind, title = _K.APPLICATION_EXPIRED, f"{name} has expired"
        text = f"Its last day was {end}. Nothing is removed by this; it stays as it is until somebody decides."
    else:
        kind, title = _K.EXPIRES_SOON, f"{name} expires on {end}"
        text = f"Its last day is {end}: {days} {'day' if days == 1 else 'days'} from now at the most."
    facts = [
        Fact(name="Owner", value=record.body.owner_team),
        Fact(name="Requested by", value=record.requester_name),
        Fact(name="Request", value=record.id),
    ]
    step = f"Is it still needed? Renew it with a reason and a new date: POST {base}/applications/{name}/renew"
    return Message(kind=kind, title=title, text=text, facts=facts, next_steps=[step])


def removal(record: RequestRecord, orphans: Sequence[OrphanRecord], days: int, *, base: str) -> Message:
    """Resources that nothing uses will be removed: in so many days at the most."""
    count = len(orphans)
    what = "1 resource" if count == 1 else f"{count} resources"
    first = min(orphan.due or orphan.last_seen for orphan in orphans)
    left = "tomorrow" if days <= 1 else f"in {days} days"
    return Message(
        kind=_K.REMOVAL,
        title=f"{what} of {record.application} will be removed {left} at the earliest",
        text=f"Nothing uses them any more. They go from {first} on, unless they are used again until then.",
        facts=[Fact(name="Owner", value=record.body.owner_team), Fact(name="Request", value=record.id)],
        items=[f"{orphan.resource} ({orphan.policy}, unused since {orphan.first_seen})" for orphan in orphans],
        next_steps=[
            f"Still needed? Use it, or ask for an exemption: POST {base}/exemptions",
            f"Afterwards, for some days: GET {base}/tombstones, then POST {base}/tombstones/{{id}}/restore",
        ],
    )


def operation(record: OperationRecord, request: RequestRecord, base: str) -> Message:
    """What became of a Day-2 operation that needs somebody: it waits for a decision, or not everything was done."""
    place = f"{base}/applications/{record.application}/operations/{record.id}"
    waiting = record.state is OperationState.AWAITING_APPROVAL
    words = "waits for a decision" if waiting else f"is {record.state.replace('_', ' ')}"
    steps = (
        [f"Look at the exact calls: GET {place}/actions", f"Then decide: POST {place}/approve or {place}/reject"]
        if waiting
        else [f"Look at it: GET {place}", f"When the cause is gone: POST {place}/retry"]
    )
    facts = [
        Fact(name="Asked by", value=f"{record.requester_name} ({record.occasion})"),
        Fact(name="Owner", value=request.body.owner_team),
        Fact(name="Operation", value=f"{record.id}, attempt {record.attempt}"),
        Fact(name="Request", value=request.id),
    ]
    text = record.problem.detail if record.problem else record.summary
    return Message(
        kind=_K.OPERATION,
        title=f"{record.operation} of {record.application} {words}",
        text=text,
        facts=facts,
        next_steps=steps,
    )


def promotion(record: PromotionRecord, request: RequestRecord, base: str) -> Message:
    """What became of a promotion that needs somebody: it waits for a decision, or did not end as it was meant to."""
    place = f"{base}/applications/{record.application}/promotions/{record.id}"
    steps = {
        PromotionState.AWAITING_APPROVAL: [
            f"Look at the document: GET {place}/document",
            f"Then decide until {record.decide_before}: POST {place}/approve or {place}/reject",
        ],
        PromotionState.PARKED: [
            f"Remove the cause, then go on: POST {place}/retry",
            f"Or stop it: POST {place}/cancel",
        ],
        PromotionState.DEGRADED: [f"When that system answers again: POST {place}/retry"],
    }
    waits = record.state is PromotionState.AWAITING_APPROVAL
    words = "waits for an approval" if waits else f"is {record.state.replace('_', ' ')}"
    what = "The way back" if record.kind is PromotionKind.ROLL_BACK else "The promotion"
    facts = [
        Fact(name="From", value=f"{record.source} to {record.target}"),
        Fact(name="Image", value=record.release.digest if record.release else "not chosen yet"),
        Fact(name="Asked by", value=record.requester_name),
        Fact(name="Owner", value=request.body.owner_team),
        Fact(name="Promotion", value=f"{record.id}, attempt {record.attempt}"),
        Fact(name="Request", value=request.id),
    ]
    return Message(
        kind=_K.PROMOTION,
        title=f"{what} of {record.application} to {record.target} {words}",
        text=record.problem.detail if record.problem else record.reason or "",
        facts=facts,
        next_steps=steps.get(record.state, ["Ask again when the cause is gone."]),
    )


def _facts(record: RequestRecord, problem: Problem | None, attempt: int) -> list[Fact]:
    step = [Fact(name="Step", value=problem.step)] if problem and problem.step else []
    team = [Fact(name="Owner", value=record.body.owner_team), Fact(name="Requested by", value=record.requester_name)]
    return [*step, *team, Fact(name="Request", value=f"{record.id}, attempt {attempt}")]


def broken_glass(record: RequestRecord, grant: BreakGlass, base: str, number: int) -> Message:
    """Somebody went on without the approvals that were missing: told to the second person, before everybody."""
    facts = [
        Fact(name="Second person", value=grant.second_person),
        Fact(name="By", value=grant.actor_name),
        Fact(name="Reason", value=grant.reason),
        Fact(name="Ticket", value=grant.ticket),
        Fact(name="Until", value=grant.expires_at),
        *_facts(record, None, record.attempt),
    ]
    place = f"{base}/requests/{record.id}"
    return Message(
        kind=_K.BREAK_GLASS,
        title=f"The glass was broken for {record.application}",
        text=f"Its plan goes on without the approvals that it needs. {grant.second_person} was named to know of it.",
        facts=facts,
        items=_waiting(record),
        next_steps=[f"If this is wrong, stop it: POST {place}/cancel", f"Review it: POST {place}/reviews/{number}"],
    )


def _waiting(record: RequestRecord) -> list[str]:
    """The approvals that are missing, and who could give them."""
    return [f"{need.rule}: {need.description} {_who(need, record)}".strip() for need in open_needs(record)]


def _who(need: ApprovalNeed, record: RequestRecord) -> str:
    if need.decided_in == "servicenow":
        return "Decided in ServiceNow."
    wider = need.escalate_to if record.escalated_at and need.escalate_to else None
    also = [*wider.roles, *wider.teams] if wider else []
    groups = [[*group.roles, *group.teams] for group in need.all_of] or [[*need.any_of_roles, *need.any_of_teams]]
    return "; ".join(" or ".join([*group, *also]) for group in groups) + "."


def _missing(record: RequestRecord) -> list[str]:
    found = (record.result or {}).get("missing", [])
    return [f"missing: {item}" for item in found] if isinstance(found, list) else []


def _next(kind: MessageKind, place: str, *, undo: bool) -> list[str]:
    retry, back = f"POST {place}/retry", f"POST {place}/undo"
    if kind is _K.PARKED and undo:
        return [f"Remove the cause, then go on with the undo: {back}"]
    if kind is _K.PARKED:
        return [f"Remove the cause, then go on: {retry}", f"Or take back what was made: {back}"]
    if kind is _K.DEGRADED:
        return [f"When that system answers again: {retry}"]
    if kind in WAITING:
        return [f"Look at the plan: GET {place}/plan", f"Then decide: POST {place}/approve or {place}/reject"]
    if kind is _K.EXPIRED:
        return ["Ask again with a new Idempotency-Key."]
    return []
