"""Breaking the glass: going on without the approvals that are missing, for a few hours, seen, and reviewed.

It is the only way past the separation of duties. It passes no rule: what the policies deny never becomes a plan that
waits for an approval.
"""

from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

from pydantic import ConfigDict, Field

from shared import authorisation, notices
from shared.authorisation import AUDIT, REVIEW, subject_of
from shared.clients import graph
from shared.decisions import open_needs
from shared.errors import ConfigurationError, IntegrationError, RequestRejectedError
from shared.identity import Caller
from shared.log import LOGGER
from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.break_glass import LONGEST_HOURS, BreakGlass, Review
from shared.models.messages import IntentRecord, MessageState
from shared.models.records import Decision, RequestRecord, RequestState
from shared.register import intents, requests, reviews
from shared.register._table import Write
from shared.register.audit import Entry
from triggers._acting import Authority
from triggers._http import Answer, Call, endpoint
from triggers._views import base
from triggers.http_decisions import decide, decision_of, require_current, require_in_time, require_shown
from triggers.http_messages import start_sending
from triggers.http_requests import Accepted, visible

Sentence = Annotated[PlainText, Field(min_length=10, max_length=500, pattern=r"^\S[\s\S]*\S$")]


class _Body(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})


class BreakGlassBody(_Body):
    """Body of ``break-glass``."""

    plan_digest: str = Field(pattern=r"^[0-9a-f]{64}$", description="Digest of the plan that was shown, all 64 digits.")
    reason: Sentence = Field(description="Why it cannot wait for the approvals.")
    ticket: str = Field(
        pattern=r"^[A-Z][A-Z0-9]{0,9}-?[0-9]{1,12}$", description="Incident or change, for example `INC0012345`."
    )
    hours: float = Field(ge=0.1, le=LONGEST_HOURS, description="For how long the plan may go on without its approvals.")
    second_person: str = Field(
        pattern=r"^[0-9A-Za-z][0-9A-Za-z._%+@-]{0,253}$",
        description="Sign-in name or object id of somebody else, who is told.",
    )


class ReviewBody(_Body):
    """Body of a review."""

    justified: bool = Field(description="Whether it was right to break the glass.")
    findings: Sentence = Field(description="What the review found.")


class ReviewList(Model):
    """Reviews of broken glass, the oldest first."""

    reviews: list[dict[str, Any]]


@endpoint(
    "POST",
    "requests/{id}/break-glass",
    action=Decision.BREAK_GLASS,
    summary="Go on without the approvals that are missing, for at most eight hours.",
    body=BreakGlassBody,
    answers={202: Accepted},
)
async def break_glass(call: Call) -> Answer:
    """Grant, decision, audit entry, open review and the message to the second person are written together or not."""
    record = await visible(call)
    authorisation.require(call.caller, Decision.BREAK_GLASS, subject_of(record))
    body = call.body(BreakGlassBody)
    await require_current(call, record, body.plan_digest)
    if notices.chat_of(record) is None:
        raise ConfigurationError("TEAMS_KEY_VAULT", "without a chat nobody can be told that the glass was broken")
    grant = _grant(call.caller, body, await _second_person(record, call.caller, body.second_person))
    number = len(await reviews.of_request(record.application, record.id)) + 1
    told = _told(record, grant, number)

    def change(old: RequestRecord) -> RequestRecord:
        require_shown(old, body.plan_digest)
        require_in_time(old)
        update = {"break_glass": grant, "state": RequestState.PROVISIONING, "approved_digest": body.plan_digest}
        return old.model_copy(update=update)

    def extra(_new: RequestRecord) -> list[Write]:
        return [intents.insertion(told), reviews.insertion(_review(record, grant, number))]

    lacking = ", ".join(need.rule for need in open_needs(record))
    reason = f"{grant.ticket}: {grant.reason} (without {lacking}; until {grant.expires_at}; told {grant.second_person})"
    decision = decision_of(Authority(call.caller), Decision.BREAK_GLASS, record, body.plan_digest, reason)
    answer = await decide(call, record, decision, change, key=str(number), extra=extra)
    try:
        await start_sending(call.client, told)
    except Exception:  # noqa: BLE001 - the message is written and due; the SDK raises bare Exception
        LOGGER.exception("%s is due but not started yet: the sweep will start it", told.key)
    return answer


