"""Asking for an application, and seeing how far it is."""

import re
from typing import Any

from pydantic import Field

from shared import authorisation
from shared.authorisation import ORDER, SEE
from shared.clients import blobs
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.instance_ids import request_id
from shared.models import Model
from shared.models.application_request import ApplicationRequest
from shared.models.policy_decision import PolicyDecision
from shared.models.records import RequestRecord
from shared.register import claims, delegations, intents, policy_decisions, requests, reviews, steps
from triggers._http import Answer, Call, endpoint
from triggers._intake import already_taken_in, judge, preview_document, take_in
from triggers._views import base, request_summary, request_view


class Accepted(Model):
    """A request that is on its way."""

    id: str = Field(description="Id of the request.")
    state: str = Field(description="State of the request.")
    links: dict[str, str] = Field(description="`self`: where to look.")


class Preview(Model):
    """What a request would make, cost and need; an estimate."""

    kind: str
    changes: list[dict[str, Any]]
    estimate: dict[str, Any]
    approvals: list[dict[str, Any]]
    approvers: dict[str, Any]
    verdicts: dict[str, Any]
    quota: dict[str, Any]
    landing_zones: dict[str, str]
    full: list[str]
    budget: dict[str, Any]


class PolicyDecisions(Model):
    """By which rules a request's plans were allowed or denied, oldest first; inputs by their digest only."""

    decisions: list[PolicyDecision]


class RequestList(Model):
    """Requests that the caller may see."""

    requests: list[dict[str, Any]]


class RequestView(Model):
    """A request with its steps, plan, decisions and messages."""

    id: str
    application: str
    state: str
    percent: int
    steps: list[dict[str, Any]]
    decisions: list[dict[str, Any]]
    messages: list[dict[str, Any]]
    links: dict[str, str]


@endpoint(
    "POST",
    "requests/preview",
    action=ORDER,
    summary="What a request would make, cost and need. Writes nothing.",
    body=ApplicationRequest,
    answers={200: Preview},
)
async def preview_request(call: Call) -> Answer:
    """Judge a request without any effect."""
    return Answer(200, preview_document(await judge(call.body(ApplicationRequest), call.caller)))


@endpoint(
    "POST",
    "requests",
    action=ORDER,
    summary="Request an application.",
    body=ApplicationRequest,
    answers={202: Accepted},
    headers=("Idempotency-Key",),
)
async def create_request(call: Call) -> Answer:
    """Take a request in: the same key and body always give the same answer."""
    key = call.idempotency_key()
    body = call.body(ApplicationRequest)
    with call.about(request_id(call.caller.tenant, call.caller.id, key)):
        found = await already_taken_in(call.caller, key, body)
        if found is None:
            found = await take_in(call.client, call.caller, key, await judge(body, call.caller))
        return accepted(found)


def accepted(record: RequestRecord) -> Answer:
    """202 with the request's place."""
    place = f"{base()}/requests/{record.id}"
    document = Accepted(id=record.id, state=record.state, links={"self": place})
    return Answer(202, document.document(), {"Location": place})


@endpoint("GET", "requests", action=SEE, summary="Requests that the caller may see.", answers={200: RequestList})
async def list_requests(call: Call) -> Answer:
    """List requests, newest first; ``?state=`` and ``?application=`` narrow the list."""
    state, application = call.query.get("state"), call.query.get("application")
    found = [
        record
        async for record in requests.every()
        if authorisation.may_see(call.caller, record)
        and (not state or record.state == state)
        and (not application or record.application == application)
    ]
    found.sort(key=lambda record: record.created_at, reverse=True)
    return Answer(200, {"requests": [request_summary(record, call.caller) for record in found]})


@endpoint("GET", "requests/{id}", action=SEE, summary="A request with its steps.", answers={200: RequestView})
async def get_request(call: Call) -> Answer:
    """Show a request."""
    record = await visible(call)
    done = await steps.of_request(record.application, record.id)
    undone = await steps.of_request(record.application, record.id, undo=True)
    decisions = await requests.decisions(record.application, record.id)
    messages = await intents.of_request(record.application, record.id)
    found = await reviews.of_request(record.application, record.id)
    return Answer(200, request_view(record, call.caller, done, undone, decisions, messages=messages, reviews=found))


@endpoint(
    "GET",
    "requests/{id}/plan",
    action=SEE,
    summary="The very bytes that the plan's digest covers.",
    answers={200: "The whole-estate plan."},
)
async def get_plan(call: Call) -> Answer:
    """Show the plan as it is approved: its SHA-256 is the digest."""
    record = await visible(call)
    if record.plan is None:
        raise RequestRejectedError("no-plan", f"The request is {record.state}: there is no plan yet.", status=404)
    content = await blobs.read_document(record.plan.blob)
    return Answer(200, text=content, headers={"ETag": f'"{record.plan.digest}"'})


@endpoint(
    "GET",
    "requests/{id}/policy-decisions",
    action=SEE,
    summary="By which rules, when and by which engine the request's plans were judged.",
    answers={200: PolicyDecisions},
)
async def list_policy_decisions(call: Call) -> Answer:
    """Show the decision log of a request."""
    record = await visible(call)
    found = await policy_decisions.of_request(record.application, record.id)
    return Answer(200, PolicyDecisions(decisions=found).document())


async def _stands_in(caller: Caller) -> bool:
    """Whether somebody has delegated to the caller, who then sees what an approver sees."""
    now = utc_now()
    return not caller.is_service and any(item.holds(now) for item in await delegations.to(caller.id))


async def visible(call: Call) -> RequestRecord:
    """The request of the path, if the caller may see it; otherwise it does not exist for the caller."""
    identifier = call.params.get("id", "")
    claim = await claims.get(identifier) if re.fullmatch(r"req-[0-9a-f]{12}", identifier) else None
    record = await requests.find(claim.application, identifier) if claim else None
    if record is None or not (authorisation.may_see(call.caller, record) or await _stands_in(call.caller)):
        raise RequestRejectedError("unknown-request", f"There is no request {identifier}.", status=404)
    return record
