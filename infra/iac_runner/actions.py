"""What a run does: plan, apply exactly a saved plan, look for drift, read outputs, release a lock left behind."""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from .artefacts import CHANGE_SET, PLAN, RESULT, STARTED, Artefacts
from .changeset import canonical, change_set, drift, sha256
from .problems import RunError
from .settings import Settings
from .terraform import Outcome, Terraform

_QUIET = ("-json", "-input=false", "-no-color")
_NO_STATE = "No state file was found"
_PLANNED_BY = {"apply": "plan", "destroy": "destroy-plan"}


@dataclass(frozen=True)
class RunRequest:
    """What is to be done.

    Attributes:
        run_id: names the run and its artefacts; a repeat with the same id reports the stored result.
        action: a key of `ACTIONS`.
        application, environment, stack: what for.
        state_key: blob of the state.
        read_variables: gives the environment's variables.
        plan_run_id, plan_sha256: for apply and destroy: the saved plan, and no other.
        lock_id, terminal_run_id: for unlock: the lock, and the run that left it and is known to have ended.
    """

    run_id: str
    action: str
    application: str
    environment: str
    stack: str
    state_key: str
    read_variables: Callable[[], bytes]
    plan_run_id: str = ""
    plan_sha256: str = ""
    lock_id: str = ""
    terminal_run_id: str = ""


