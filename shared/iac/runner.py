"""The port behind which an engine plans and applies: submit a run, look at it, fetch its verified result."""

from typing import Any, Protocol

from shared.guard import Permit
from shared.models import Model
from shared.models.records import RequestRecord
from shared.models.runs import IacRun, PipelineRun


class IacResult(Model):
    """What a run that succeeded has to say.

    Attributes:
        plan_sha256: digest of what the run planned, applied or destroyed by; the approval is bound to it. None: the
            run had to hold it against what it was given before it could start.
        change_set: of a plan or of a comparison: engine-neutral and redacted, what rules judge and people approve.
        outputs: of an apply.
        stale: of an apply: the plan no longer fits what is there; nothing was changed.
    """

    plan_sha256: str | None = ""
    change_set: dict[str, Any] = {}
    outputs: dict[str, str] = {}
    stale: bool = False


class IacRunner(Protocol):
    """An engine. Actions: plan, drift (a plan that nobody applies), apply, destroy-plan, destroy."""

    async def submit(self, record: RequestRecord, run: IacRun, permit: Permit | None = None) -> PipelineRun:
        """Start a run, or return the one that was started under its id before. A destroy needs the guard's permit."""

    async def status(self, started: PipelineRun) -> PipelineRun:
        """The run as it is now; ``status`` is ``completed`` when it has ended, well or not."""

    async def result(self, run_id: str, action: str, ended: PipelineRun) -> IacResult:
        """The result of a run that has ended.

        Raises:
            PermanentIntegrationError: it failed; the sentence says why.
        """
