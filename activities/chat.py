"""Messages to the team's channel in Teams or Slack: the intent is written first, so that none is sent twice."""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from activities._activity import activity, look, problem_of
from shared import links, messages, notices
from shared.clients import slack, teams
from shared.clock import utc_now
from shared.errors import (
    AppStoreError,
    ConfigurationError,
    IntegrationError,
    PermanentIntegrationError,
    TransientIntegrationError,
    VendorCall,
)
from shared.log import LOGGER, redact
from shared.models.messages import ONCE, IntentRecord, Message, MessageKind, MessageState, SendAgain, SendNotice
from shared.models.plan import MadeObject
from shared.models.problem import Problem
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import ActivityInput, Nothing
from shared.register import intents, requests
from shared.settings import AppStoreSettings, load

_S = MessageState
_CLOCKS = timedelta(minutes=10)  # by how much our clock and the vendor's may differ
_THROTTLED = 429
_UNCONFIRMED = "message-unconfirmed"
_DIED = "the run that sent it ended before it had an answer"

type Compose = Callable[[], Awaitable[Message]]


@dataclass(frozen=True)
class _Chat:
    """What a chat can do.

    Attributes:
        title: its name for people.
        post: posts a message; returns the vendor's id of it, when there is one.
        find: looks for the message; None when nobody can look.
        link: address of a message.
    """

    title: str
    post: Callable[[IntentRecord], Awaitable[str | None]]
    find: Callable[[IntentRecord], Awaitable[str | None]] | None = None
    link: Callable[[str], Awaitable[str]] | None = None


async def _post_to_teams(intent: IntentRecord) -> str | None:
    await teams.post_card(messages.adaptive_card(intent.message))
    return None


async def _post_to_slack(intent: IntentRecord) -> str | None:
    message = intent.message
    posted = await slack.post_message(intent.key, messages.fallback(message), messages.blocks(message))
    return f"{posted.channel}/{posted.ts}"


async def _find_in_slack(intent: IntentRecord) -> str | None:
    found = await slack.find_message(intent.key, datetime.fromisoformat(intent.created_at) - _CLOCKS)
    return f"{found.channel}/{found.ts}" if found else None


async def _link_in_slack(reference: str) -> str:
    channel, _, stamp = reference.partition("/")
    return await slack.read_permalink(slack.Posted(channel=channel, ts=stamp))


_CHATS = {
    "teams": _Chat("Teams", _post_to_teams),
    "slack": _Chat("Slack", _post_to_slack, _find_in_slack, _link_in_slack),
}


@activity
async def send_welcome(data: ActivityInput) -> Nothing:
    """Send the application's one welcome, with the links that open.

    Idempotency: an intent row before the message. Where a run died between the two, Slack is asked for the message by
    its key, and in Teams, where nobody can look, it stays unconfirmed and is not sent again.
    """
    run = data.run
    record = await requests.get(run.application, run.request_id)
    closed: list[str] = []

    async def compose() -> Message:
        opened, not_opened = await links.open_links(record)
        closed.extend(not_opened)
        return notices.welcome(record, opened)

    intent = await _deliver(_intent(record, MessageKind.WELCOME, ONCE, run.attempt), compose)
    words = f"{_CHATS[intent.system].title}: {intent.state}, {len(intent.message.links)} links"
    detail = "; ".join([words, *(f"not sent, it does not open: {link}" for link in closed)])
    made = [MadeObject(system=intent.system, type="welcome message", name=record.application)]
    return Nothing(detail=detail, link=intent.link, made=made if intent.state is _S.SENT else [])


@look
async def send_notice(data: SendNotice) -> Nothing:
    """Tell the channel how an attempt ended, or that a plan waits; a request without a chat has nobody to tell.

    Idempotency: an intent row per kind and occasion, as for the welcome.
    """
    run = data.run
    record = await requests.get(run.application, run.request_id)
    if notices.chat_of(record) is None:
        return Nothing(detail="no chat")
    if data.kind in notices.WAITING and record.state is not RequestState.AWAITING_APPROVAL:
        return Nothing(detail="decided meanwhile")
    occasion = run.attempt if data.occasion is None else data.occasion

    async def compose() -> Message:
        return notices.notice(
            data.kind,
            record,
            base=_base(),
            attempt=run.attempt,
            problem=data.problem,
            residue=data.residue,
            undo=run.undo,
        )

    intent = await _deliver(_intent(record, data.kind, occasion, run.attempt), compose)
    return Nothing(detail=intent.state, link=intent.link)


@look
async def send_due(data: SendAgain) -> Nothing:
    """Send a message that somebody asked for again, or that the sweep left.

    Idempotency: only a message that is due is sent; Slack is asked for it first.
    """
    run = data.run
    found = await intents.find(run.application, run.request_id, data.kind, data.occasion)
    if found is None or found.state is _S.SENT:
        return Nothing(detail="nothing to send")
    record, kept = await requests.get(run.application, run.request_id), found.message

    async def compose() -> Message:
        if found.kind is not MessageKind.WELCOME:
            return kept
        opened, _ = await links.open_links(record)
        return notices.welcome(record, opened)

    try:
        intent = await _deliver(found, compose)
    except AppStoreError as error:
        await _not_due_any_more(found, error)
        raise
    return Nothing(detail=intent.state, link=intent.link)


