"""Inputs of orchestrators and activities."""

from shared.models import Model
from shared.models.plan import EnvironmentPlan, MadeObject
from shared.models.problem import Problem
from shared.origin import Origin


class Pace(Model):
    """Waiting times, read from the settings by the trigger: an orchestrator may not read settings.

    Attributes:
        poll_seconds: first interval between two looks at a pipeline run; doubles up to 30 s.
        retry_seconds: fixed interval between two tries of an activity.
        retry_attempts: tries of an activity.
        run_minutes: after this a pipeline run counts as lost.
    """

    poll_seconds: float = 5.0
    retry_seconds: float = 15.0
    retry_attempts: int = 4
    run_minutes: float = 60.0


class Run(Model):
    """Which run an activity works for.

    Attributes:
        request_id: the request.
        application: its application, the register's partition.
        branch: source, environment, deployment ...: the group that people see.
        environment: the environment, None for the application as a whole.
        attempt: attempt of the request that the run belongs to; an activity of an older one no longer starts.
        undo: whether the run removes what the request made.
        origin: whether a person waits for it.
    """

    request_id: str
    application: str
    branch: str = "request"
    environment: str | None = None
    attempt: int = 1
    undo: bool = False
    origin: Origin = Origin.PERSON


class OnboardInput(Model):
    """Input of ``onboard`` and of its branches."""

    request_id: str
    application: str
    attempt: int = 1
    flow_version: int = 1
    pace: Pace = Pace()


class EnvironmentInput(Model):
    """Input of ``plan_environment`` and ``provision`` (``plan``); ``attempt`` names the pipeline runs."""

    request_id: str
    application: str
    environment: str
    attempt: int = 1
    run_attempt: int = 1
    round: int = 1
    pace: Pace = Pace()
    plan: EnvironmentPlan | None = None


class UndoInput(Model):
    """Input of ``undo``; ``final_state`` is the state that the request keeps afterwards."""

    request_id: str
    application: str
    attempt: int = 1
    final_state: str = "undone"
    pace: Pace = Pace()


class ActivityInput(Model):
    """What every activity is given."""

    run: Run


class Effect(Model):
    """Base of activity results: what people see of a step.

    Attributes:
        detail: a few words, for example ``1 commit, 41 files``.
        link: where to look at it.
        made: objects that carry the request id now.
    """

    detail: str | None = None
    link: str | None = None
    made: list[MadeObject] = []


class Nothing(Effect):
    """Result of a step that has nothing to hand on."""


class LeaseTaken(Effect):
    """Who changes the application now; ours when ``holder`` is our own id."""

    holder: str


class RequestSnapshot(Effect):
    """The request as an orchestrator needs it after waking up.

    Attributes:
        environments: environments to make, in promotion order.
        systems: optional systems that keep records of the application.
        planned: plans of the current round that exist already.
        outputs: Terraform outputs of the environments that are applied already.
        applied: pipeline run of the plan that was applied, by environment.
        done: finished steps as ``branch@environment:name``.
        break_glass_until: end of the grant that stands for missing approvals; None when none does.
        servicenow: whether a part of the decision about the plan is made there.
    """

    state: str
    round: int
    environments: list[str]
    systems: list[str] = []
    digest: str | None = None
    asked_at: str | None = None
    decide_before: str | None = None
    approved_digest: str | None = None
    break_glass_until: str | None = None
    servicenow: bool = False
    planned: list[EnvironmentPlan] = []
    outputs: dict[str, dict[str, str]] = {}
    applied: dict[str, str] = {}
    subject_prefix: str = ""
    done: list[str] = []


class SetPlan(ActivityInput):
    """Assemble the whole-estate plan from the planned environments.

    Attributes:
        at: when the plans were there, ISO 8601: the time that the rules decide by, the same at every repeat. Empty in
            payloads of older versions.
    """

    round: int
    environments: list[EnvironmentPlan]
    at: str = ""


class PlanSet(Effect):
    """The plan waits for approval now."""

    digest: str
    decide_before: str
    asked_at: str = ""
    servicenow: bool = False


PARKED = "parked"  # what `park_request` says when it has parked the request


