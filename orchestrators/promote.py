"""One release to the next stage, or a stage back to the release before: gates, approval, change, pipeline, proof."""

from contextlib import suppress

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import StepFailedError, Steps, call, follow, leased, moment
from shared.models.problem import Problem
from shared.models.promotions import (
    EvaluatePromotion,
    PromoteInput,
    PromotionSnapshot,
    PromotionState,
    Release,
    SetPromotionState,
    StartPromotion,
    VerifyRelease,
)
from shared.models.runs import ActivityInput, PipelineRun, ReadPipelineRun, Run
from shared.outcome import Outcome, OutcomeStatus

DECISION = "decision"
_S = PromotionState
_RECORDS = "servicenow"
_MANDATORY = frozenset({"prod"})  # no change in production without a change request
_GATE = "start_release"
_NOTHING_DEPLOYED = frozenset({_S.REFUSED, _S.REJECTED, _S.EXPIRED, _S.CANCELLED})


@orchestrator(PromoteInput)
def promote(context: df.DurableOrchestrationContext, data: PromoteInput) -> Steps[Outcome]:
    """Carry a promotion out. What fails parks it and keeps what exists; a gate that closed meanwhile refuses it."""
    run = Run(request_id=data.request_id, application=data.application, branch="promotion", attempt=data.attempt)
    try:
        return (yield from _promote(context, run, data))
    except StepFailedError as error:
        if error.outcome.status is OutcomeStatus.CANCELLED:
            return error.outcome
        problem = error.outcome.problem or Problem(code="internal", title="A step failed", detail="no reason was given")
        refused = problem.code == "policy-denied" and problem.step == _GATE
        yield from _set(context, run, data, _S.REFUSED if refused else _S.PARKED, problem)
        if refused:
            yield from _withdrawn(context, run, data)
        return error.outcome


def _promote(context: df.DurableOrchestrationContext, run: Run, data: PromoteInput) -> Steps[Outcome]:
    payload = ActivityInput(run=run)
    promotion = PromotionSnapshot.model_validate((yield from call(context, "begin_promotion", payload, data.pace)))
    if promotion.state == _S.EVALUATING:
        at = context.current_utc_datetime.strftime("%Y-%m-%dT%H:%M:%SZ")
        judged = yield from call(context, "evaluate_promotion", EvaluatePromotion(run=run, at=at), data.pace)
        promotion = PromotionSnapshot.model_validate(judged)
    if promotion.state == _S.AWAITING_APPROVAL:
        promotion = yield from _decided(context, run, data)
    if promotion.state not in (_S.DEPLOYING, _S.VERIFYING) or promotion.release is None:
        if promotion.state in _NOTHING_DEPLOYED and "open_release_change" in promotion.done:
            yield from _withdrawn(context, run, data)
        return Outcome.done(dict(promotion.document()))
    yield from leased(context, run, data.pace)
    lacking = yield from _change_opened(context, run, data, promotion)
    yield from _deployed(context, run, data, promotion, promotion.release)
    yield from _set(context, run, data, _S.VERIFYING)
    proof = VerifyRelease(run=run, release=promotion.release)
    yield from call(context, "verify_release", proof, data.pace)
    yield from call(context, "verify_record", proof, data.pace)
    lacking = lacking or (yield from _change_closed(context, run, data, promotion))
    yield from _set(context, run, data, _S.DEGRADED if lacking else _S.SUCCEEDED, lacking)
    return Outcome.done()


def _decided(context: df.DurableOrchestrationContext, run: Run, data: PromoteInput) -> Steps[PromotionSnapshot]:
    """Wait until somebody decided, or time is up. Events are hints; every wake reads the rows again."""
    payload = ActivityInput(run=run)
    while True:
        document = yield from call(context, "read_promotion", payload, data.pace)
        promotion = PromotionSnapshot.model_validate(document)
        if promotion.state != _S.AWAITING_APPROVAL or promotion.decide_before is None:
            return promotion
        deadline = moment(promotion.decide_before)
        if context.current_utc_datetime >= deadline:
            problem = Problem(code="expired", title="Nobody decided in time", detail="Ask for the promotion again.")
            yield from _set(context, run, data, _S.EXPIRED, problem)
            continue
        event = context.wait_for_external_event(DECISION)
        timer = context.create_timer(deadline)
        winner = yield context.task_any([event, timer])
        if winner != timer:
            timer.cancel()


def _withdrawn(context: df.DurableOrchestrationContext, run: Run, data: PromoteInput) -> Steps[None]:
    """Cancel the change of a promotion that ended before it deployed anything.

    A change that cannot be cancelled is a failed step, which an operator sees; the promotion has ended all the same.
    """
    removal = run.model_copy(update={"undo": True})
    with suppress(StepFailedError):
        yield from call(context, "withdraw_release_change", ActivityInput(run=removal), data.pace)


def _change_opened(
    context: df.DurableOrchestrationContext, run: Run, data: PromoteInput, promotion: PromotionSnapshot
) -> Steps[Problem | None]:
    """Open the change and bring it to Implement.

    Returns:
        What is wrong with it where it is not mandatory.
    """
    if _RECORDS not in promotion.record_systems:
        return None
    payload = ActivityInput(run=run)
    try:
        yield from call(context, "open_release_change", payload, data.pace)
        yield from call(context, "check_release_conflicts", payload, data.pace)
        yield from call(context, "start_release_change", payload, data.pace)
    except StepFailedError as error:
        if promotion.target in _MANDATORY or error.outcome.status is OutcomeStatus.CANCELLED:
            raise
        return error.outcome.problem
    return None


def _change_closed(
    context: df.DurableOrchestrationContext, run: Run, data: PromoteInput, promotion: PromotionSnapshot
) -> Steps[Problem | None]:
    """Close the change with the evidence; the release runs already, so that a failure is only told."""
    if _RECORDS not in promotion.record_systems:
        return None
    try:
        yield from call(context, "close_release_change", ActivityInput(run=run), data.pace)
    except StepFailedError as error:
        if error.outcome.status is OutcomeStatus.CANCELLED:
            raise
        return error.outcome.problem
    return None


def _deployed(
    context: df.DurableOrchestrationContext,
    run: Run,
    data: PromoteInput,
    promotion: PromotionSnapshot,
    release: Release,
) -> Steps[None]:
    """Have the repository's pipeline deploy the release, unless an earlier attempt did."""
    if "read_release" in promotion.done:
        return
    start = StartPromotion(run=run, release=release, operation=f"{data.request_id}-{data.attempt}")
    started = PipelineRun.model_validate((yield from call(context, "start_release", start, data.pace)))
    yield from follow(context, run, started, data.pace)
    judge = ReadPipelineRun(run=run, repository=started.repository, run_id=started.run_id)
    yield from call(context, "read_release", judge, data.pace)


def _set(
    context: df.DurableOrchestrationContext,
    run: Run,
    data: PromoteInput,
    state: PromotionState,
    problem: Problem | None = None,
) -> Steps[None]:
    yield from call(context, "set_promotion_state", SetPromotionState(run=run, state=state, problem=problem), data.pace)
