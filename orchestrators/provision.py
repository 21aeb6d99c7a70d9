"""Make one environment: merge its pull request, apply exactly its saved plan, create its namespace."""

import azure.durable_functions as df

from orchestrators._blueprint import orchestrator
from orchestrators._steps import StepFailedError, Steps, call, follow, value_of
from shared.instance_ids import child_instance, iac_run
from shared.models.plan import EnvironmentPlan
from shared.models.problem import Problem
from shared.models.runs import (
    ActivityInput,
    ApplyResult,
    ComparePlans,
    Comparison,
    EnvironmentInput,
    IacRun,
    MergeInfrastructureChange,
    PipelineRun,
    PlanResult,
    ReadApplyResult,
    Run,
)
from shared.outcome import Outcome

PLAN_CHANGED = "plan-changed"


@orchestrator(EnvironmentInput)
def provision(context: df.DurableOrchestrationContext, data: EnvironmentInput) -> Steps[Outcome]:
    """Value: ``ApplyResult``. A stale plan is made again: the same change set goes on, another one asks again."""
    plan = data.plan
    if plan is None:
        raise TypeError("provision needs the environment's plan")
    run = Run(
        request_id=data.request_id,
        application=data.application,
        branch="environment",
        environment=data.environment,
        attempt=data.run_attempt,
    )
    merge = MergeInfrastructureChange(run=run, pull_number=plan.pull_number, commit=plan.commit)
    yield from call(context, "merge_infrastructure_change", merge, data.pace)
    applied = yield from _apply(context, run, plan, plan, data)
    if applied.stale:
        again = yield from _plan_again(context, data)
        comparing = ComparePlans(run=run, approved=plan, again=again)
        compared = Comparison.model_validate((yield from call(context, "compare_plans", comparing, data.pace)))
        # What is left of an apply that broke off, or nothing at all, was approved already.
        if compared.deviations:
            detail = f"{data.environment} changed since the approval: {'; '.join(compared.deviations[:3])}"
            raise StepFailedError(Outcome.failed(Problem(code=PLAN_CHANGED, title="The plan changed", detail=detail)))
        applied = yield from _apply(context, run, again, plan, data)
    yield from call(context, "ensure_namespace", ActivityInput(run=run), data.pace)
    return Outcome.done(dict(applied.document()))


def _apply(
    context: df.DurableOrchestrationContext,
    run: Run,
    plan: EnvironmentPlan,
    approved: EnvironmentPlan,
    data: EnvironmentInput,
) -> Steps[ApplyResult]:
    attempt = f"{data.round}.{data.attempt}" + ("" if plan is approved else "b")
    run_id = iac_run(data.request_id, data.environment, "apply", attempt)
    iac = IacRun(
        run=run,
        run_id=run_id,
        action="apply",
        commit=plan.commit,
        plan_run_id=plan.run_id,
        plan_sha256=plan.plan_sha256,
    )
    started = PipelineRun.model_validate((yield from call(context, "start_apply", iac, data.pace)))
    ended = yield from follow(context, run, started, data.pace)
    result = ReadApplyResult(run=run, run_id=run_id, plan=plan, approved=approved, pipeline=ended)
    return ApplyResult.model_validate((yield from call(context, "read_apply_result", result, data.pace)))


def _plan_again(context: df.DurableOrchestrationContext, data: EnvironmentInput) -> Steps[EnvironmentPlan]:
    again = data.model_copy(update={"plan": None, "attempt": data.attempt + 100})
    instance = child_instance(str(context.instance_id), "replan")
    document = yield context.call_sub_orchestrator("plan_environment", again.document(), instance)
    return PlanResult.model_validate(value_of(document)).plan