class ParkRequest(ActivityInput):
    """Stop here, tell why, keep everything."""

    problem: Problem


class AskAgain(ActivityInput):
    """The plan of this round no longer fits."""

    round: int


class OpenInfrastructureChange(ActivityInput):
    """Propose the variables of one environment as a pull request."""

    round: int


class InfrastructureChange(Effect):
    """The pull request in the infrastructure repository."""

    pull_number: int
    pull_url: str
    commit: str
    branch: str


class IacRun(ActivityInput):
    """One run of the infrastructure pipeline.

    Attributes:
        run_id: ours, deterministic; the pipeline carries it in its name.
        action: plan, apply or destroy.
        commit: commit of the infrastructure repository whose variables are used.
        plan_run_id: for apply: the run that saved the plan.
        plan_sha256: for apply: digest of the plan file that may be applied, no other.
    """

    run_id: str
    action: str
    commit: str
    plan_run_id: str = ""
    plan_sha256: str = ""


class PipelineRun(Effect):
    """A run of a pipeline at GitHub, or of a deployment stack at ``place``, its ARM id, in Azure."""

    repository: str = ""
    run_id: int = 0
    place: str = ""
    status: str = "queued"
    conclusion: str | None = None


class ReadPipelineRun(ActivityInput):
    """Look at a run of a workflow in a repository of the organisation, or at ``place`` in Azure."""

    repository: str = ""
    run_id: int = 0
    place: str = ""


class ReadPlanResult(ActivityInput):
    """Fetch and verify the plan that a pipeline run saved."""

    run_id: str
    round: int
    change: InfrastructureChange
    pipeline: PipelineRun


class PlanResult(Effect):
    """The verified plan of one environment."""

    plan: EnvironmentPlan


class ReadApplyResult(ActivityInput):
    """Fetch and verify the result of an apply.

    Attributes:
        plan: the plan that was applied.
        approved: the plan that was approved; the same, or the one that ``plan`` was made anew for.
    """

    run_id: str
    plan: EnvironmentPlan
    approved: EnvironmentPlan
    pipeline: PipelineRun


class ApplyResult(Effect):
    """What Terraform reports; ``stale`` when the saved plan no longer fits the state and nothing was changed."""

    outputs: dict[str, str] = {}
    plan_run_id: str = ""
    stale: bool = False


class ComparePlans(ActivityInput):
    """Is the plan that was made again part of the approved one?"""

    approved: EnvironmentPlan
    again: EnvironmentPlan


class Comparison(Effect):
    """What the new plan does beyond the approved one; empty when nothing."""

    deviations: list[str] = []


class MergeInfrastructureChange(ActivityInput):
    """Merge the pull request at exactly the approved commit."""

    pull_number: int
    commit: str


class Repository(Effect):
    """The application's repository.

    Attributes:
        subject_prefix: immutable prefix of the OIDC subjects of its workflows.
    """

    id: int
    full_name: str
    html_url: str
    subject_prefix: str


class Deployment(ActivityInput):
    """Input of the deployment branch's activities.

    Attributes:
        outputs: Terraform outputs of the environment.
        subject_prefix: of the repository.
        operation: names the pipeline run: request id and attempt.
    """

    outputs: dict[str, str] = {}
    subject_prefix: str = ""
    operation: str = ""


class DeployInput(Model):
    """Input of the orchestrator ``deploy``."""

    request_id: str
    application: str
    environment: str
    first: bool
    attempt: int = 1
    pace: Pace = Pace()
    outputs: dict[str, str] = {}
    subject_prefix: str = ""
    done: list[str] = []


class OptionalInput(Model):
    """Input of the branches of optional systems.

    Attributes:
        closing: whether the application runs.
        digest: digest of the approved plan; empty in runs that began before its approvals were copied to the records.
    """

    request_id: str
    application: str
    attempt: int = 1
    closing: bool = False
    digest: str = ""
    pace: Pace = Pace()


class FinishRequest(ActivityInput):
    """Set the final state of a run; ``problem`` says what a degraded one lacks."""

    state: str
    problem: Problem | None = None
    residue: list[MadeObject] = []
