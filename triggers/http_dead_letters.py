"""Events that could not be handed over, with the reason: seen, replayed, discarded."""

from typing import Any

from shared import authorisation
from shared.authorisation import DEAD_LETTERS
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.models import Model
from shared.models.events import EventRecord, EventState
from shared.register import events
from shared.register.audit import Entry
from triggers._event_intake import hand_over
from triggers._http import Answer, Call, endpoint

_PAGE = 50


class DeadLetters(Model):
    """A page of dead letters; ``next`` is given as ``after`` for the page that follows."""

    items: list[dict[str, Any]]
    next: str | None = None


class DeadLetter(Model):
    """A dead letter as it is now."""

    id: str
    state: EventState


@endpoint("GET", "dead-letters", action=DEAD_LETTERS, summary="Dead letters, 50 a page.", answers={200: DeadLetters})
async def list_dead_letters(call: Call) -> Answer:
    """List what could not be handed over."""
    authorisation.require(call.caller, DEAD_LETTERS)
    found = await events.dead(call.query.get("after", ""), _PAGE + 1)
    page = found[:_PAGE]
    more = page[-1].id if len(found) > _PAGE else None
    return Answer(200, DeadLetters(items=[dict(record.document()) for record in page], next=more).document())


@endpoint(
    "POST",
    "dead-letters/{id}/replay",
    action=DEAD_LETTERS,
    summary="Try a dead letter once more.",
    answers={200: DeadLetter},
)
async def replay_dead_letter(call: Call) -> Answer:
    """Try it again; what was handed over already stays as it is, so that a repeat changes nothing."""
    claimed = await _turn(call, "replay", EventState.CLAIMED)
    record = await hand_over(call.client, claimed) if claimed.state is EventState.CLAIMED else claimed
    return Answer(200, DeadLetter(id=record.id, state=record.state).document())


@endpoint(
    "POST",
    "dead-letters/{id}/discard",
    action=DEAD_LETTERS,
    summary="Let a dead letter be.",
    answers={200: DeadLetter},
)
async def discard_dead_letter(call: Call) -> Answer:
    """Discard it: nothing is done about the event."""
    record = await _turn(call, "discard", EventState.DISCARDED)
    return Answer(200, DeadLetter(id=record.id, state=record.state).document())


async def _turn(call: Call, action: str, state: EventState) -> EventRecord:
    """Change a dead letter's state, with its audit entry; one that is not dead any more stays as it is."""
    authorisation.require(call.caller, DEAD_LETTERS)
    identifier = call.params.get("id", "")
    seen = await events.find(identifier)
    if seen is None:
        raise RequestRejectedError("unknown-event", f"There is no event {identifier}.", status=404)
    if seen.state is not EventState.DEAD:
        return seen
    number, now = seen.replays + 1, utc_now()
    entry = Entry(f"{seen.id}:{action}:{number}", now, call.caller.id, action, seen.id, seen.reason or action)

    def change(old: EventRecord) -> EventRecord | None:
        if old.state is not EventState.DEAD or old.replays != seen.replays:
            return None
        return old.model_copy(update={"state": state, "replays": number, "tries": 0, "updated_at": now})

    return await events.change(seen.id, change, entry) or seen
