"""Drift: the pipeline compares, the findings are written down, each has one issue, and what is safe is put right."""

from datetime import date
from typing import Any

from activities._activity import activity, look
from activities._guarded import Done, carry_out, keep_survey
from activities._iac import request_of, runner_result, start_run
from shared import drift, policies
from shared import plan as plans
from shared.clients import github, resources
from shared.clients._github import infrastructure
from shared.clock import utc_now
from shared.drift_proposals import digest_of, shown
from shared.drift_rules import drift_rules
from shared.errors import NotFoundError, PermanentIntegrationError, PolicyViolationError, VendorCall
from shared.guard import Permit
from shared.models.drift import (
    DetectDrift,
    DriftFound,
    DriftReport,
    DriftStarted,
    FindingState,
    ReadDrift,
    ReconciliationStarted,
    StartDrift,
)
from shared.models.operations import ActionRecord, OperationRecord, PlannedAction, PlannedCall, Survey, Wave
from shared.models.policy_decision import About
from shared.models.runs import ActivityInput, Effect, IacRun, Nothing, PipelineRun
from shared.names import state_key
from shared.plan import group_of
from shared.register import findings, operations, policy_decisions

_SHOWN = 50
_LOSES_DATA = "PLN-007"


@activity
async def start_drift(data: StartDrift) -> DriftStarted:
    """Start the pipeline that compares one environment with the code on ``main``; it changes nothing.

    Idempotency: the run's name carries our run id; an existing run of that name is returned.
    """
    head = await github.read_head(infrastructure(), "main")
    if head is None:
        call = VendorCall("github", "get reference", 404)
        raise NotFoundError(call, f"{infrastructure()} has no branch main")
    started = await start_run(IacRun(run=data.run, run_id=data.run_id, action="drift", commit=head))
    return DriftStarted(pipeline=started, commit=head, detail="compares", link=started.link)


@activity
async def read_drift(data: ReadDrift) -> DriftFound:
    """Verify what the pipeline found, judge it, and write the findings down; a dry run writes nothing.

    Idempotency: a finding is one row for each attribute; the same detection twice changes nothing, and an older one
    does not overrule a newer one.
    """
    result = await runner_result(data.run_id, "drift", data.pipeline)
    operation = await operations.get(data.run.application, data.run.request_id)
    change_set = result.change_set
    report = _report(operation, change_set)
    if not operation.dry_run:
        await _settle(operation, report)
    wanted = DetectDrift.model_validate(operation.parameters)
    possible = {"none": False, "safe": report.safe, "all": bool(report.findings)}[wanted.reconcile]
    possible &= wanted.findings in (None, digest_of(report.findings))
    await keep_survey(data, _survey(report, len(change_set["changes"])))
    return DriftFound(
        findings=len(report.findings),
        reconcile=possible,
        detail=_summary(report),
        link=data.pipeline.link,
    )


def _report(operation: OperationRecord, change_set: dict[str, Any]) -> DriftReport:
    return drift.compare(
        change_set,
        drift_rules(),
        application=operation.application,
        environment=str(operation.environment),
        today=date.fromisoformat(utc_now()[:10]),
    )


async def _settle(operation: OperationRecord, report: DriftReport) -> None:
    environment, at = str(operation.environment), operation.created_at
    await findings.settle(operation.application, environment, report.findings, detection=operation.id, at=at)


def _summary(report: DriftReport) -> str:
    if not report.findings:
        return f"no findings, {report.harmless} harmless differences"
    severities = [str(item.severity) for item in report.findings]
    counted = ", ".join(f"{severities.count(name)} {name}" for name in sorted(set(severities)))
    return f"{len(severities)} findings ({counted}), {report.harmless} harmless differences"


def _survey(report: DriftReport, scanned: int, actions: list[PlannedAction] | None = None) -> Survey:
    facts = {
        "findings": [item.document() for item in report.findings[:_SHOWN]],
        "ignored": [item.document() for item in report.ignored[:_SHOWN]],
        "expiredIgnores": report.expired[:_SHOWN],
        "harmless": report.harmless,
    }
    return Survey(actions=actions or [], scanned=scanned, summary=_summary(report), facts=facts)


@look
async def list_reconciliation(data: ReadDrift) -> Effect:
    """Plan the apply of the saved plan, unless the rules deny it: how far it may go without a person is the guard's.

    What holds data is never removed by a repair: no recovery point outlives it.

    Idempotency: reads at the vendor; the planned action is written over that of an earlier survey.
    """
    result = await runner_result(data.run_id, "plan", data.pipeline)
    operation = await operations.get(data.run.application, data.run.request_id)
    change_set = result.change_set
    report = _report(operation, change_set)
    if not result.plan_sha256:
        call = VendorCall("infrastructure pipeline", "plan")
        raise PermanentIntegrationError(call, f"the run {data.run_id} saved no plan")
    if not report.findings:  # somebody has put it right meanwhile
        return await keep_survey(data, _survey(report, len(change_set["changes"])))
    verdicts = await _judge(operation, data, change_set)
    _require_kept_data(verdicts)
    asks = bool(verdicts.require_approval)
    wanted = DetectDrift.model_validate(operation.parameters)
    beyond = wanted.reconcile == "safe" and (asks or not report.safe)
    if beyond or (wanted.findings and await _others(operation, report)):  # it is no longer what was found
        return await keep_survey(data, _survey(report, len(change_set["changes"])))
    rule = "reconcile-drift" if report.safe and not asks else "repair-drift"
    action = _planned(operation, data, change_set, rule=rule, plan_sha256=result.plan_sha256)
    return await keep_survey(data, _survey(report, len(change_set["changes"]), [action]))