@dataclass(frozen=True)
class Done:
    """What a run that succeeded reports."""

    exit_code: int = 0
    plan_sha256: str | None = None
    changeset_sha256: str | None = None
    summary: dict[str, int] = field(default_factory=dict)
    outputs: dict[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Run:
    """A run with all it works with.

    Attributes:
        request: what is to be done.
        settings: of the pipeline.
        workspace: private folder of this run.
        terraform: Terraform in that folder.
        artefacts: gives the artefacts of a run.
    """

    request: RunRequest
    settings: Settings
    workspace: Path
    terraform: Terraform
    artefacts: Callable[[str], Artefacts]


def plan(run: Run) -> Done:
    """Save a plan and its change set. Raises RunError."""
    _prepare(run)
    options = ("-destroy",) if run.request.action == "destroy-plan" else ()
    outcome, file = _plan(run, "plan.tfplan", *options)
    content = file.read_bytes()
    changes = change_set(run.terraform.document("show", str(file)))
    own = run.artefacts(run.request.run_id)
    own.write(PLAN, content)
    written = own.write_document(CHANGE_SET, changes)
    return Done(outcome.exit_code, sha256(content), sha256(written), changes["summary"])


def apply(run: Run) -> Done:
    """Apply, or destroy by, exactly the saved plan whose digest was approved.

    Raises:
        RunError: the plan is missing, is another one, was made for something else or is stale; or Terraform fails.
    """
    planned = run.artefacts(run.request.plan_run_id)
    content, promised = _saved_plan(run.request, planned)
    file = run.workspace / PLAN
    file.write_bytes(content)
    run.terraform.prepare(run.request.stack, run.request.state_key, None, file)
    document = run.terraform.document("show", str(file))
    changes = change_set(document)
    digest = sha256(canonical(changes))
    if digest != promised["changeset_sha256"]:
        raise RunError("Plan refused", "The saved plan holds other changes than the change set that was shown.")
    _require_same_target(run.request, {name: item.get("value") for name, item in document["variables"].items()})
    timeout = f"-lock-timeout={run.settings.lock_timeout}"
    _require_evidence(run.terraform.run("apply", *_QUIET, timeout, str(file)))
    return Done(0, run.request.plan_sha256, digest, changes["summary"], _outputs(run))


def look_for_drift(run: Run) -> Done:
    """Compare what is there with the state, and the state with the variables; change nothing.

    Raises:
        RunError: as `plan`; a state that is being changed right now is one reason.
    """
    _prepare(run)
    _, file = _plan(run, "refresh.tfplan", "-refresh-only")
    drifted = drift(run.terraform.document("show", str(file)))
    outcome, file = _plan(run, "plan.tfplan")
    changes = change_set(run.terraform.document("show", str(file))) | {"drift": drifted}
    written = run.artefacts(run.request.run_id).write_document(CHANGE_SET, changes)
    # Not the exit code of the refresh: it is 2 also for differences without a meaning, such as null and an empty list.
    return Done(2 if drifted else outcome.exit_code, None, sha256(written), changes["summary"])


def read_outputs(run: Run) -> Done:
    """Read the outputs that are not sensitive. Raises RunError."""
    run.terraform.prepare(run.request.stack, run.request.state_key, None)
    return Done(outputs=_outputs(run))


def unlock(run: Run) -> Done:
    """Release the state lock that a run left behind which is known to have ended.

    Released is only the lock with the given id, taken on the machine of that run after that run began. A state that is
    not locked is fine.

    Raises:
        RunError: the lock is another one or somebody else's.
    """
    run.terraform.prepare(run.request.stack, run.request.state_key, None)
    lock = _find_lock(run)
    if lock is None:
        return Done()
    started = run.artefacts(run.request.terminal_run_id).read_document(STARTED)
    if started is None:
        raise RunError("Lock kept", f"The run {run.request.terminal_run_id} has never begun.")
    began = datetime.fromisoformat(started["at"]).replace(microsecond=0)  # Terraform's time is read to the second
    if lock["ID"] != run.request.lock_id or lock["Who"] != started["who"] or _created(lock) < began:
        raise RunError("Lock kept", f"The lock {lock['ID']} of {lock['Who']} is not the one of this run.")
    run.terraform.run("force-unlock", "-force", run.request.lock_id)
    return Done()


ACTIONS: dict[str, Callable[[Run], Done]] = {
    "plan": plan,
    "apply": apply,
    "destroy-plan": plan,
    "destroy": apply,
    "drift": look_for_drift,
    "output": read_outputs,
    "unlock": unlock,
}


def _prepare(run: Run) -> None:
    variables = run.request.read_variables()
    _require_same_target(run.request, json.loads(variables))
    run.terraform.prepare(run.request.stack, run.request.state_key, variables)


def _plan(run: Run, name: str, *options: str) -> tuple[Outcome, Path]:
    drifting = run.request.action == "drift"
    timeout = run.settings.drift_lock_timeout if drifting else run.settings.lock_timeout
    file = run.workspace / name
    arguments = (*_QUIET, "-detailed-exitcode", f"-lock-timeout={timeout}", f"-out={file}", *options)
    outcome = run.terraform.run("plan", *arguments, good=(0, 2))
    if not file.exists() or not file.stat().st_size:
        raise RunError("No plan", "Terraform reports success but has saved no plan.")
    return outcome, file


def _saved_plan(request: RunRequest, planned: Artefacts) -> tuple[bytes, dict[str, Any]]:
    promised = planned.read_document(RESULT)
    if promised is None or promised.get("status") != "succeeded":
        raise RunError("Plan missing", f"The run {request.plan_run_id} has saved no plan.")
    if promised.get("action") != _PLANNED_BY[request.action]:
        raise RunError("Plan refused", f"A plan made by {promised.get('action')} is not for {request.action}.")
    content = planned.read(PLAN)
    if content is None:
        raise RunError("Plan missing", f"The plan of the run {request.plan_run_id} is gone.")
    if not sha256(content) == request.plan_sha256 == promised.get("plan_sha256"):
        raise RunError("Plan refused", "The saved plan is not the one whose digest was approved.")
    return content, promised


def _require_same_target(request: RunRequest, variables: dict[str, Any]) -> None:
    for name, wanted in (("application", request.application), ("environment", request.environment)):
        if variables.get(name) != wanted:
            raise RunError("Other target", f"The variables name another {name} than {wanted}.")


def _require_evidence(outcome: Outcome) -> None:
    if not any(message.get("type") == "change_summary" for message in outcome.messages):
        raise RunError("No evidence", "Terraform ended without an error but reports no changes made.")


def _outputs(run: Run) -> dict[str, Any]:
    found = run.terraform.document("output")
    return {name: output["value"] for name, output in sorted(found.items()) if not output["sensitive"]}


def _find_lock(run: Run) -> dict[str, str] | None:
    """Ask for the lock without changing anything; Terraform answers with who has it."""
    nothing = ("rm", "-no-color", "-dry-run", "-lock-timeout=0s", "terraform_data.nothing")
    try:
        run.terraform.run("state", *nothing)
    except RunError as error:
        if error.problem.title == "State locked":
            return _lock_information(error.problem.detail)
        if _NO_STATE not in error.problem.detail:
            raise
    return None


def _lock_information(detail: str) -> dict[str, str]:
    lock = dict(re.findall(r"^\W*(ID|Who|Created):\s+(\S.*?)\s*$", detail, re.MULTILINE))
    if len(lock) != 3:  # noqa: PLR2004 - the three names above
        raise RunError("Lock kept", "Terraform does not say who holds the lock.")
    return lock


def _created(lock: dict[str, str]) -> datetime:
    return datetime.strptime(lock["Created"][:19], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
