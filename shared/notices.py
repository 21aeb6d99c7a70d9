"""What the channel is told: one welcome, and what happened to a request. Pure: rows in, messages out."""

from collections.abc import Sequence

from shared.models.messages import Fact, Link, Message, MessageKind
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.records import RequestRecord

_K = MessageKind
CHATS = ("teams", "slack")
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
        kind: any but the welcome.
        record: the request.
        base: prefix of the API's addresses.
        attempt: the attempt that it tells of.
        problem: what went wrong or is lacking.
        residue: what is left.
        undo: whether it happened to an undo.
    """
    name, place = record.application, f"{base}/requests/{record.id}"
    titles = {
        _K.PARKED: f"The undo of {name} has stopped" if undo else f"{name} is parked",
        _K.DEGRADED: f"{name} runs, but something is missing",
        _K.EXPIRED: f"The plan for {name} has expired",
        _K.UNDONE: f"{name} was undone",
        _K.RESIDUE: f"{name} left something behind",
    }
    texts = {
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
        items={_K.DEGRADED: _missing(record), _K.RESIDUE: left}.get(kind, []),
        next_steps=_next(kind, place, undo=undo or record.undo_begun),
    )


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


def _facts(record: RequestRecord, problem: Problem | None, attempt: int) -> list[Fact]:
    step = [Fact(name="Step", value=problem.step)] if problem and problem.step else []
    team = [Fact(name="Owner", value=record.body.owner_team), Fact(name="Requested by", value=record.requester_name)]
    return [*step, *team, Fact(name="Request", value=f"{record.id}, attempt {attempt}")]


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
    if kind is _K.EXPIRED:
        return ["Ask again with a new Idempotency-Key."]
    return []
