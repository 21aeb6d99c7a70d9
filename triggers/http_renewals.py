"""Giving an application a later end: by its team as far as the rules allow, beyond that by two people."""

from datetime import UTC, date, datetime

from pydantic import ConfigDict, Field

from shared import authorisation, lifecycle
from shared.authorisation import APPROVE_RENEWAL, RENEW, Subject, subject_of
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.models import Model
from shared.models.application_request import PlainText
from shared.models.records import ApplicationRecord, Renewal, RequestRecord
from shared.register import applications, requests
from shared.register.audit import Entry
from triggers._expiry import end_of
from triggers._http import Answer, Call, endpoint
from triggers._views import application_view
from triggers.http_catalogue import visible_application

_RENEWABLE = ("active", "expired")
_POINTER = "/expiresOn"


class RenewalRequest(Model):
    """Body of ``renew``."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    expires_on: date = Field(description="The new last day, later than the present one.")
    reason: PlainText = Field(min_length=1, max_length=500, description="Why it is still needed, for the audit.")


class RenewalAnswer(Model):
    """The application after a renewal: `expiresOn` is its last day now, `renewal` what waits for an approver."""

    name: str
    state: str
    expires_on: str | None
    renewals: list[Renewal]
    renewal: Renewal | None
    links: dict[str, str]


@endpoint(
    "POST",
    "applications/{name}/renew",
    action=RENEW,
    summary="Give an application a later end. Beyond the limits a second person, an approver, sends the same date.",
    body=RenewalRequest,
    answers={200: RenewalAnswer, 202: "Beyond the limits: it waits for an approver."},
)
async def renew_application(call: Call) -> Answer:
    """Renew; the same date twice is one renewal."""
    application = await visible_application(call)
    authorisation.require(call.caller, RENEW, subject_of(application))
    body = call.body(RenewalRequest)
    request = await requests.get(application.name, application.request_id)
    today = datetime.now(UTC).date()

    def work(now: ApplicationRecord) -> tuple[ApplicationRecord, Entry] | None:
        if _done(now, body, call.caller):
            return None
        _require_possible(now, request, body, today)
        return _decided(now, request, body, call.caller)

    record = await applications.change(application.name, work)
    waits = record.renewal is not None and record.renewal.expires_on == body.expires_on.isoformat()
    return Answer(202 if waits else 200, application_view(record))


def _done(now: ApplicationRecord, body: RenewalRequest, caller: Caller) -> bool:
    """Whether this very renewal was done, or is asked for by this caller, already."""
    wanted = body.expires_on.isoformat()
    if now.renewal and now.renewal.expires_on == wanted and now.renewal.asked_by == caller.id:
        return True
    return now.expires_on == wanted and any(item.expires_on == wanted for item in now.renewals)


def _require_possible(now: ApplicationRecord, request: RequestRecord, body: RenewalRequest, today: date) -> None:
    end = end_of(now, request)
    if now.state not in _RENEWABLE:
        raise RequestRejectedError("not-renewable", f"The application is {now.state}.", status=409)
    if end is None:
        raise RequestRejectedError("not-renewable", "The application has no end.", status=409)
    if body.expires_on <= end:
        raise RequestRejectedError("not-a-renewal", f"Its last day is {end}; give a later one.", pointer=_POINTER)
    if body.expires_on < today:
        raise RequestRejectedError("not-a-renewal", "That day has passed; give a later one.", pointer=_POINTER)
    lifecycle.require_end(now.archetype, now.environments, body.expires_on, today)


def _decided(
    now: ApplicationRecord, request: RequestRecord, body: RenewalRequest, caller: Caller
) -> tuple[ApplicationRecord, Entry]:
    """The application after this call, and what the audit trail says of it."""
    wanted, moment = body.expires_on.isoformat(), utc_now()
    key = f"{request.id}:renew:{len(now.renewals) + 1}"
    mine = Renewal(expires_on=wanted, reason=body.reason, asked_by=caller.id, asked_at=moment)
    why = lifecycle.why_approval(now, body.expires_on)
    if why is None:
        return _renewed(now, mine), Entry(key, moment, caller.id, "renew", request.id, f"until {wanted}: {body.reason}")
    waiting = now.renewal
    if waiting is None or waiting.expires_on != wanted:
        detail = f"until {wanted}, which needs an approver because {why}: {body.reason}"
        asked = Entry(
            f"{key}:asked:{wanted}:{caller.id}:{moment}", moment, caller.id, "ask-renewal", request.id, detail
        )
        return now.model_copy(update={"renewal": mine}), asked
    for person in (waiting.asked_by, request.requester):
        authorisation.require(caller, APPROVE_RENEWAL, Subject(person, now.owner_team))
    approved = waiting.model_copy(update={"approved_by": caller.id})
    detail = f"until {wanted}, asked for by {waiting.asked_by}: {body.reason}"
    return _renewed(now, approved), Entry(key, moment, caller.id, "approve-renewal", request.id, detail)


def _renewed(now: ApplicationRecord, renewal: Renewal) -> ApplicationRecord:
    update = {
        "expires_on": renewal.expires_on,
        "renewals": [*now.renewals, renewal],
        "renewal": None,
        "state": "active",
        "expired_at": None,
    }
    return now.model_copy(update=update)