async def _not_due_any_more(found: IntentRecord, error: AppStoreError) -> None:
    """It could not even be begun: it is again what it was before somebody asked for it."""
    before = found.problem.code if found.problem else ""
    state = _S.UNCONFIRMED if before == _UNCONFIRMED else _S.FAILED
    problem = problem_of(error, "send message") if state is _S.FAILED else found.problem

    def work(now: IntentRecord) -> IntentRecord | None:
        return now.model_copy(update={"state": state, "problem": problem}) if now.state is _S.DUE else None

    await intents.change(found, work)


def _base() -> str:
    return f"{load(AppStoreSettings).public_url.rstrip('/')}/api"


def _intent(record: RequestRecord, kind: MessageKind, occasion: int, attempt: int) -> IntentRecord:
    """A new intent, its text still to be written.

    Raises:
        ConfigurationError: the request uses no chat.
    """
    system, now = notices.chat_of(record), utc_now()
    if system is None:
        raise ConfigurationError("TEAMS_KEY_VAULT", "the request was taken in without a chat")
    return IntentRecord(
        request_id=record.id,
        application=record.application,
        kind=kind,
        occasion=occasion,
        attempt=attempt,
        system=system,
        state=_S.SENDING,
        message=Message(kind=kind, title=""),
        created_at=now,
        updated_at=now,
    )


async def _deliver(wanted: IntentRecord, compose: Compose) -> IntentRecord:
    """Bring one message into the channel at most once; returns what became of it.

    Raises:
        AppStoreError: it is certainly not there, or Slack could not be asked.
    """
    found = await intents.find(wanted.application, wanted.request_id, wanted.kind, wanted.occasion)
    if found is not None:
        settled = await _settled(found)
        if settled is not None:
            return settled
    message = await compose()
    intent = await _claim(wanted, found, message)
    if intent is None:
        call = VendorCall(wanted.system, "send message")
        raise TransientIntegrationError(call, "another run is sending this message")
    return await _send(intent)


async def _settled(found: IntentRecord) -> IntentRecord | None:
    """What became of an earlier try; None when the message is not there and may be sent."""
    chat = _CHATS[found.system]
    if found.state is _S.SENT or (found.state is _S.UNCONFIRMED and chat.find is None):
        return found
    if chat.find is not None:
        reference = await chat.find(found)
        return await _sent(found, reference) if reference else None
    return await _unconfirmed(found) if found.state is _S.SENDING else None


async def _claim(wanted: IntentRecord, found: IntentRecord | None, message: Message) -> IntentRecord | None:
    """Write down that the message is being sent; None when another run was faster."""
    if found is None:
        intent, ours = await intents.begin(wanted.model_copy(update={"message": message}))
        return intent if ours else None
    update = {
        "state": _S.SENDING,
        "message": message,
        "attempt": wanted.attempt,
        "tries": found.tries + 1,
        "problem": None,
    }

    def take(now: IntentRecord) -> IntentRecord | None:
        same = (now.state, now.tries) == (found.state, found.tries)
        return now.model_copy(update=update) if same else None

    return await intents.change(found, take)


async def _send(intent: IntentRecord) -> IntentRecord:
    chat = _CHATS[intent.system]
    try:
        reference = await chat.post(intent)
    except AppStoreError as error:
        problem = problem_of(error, "send message")
        LOGGER.warning("%s was not sent: %s", intent.key, problem.detail)
        if _certain(error, intent.system):
            await _note(intent, _S.FAILED, problem=problem)
            raise
        unconfirmed = await _unconfirmed(intent, str(error))
        if chat.find is not None:
            raise  # the next try looks for it
        return unconfirmed
    return await _sent(intent, reference)


def _certain(error: AppStoreError, system: str) -> bool:
    """Whether the message is certainly not in the channel: nobody was asked to post it, or was and refused."""
    if not isinstance(error, IntegrationError) or error.call.integration != system:
        return True
    return isinstance(error, PermanentIntegrationError) or error.call.status_code == _THROTTLED


async def _sent(intent: IntentRecord, reference: str | None) -> IntentRecord:
    return await _note(intent, _S.SENT, reference=reference, link=await _link(intent, reference), problem=None)


async def _link(intent: IntentRecord, reference: str | None) -> str | None:
    """Where the message is; that nobody says so does not make it unsent."""
    look_up = _CHATS[intent.system].link
    if look_up is None or reference is None:
        return None
    try:
        return await look_up(reference)
    except IntegrationError as error:
        LOGGER.warning("no address of %s: %s", intent.key, error)
        return None


async def _unconfirmed(intent: IntentRecord, reason: str = _DIED) -> IntentRecord:
    place = f"{_base()}/requests/{intent.request_id}/messages/{intent.kind}/resend"
    detail = f"It may or may not be in the channel: {reason}. Look there; if it is missing, POST {place} sends it."
    problem = Problem(code="message-unconfirmed", title="Nobody knows whether it arrived", detail=redact(detail))
    return await _note(intent, _S.UNCONFIRMED, problem=problem)


async def _note(intent: IntentRecord, state: MessageState, **update: object) -> IntentRecord:
    """Write down what became of a message; what is known to be sent stays sent."""

    def work(now: IntentRecord) -> IntentRecord | None:
        if now.state is _S.SENT or now.tries != intent.tries:
            return None
        return now.model_copy(update={"state": state, **update})

    noted = await intents.change(intent, work)
    return noted or await intents.find(intent.application, intent.request_id, intent.kind, intent.occasion) or intent
