"""Rows of the register as people and machines get to see them."""

from typing import Any

from shared import archetypes
from shared import plan as plans
from shared.authorisation import allowed_actions
from shared.clients._github import owner
from shared.decisions import open_needs
from shared.identity import Caller
from shared.models.break_glass import Review
from shared.models.messages import IntentRecord
from shared.models.records import ApplicationRecord, DecisionRecord, RequestRecord, RequestState, StepRecord, StepState
from shared.settings import AppStoreSettings, load

_UNDECIDED = frozenset({RequestState.AWAITING_APPROVAL})
_ENDED = frozenset({RequestState.SUCCEEDED, RequestState.DEGRADED, RequestState.UNDONE})
_TOPICS = ("operations", "promotions", "secrets", "backups", "drift", "costs")


def base() -> str:
    """Prefix of links."""
    settings = load(AppStoreSettings)
    return f"{settings.public_url.rstrip('/')}/api"


def request_summary(record: RequestRecord, caller: Caller) -> dict[str, Any]:
    """A request in a list."""
    return {
        "id": record.id,
        "application": record.application,
        "archetype": record.body.archetype,
        "ownerTeam": record.body.owner_team,
        "requester": record.requester_name,
        "state": record.state,
        "createdAt": record.created_at,
        "updatedAt": record.updated_at,
        "allowedActions": allowed_actions(caller, record),
        "links": {"self": f"{base()}/requests/{record.id}"},
    }


def request_view(
    record: RequestRecord,
    caller: Caller,
    steps: list[StepRecord],
    undo_steps: list[StepRecord],
    decisions: list[DecisionRecord],
    *,
    messages: list[IntentRecord],
    reviews: list[Review],
) -> dict[str, Any]:
    """A request with its steps, plan, decisions and messages."""
    plan = record.plan
    return {
        **request_summary(record, caller),
        "attempt": record.attempt,
        "round": record.round,
        "percent": percent(record, steps),
        "decideBefore": record.decide_before,
        "escalatedAt": record.escalated_at,
        "openApprovals": [need.rule for need in open_needs(record)] if record.state in _UNDECIDED else [],
        "breakGlass": record.break_glass.document() if record.break_glass else None,
        "reviews": [review.document() for review in reviews],
        "problem": record.problem.document() if record.problem else None,
        "plan": {"digest": plan.digest, **plan.summary, "approvals": plan.approvals} if plan else None,
        "approvedDigest": record.approved_digest,
        "steps": [step_view(step) for step in steps],
        "undoSteps": [step_view(step) for step in undo_steps],
        "decisions": [decision.document() for decision in decisions],
        "messages": [message_view(message) for message in messages],
        "result": record.result,
        "residue": [item.document() for item in record.residue],
        "links": links(record),
    }


def step_view(step: StepRecord) -> dict[str, Any]:
    """A step as people see it; results that only the next step needs are left out."""
    document = dict(step.document())
    for name in ("outcome", "fingerprint", "schemaVersion", "requestId", "triedAt", "runAttempt"):
        document.pop(name, None)
    return document


def message_view(intent: IntentRecord) -> dict[str, Any]:
    """A message as people see it; `problem` says what is wrong with one that failed or is unconfirmed."""
    return {
        "kind": intent.kind,
        "attempt": intent.attempt,
        "state": intent.state,
        "system": intent.system,
        "link": intent.link,
        "problem": intent.problem.document() if intent.problem else None,
    }


def links(record: RequestRecord) -> dict[str, str]:
    """Where to look: the request, its plan, and the archetype's links once the application exists."""
    found = {"self": f"{base()}/requests/{record.id}"}
    if record.plan:
        found["plan"] = f"{base()}/requests/{record.id}/plan"
    if record.state in _ENDED - {RequestState.UNDONE} and record.plan:
        found |= application_links(record)
    return found


def application_links(record: RequestRecord) -> dict[str, str]:
    """The archetype's links with their placeholders filled in."""
    body = record.body
    archetype = archetypes.find(body.archetype)
    parameters = archetypes.complete_parameters(archetype, body.parameters)
    repository = next((item.name for item in _changes(record) if item.type == "repository"), "")
    found = {}
    for link in archetype.links:
        if any(parameters.get(name) != value for name, value in link.when.items()):
            continue
        values = {"application": body.name, "repository": repository}
        if link.scope == "application":
            found[link.title] = link.url.format(**values)
            continue
        for environment in body.environments[:1]:
            host = plans.host_of(record, str(environment))
            found[f"{link.title} {environment}"] = link.url.format(**values, environment=environment, hostname=host)
    return found


def _changes(record: RequestRecord) -> list[Any]:
    return list(plans.expected_changes(record.body, f"{owner()}/{record.application}", record.systems, terraform=False))


def percent(record: RequestRecord, steps: list[StepRecord]) -> int:
    """How far a request is, by steps done of those a flow of this many environments has."""
    if record.state in _ENDED:
        return 100
    environments = len(record.body.environments)
    expected = 4 + 3 * environments + 4 * environments + 2 * environments + 3
    done = sum(step.state is StepState.DONE for step in steps)
    return min(99, round(100 * done / expected))


def application_view(record: ApplicationRecord) -> dict[str, Any]:
    """An application or a reserved name, and where its Day-2 is told."""
    place = f"{base()}/applications/{record.name}"
    told = {topic: f"{place}/{topic}" for topic in _TOPICS}
    return {**record.document(), "links": {"self": place, "request": f"{base()}/requests/{record.request_id}", **told}}