def _grant(caller: Caller, body: BreakGlassBody, second: str) -> BreakGlass:
    now = datetime.now(UTC)
    return BreakGlass(
        plan_digest=body.plan_digest,
        actor=caller.id,
        actor_name=caller.name,
        reason=body.reason,
        ticket=body.ticket,
        second_person=second,
        granted_at=_text(now),
        expires_at=_text(now + timedelta(hours=body.hours)),
    )


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="milliseconds").replace("+00:00", "Z")


async def _second_person(record: RequestRecord, caller: Caller, name: str) -> str:
    """The sign-in name of the person who is told; as it was given when Graph does not answer: an emergency goes on.

    Raises:
        RequestRejectedError: 422, it is nobody, the caller, or the requester.
    """
    pointer = "/secondPerson"
    ids, names = {caller.id, record.requester}, {caller.name.lower(), record.requester_name.lower()}
    same = RequestRejectedError("invalid-field", "The second person is neither you nor the requester.", pointer=pointer)
    if name in ids or name.lower() in names:
        raise same
    try:
        found = await graph.find_person(name)
    except IntegrationError as error:
        LOGGER.warning("%s was not looked up: %s", name, error)
        return f"{name} (not looked up)"
    if found is None:
        raise RequestRejectedError("invalid-field", f"There is no person {name}.", pointer=pointer)
    if found.id in ids or found.user_principal_name.lower() in names:
        raise same
    return found.user_principal_name


def _told(record: RequestRecord, grant: BreakGlass, number: int) -> IntentRecord:
    message = notices.broken_glass(record, grant, base(), number)
    return IntentRecord(
        request_id=record.id,
        application=record.application,
        kind=message.kind,
        occasion=number,
        attempt=record.attempt,
        system=notices.chat_of(record) or "",
        state=MessageState.DUE,
        message=message,
        tries=0,
        created_at=grant.granted_at,
        updated_at=grant.granted_at,
    )


def _review(record: RequestRecord, grant: BreakGlass, number: int) -> Review:
    return Review(
        request_id=record.id, application=record.application, requester=record.requester, number=number, grant=grant
    )


@endpoint("GET", "reviews", action=AUDIT, summary="Reviews of broken glass.", answers={200: ReviewList})
async def list_reviews(call: Call) -> Answer:
    """List reviews; ``?state=open`` or ``closed`` narrows the list."""
    authorisation.require(call.caller, AUDIT)
    state = call.query.get("state")
    if state not in (None, "open", "closed"):
        raise RequestRejectedError("invalid-parameter", "state is open or closed.", status=400)
    return Answer(200, {"reviews": [review.document() for review in await reviews.every(state)]})


@endpoint(
    "POST",
    "requests/{id}/reviews/{number}",
    action=REVIEW,
    summary="Close the review of a broken glass.",
    body=ReviewBody,
    answers={200: Review},
)
async def close_review(call: Call) -> Answer:
    """Close a review; only somebody who neither broke the glass nor asked for the application can."""
    record = await visible(call)
    authorisation.require(call.caller, REVIEW, subject_of(record))
    body = call.body(ReviewBody)
    number = call.params.get("number", "")
    found = await reviews.find_for_update(record.application, record.id, int(number)) if _numeric(number) else None
    if found is None:
        raise RequestRejectedError("unknown-review", f"The request has no review {number}.", status=404)
    review, replacement = found
    if call.caller.id == review.grant.actor:
        raise RequestRejectedError("forbidden", "Who broke the glass does not review it.", status=403)
    if review.state != "open":
        raise RequestRejectedError("review-closed", f"{review.reviewer_name} has closed this review.", status=409)
    closed = review.model_copy(
        update={
            "state": "closed",
            "reviewer": call.caller.id,
            "reviewer_name": call.caller.name,
            "justified": body.justified,
            "findings": body.findings,
            "closed_at": _text(datetime.now(UTC)),
        }
    )
    words = "justified" if body.justified else "not justified"
    entry = Entry(
        f"{record.id}:review:{number}",
        _text(datetime.now(UTC)),
        call.caller.id,
        "review",
        record.id,
        f"{words}: {body.findings}",
    )
    await requests.transition(
        record.application,
        record.id,
        lambda old: old,
        entry,
        expect=list(RequestState),
        extra=lambda _new, _rows: [replacement(closed)],
    )
    found = await reviews.find_for_update(record.application, record.id, int(number))
    if found is None or found[0].reviewer != call.caller.id:
        raise RequestRejectedError("review-closed", "Somebody else was faster to close this review.", status=409)
    return Answer(200, found[0].document())


def _numeric(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 5  # noqa: PLR2004 - far more than there will be
