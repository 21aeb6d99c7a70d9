"""Asking for a message once more. The wish is written first, as a fact; only then it is worked on."""

from datetime import UTC, datetime, timedelta
from typing import Any

from shared import authorisation
from shared.authorisation import RESEND, subject_of
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.instance_ids import message_instance
from shared.log import LOGGER
from shared.models.messages import IntentRecord, MessageKind, MessageState, SendAgainInput
from shared.models.records import RequestRecord, RequestState
from shared.register import intents, requests
from shared.register.audit import Entry
from triggers._http import Answer, Call, endpoint
from triggers._intake import pace, start_once
from triggers.http_decisions import Reason
from triggers.http_requests import Accepted, accepted, visible

_S = MessageState
_LONGEST = timedelta(minutes=15)  # no activity runs this long
_AGAIN = frozenset({_S.UNCONFIRMED, _S.FAILED})
_WHY_NOT = {
    _S.SENT: "was sent already: a second one would be one too many",
    _S.SENDING: "is being sent; look again in a minute",
    _S.DUE: "will be sent again in a moment",
}


@endpoint(
    "POST",
    "requests/{id}/messages/{kind}/resend",
    action=RESEND,
    summary="Send a message again that failed, or of which nobody knows whether it arrived.",
    body=Reason,
    answers={202: Accepted},
)
async def resend_message(call: Call) -> Answer:
    """Send the latest message of a kind again; only if it failed or is unconfirmed."""
    record = await visible(call)
    authorisation.require(call.caller, RESEND, subject_of(record))
    reason = call.body(Reason).reason if call.raw else None
    latest = await _latest(record, call.params.get("kind", ""))
    found = await intents.find_for_update(record.application, record.id, latest.kind, latest.occasion)
    intent, replacement = found or (latest, None)
    if not (intent.state in _AGAIN or _abandoned(intent)) or replacement is None:
        detail = f"The {intent.kind} message {_WHY_NOT.get(intent.state, 'is not there any more')}."
        raise RequestRejectedError("message-not-open", detail, status=409)
    due = intent.model_copy(update={"state": _S.DUE, "tries": intent.tries + 1, "updated_at": utc_now()})
    entry = Entry(
        f"{record.id}:resend:{intent.kind}:{intent.occasion}:{intent.tries}",
        utc_now(),
        call.caller.id,
        "resend",
        record.id,
        reason or f"{intent.kind} message, {intent.state} before",
    )
    await requests.transition(
        record.application,
        record.id,
        lambda old: old,
        entry,
        expect=list(RequestState),
        extra=lambda _new, _rows: [replacement(due)],
    )
    try:
        await start_sending(call.client, due)
    except Exception:  # noqa: BLE001 - the wish is written and stands; the SDK raises bare Exception
        LOGGER.exception("%s is due but not started yet: the sweep will start it", due.key)
    return accepted(record)


def _abandoned(intent: IntentRecord) -> bool:
    """Nobody is sending it any more: its orchestration was terminated, for example."""
    return intent.state is _S.SENDING and datetime.fromisoformat(intent.updated_at) < datetime.now(UTC) - _LONGEST


async def _latest(record: RequestRecord, kind: str) -> IntentRecord:
    """The latest message of a kind, by its attempt.

    Raises:
        RequestRejectedError: 404, there is none.
    """
    found = [intent for intent in await intents.of_request(record.application, record.id) if intent.kind == kind]
    if not found:
        kinds = ", ".join(MessageKind)
        detail = f"Request {record.id} has no message {kind}; kinds are {kinds}, and each is there once it was meant."
        raise RequestRejectedError("unknown-message", detail, status=404)
    return max(found, key=lambda intent: intent.occasion)


async def start_sending(client: Any, due: IntentRecord) -> None:
    """Start the orchestration that sends a message that is due, unless it has been started."""
    payload = SendAgainInput(
        request_id=due.request_id,
        application=due.application,
        attempt=due.attempt,
        kind=due.kind,
        occasion=due.occasion,
        pace=pace(),
    )
    instance = message_instance(due.key, due.tries)
    await start_once(client, "send_again", instance, payload.document(), settled_at=due.updated_at)