async def _others(operation: OperationRecord, report: DriftReport) -> bool:
    """Whether the plan would put anything right that was not among the findings."""
    known = await findings.of_application(operation.application, operation.environment or "")
    open_ones = [record.difference for record in known if record.state is FindingState.OPEN]
    return not set(shown(report.findings)) <= set(shown(open_ones))


def _require_kept_data(verdicts: policies.Verdicts) -> None:
    """Demand that nothing that holds data is removed or made anew.

    Raises:
        PolicyViolationError: something is; the sentence names it.
    """
    lost = [item.message for item in verdicts.require_approval if item.id == _LOSES_DATA]
    if lost:
        remedy = "A repair never does that: change the code, so that it says what is there."
        raise PolicyViolationError((_LOSES_DATA,), f"{' '.join(lost[:5])} {remedy}")


async def _judge(operation: OperationRecord, data: ReadDrift, change_set: dict[str, Any]) -> policies.Verdicts:
    """Ask the rules.

    Raises:
        PolicyViolationError: a rule denies the plan.
    """
    record, environment = await request_of(data.run), str(operation.environment)
    monthly = plans.estimate(record.body).monthly
    question: dict[str, Any] = {
        "request": record.body.document(),
        "estimate": {"monthly": monthly},
        "time": operation.created_at,
        "environment": environment,
        "changeSet": change_set,
        "cost": {"monthly": monthly},
    }
    about = About(request_id=operation.id, application=operation.application, environment=environment)
    judgement = await policies.judge(policies.PLAN_RULES, question, about)
    await policy_decisions.keep(operation.application, [judgement.decision])
    verdicts = judgement.verdicts
    if verdicts.denied:
        sentences = "; ".join(f"{item.id} {item.message}" for item in verdicts.deny[:5])
        raise PolicyViolationError(verdicts.denying_rules, sentences)
    return verdicts


def _planned(
    operation: OperationRecord, data: ReadDrift, change_set: dict[str, Any], *, rule: str, plan_sha256: str
) -> PlannedAction:
    changing = [item for item in change_set["changes"] if item["action"] not in ("noop", "read")]
    taken = any(item["action"] in ("delete", "replace") for item in changing)
    target = state_key(operation.application, str(operation.environment))
    body = {"plan_sha256": plan_sha256, "changes": [f"{item['action']} {item['address']}" for item in changing]}
    return PlannedAction(
        key=target,
        rule=rule,
        kind="terraform state",
        target=target,
        environment=operation.environment,
        owned_by=operation.application,
        summary=f"apply the saved plan {plan_sha256[:12]}: {len(changing)} objects",
        calls=[PlannedCall(method="terraform apply", target=target, body=body)],
        destructive=taken,
        reversible=not taken,
        facts={"plan_run_id": data.run_id, "plan_sha256": plan_sha256, "commit": data.commit},
    )


@activity
async def set_reconciliation(data: Wave) -> ReconciliationStarted:
    """Start the apply of exactly the saved plan, if the guard allows it.

    Idempotency: the run's name carries the operation; an existing run of that name is returned, and the runner applies
    a plan once.
    """

    async def start(row: ActionRecord, _permit: Permit) -> Done:
        facts = {name: str(row.action.facts[name]) for name in ("plan_run_id", "plan_sha256", "commit")}
        run_id = facts["plan_run_id"].replace("-plan-", "-apply-")
        started = await start_run(IacRun(run=data.run, run_id=run_id, action="apply", **facts))
        result = {"pipeline": started.document(), "runId": run_id, "planSha256": facts["plan_sha256"]}
        return Done(detail="the apply began", result=result)

    group = group_of(await request_of(data.run), str(data.run.environment))
    result = await carry_out(data, start, lambda _: resources.is_locked(group))
    begun = await _begun(data, data.wave)
    if begun is None:
        return ReconciliationStarted(**result.model_dump())
    pipeline = PipelineRun.model_validate(begun["pipeline"])
    return ReconciliationStarted(**{**result.model_dump(), "pipeline": pipeline, "run_id": begun["runId"]})


async def _begun(data: ActivityInput, wave: int) -> dict[str, Any] | None:
    """What was written down when the apply began, in this try or in one whose answer was lost."""
    rows = [row async for row in operations.actions(data.run.application, data.run.request_id, wave)]
    return next((row.result for row in rows if row.result), None)


@activity
async def read_reconciliation(data: ReadDrift) -> Nothing:
    """Verify that exactly the saved plan was applied; then nothing differs any more, and the findings close.

    Idempotency: reads at the vendor; closing twice is closing once.
    """
    result = await runner_result(data.run_id, "apply", data.pipeline)
    if result.stale:
        call = VendorCall("infrastructure pipeline", "apply")
        raise PermanentIntegrationError(call, "Saved plan is stale: nothing was changed; detect the drift again")
    begun = await _begun(data, 0)
    if begun is None or result.plan_sha256 != begun["planSha256"]:
        call = VendorCall("infrastructure pipeline", "apply")
        raise PermanentIntegrationError(
            call, f"the run {data.run_id} applied another plan than the one that was judged"
        )
    operation = await operations.get(data.run.application, data.run.request_id)
    await _settle(operation, DriftReport())
    return Nothing(detail="the saved plan was applied", link=data.pipeline.link)
