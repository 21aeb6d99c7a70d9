"""Inputs and results of undo."""

from shared.models.plan import MadeObject
from shared.models.runs import ActivityInput, Effect, PipelineRun


class DestroyPlan(Effect):
    """The saved plan by which an environment is destroyed."""

    plan_sha256: str


class DestroyResult(ActivityInput):
    """Verify that an environment's infrastructure is gone.

    Attributes:
        plan_sha256: digest of the plan that destroys, once it is known.
    """

    run_id: str
    pipeline: PipelineRun
    plan_sha256: str = ""


class Settled(Effect):
    """What is still under way, or nothing."""

    busy: str | None = None


class Removed(Effect):
    """What is gone, and what the vendor keeps."""

    residue: list[MadeObject] = []


class UndoWork(Effect):
    """What the request has begun, and undo therefore has to look after.

    Attributes:
        begun: names of the steps that began, each once.
        namespaces, applied, proposed: environments in which a namespace, an apply, a pull request was begun.
        commits: commit of the variables per environment.
        residue: what stays in any case, for example a pushed image.
    """

    begun: list[str] = []
    namespaces: list[str] = []
    applied: list[str] = []
    proposed: list[str] = []
    commits: dict[str, str] = {}
    residue: list[MadeObject] = []
