"""Command line of the runner: one run, one result, one exit code (0 succeeded, 1 failed, 2 refused)."""

import argparse
import os
import re
import socket
import sys
import tempfile
from collections.abc import Callable
from dataclasses import asdict
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from . import variables
from .actions import ACTIONS, Done, Run, RunRequest
from .artefacts import RESULT, STARTED, Artefacts
from .problems import RunError, RunRefusedError
from .settings import Settings, read_settings
from .terraform import Interruption, Terraform
from .tokens import StorageTokens

SUCCEEDED, FAILED, REFUSED = 0, 1, 2

_NEEDS = {
    "plan": ("variables",),
    "destroy-plan": ("variables",),
    "drift": ("variables",),
    "apply": ("plan_run_id", "plan_sha256"),
    "destroy": ("plan_run_id", "plan_sha256"),
    "output": (),
    "unlock": ("lock_id", "terminal_run_id"),
}
_FORMS = {
    "run_id": r"[A-Za-z0-9][A-Za-z0-9._:-]{0,127}",
    "plan_run_id": r"([A-Za-z0-9][A-Za-z0-9._:-]{0,127})?",
    "terminal_run_id": r"([A-Za-z0-9][A-Za-z0-9._:-]{0,127})?",
    "application": r"[a-z][a-z0-9]*(-[a-z0-9]+)*",
    "environment": r"dev|qa|prod",
    "stack": r"[a-z][a-z0-9_-]*",
    "plan_sha256": r"([0-9a-f]{64})?",
    "lock_id": r"([0-9A-Za-z-]{1,64})?",
}


def main(arguments: list[str]) -> int:
    """Do one run and return the exit code of the process."""
    interruption = Interruption()
    interruption.install()
    try:
        request = _request(_parser().parse_args(arguments))
        settings = read_settings()
        tokens = StorageTokens()
        return _run(request, settings, interruption, lambda run_id: Artefacts(settings, run_id, tokens))
    except RunError as error:
        _say(f"refused: {error.problem.title}: {error.problem.detail}")
        return REFUSED


def _run(
    request: RunRequest, settings: Settings, interruption: Interruption, artefacts: Callable[[str], Artefacts]
) -> int:
    own = artefacts(request.run_id)
    stored = own.read_document(RESULT)
    if stored is not None:
        return _stored(request, stored)
    own.write_document(STARTED, {"run_id": request.run_id, "who": _who(), "at": datetime.now(UTC).isoformat()})
    with tempfile.TemporaryDirectory(prefix="iac-") as folder:
        terraform = Terraform(settings, Path(folder), interruption)
        result = _result(Run(request, settings, Path(folder), terraform, artefacts))
    own.commit(result)
    return _report(result)


def _stored(request: RunRequest, stored: dict[str, Any]) -> int:
    same = stored.get("run_id") == request.run_id and stored.get("action") == request.action
    if not same or (request.plan_sha256 and stored.get("plan_sha256") != request.plan_sha256):
        raise RunRefusedError("Run id taken", f"The run {request.run_id} was {stored.get('action')} of another plan.")
    _say("this run has ended before; its result stands")
    return _report(stored)


def _result(run: Run) -> dict[str, Any]:
    named = {"run_id": run.request.run_id, "action": run.request.action}
    try:
        done = ACTIONS[run.request.action](run)
    except RunRefusedError:
        raise
    except RunError as error:
        return named | _failed(run.request, error)
    except Exception as error:  # noqa: BLE001 - whoever waits for this run must learn that it ended
        return named | _failed(run.request, RunError("Runner failed", f"{type(error).__name__}: {error}"))
    return named | {"status": "succeeded", **asdict(done), "problem": None}


def _failed(request: RunRequest, error: RunError) -> dict[str, Any]:
    done = Done(exit_code=error.exit_code, plan_sha256=request.plan_sha256 or None)
    return {"status": "failed", **asdict(done), "problem": asdict(error.problem)}


def _report(result: dict[str, Any]) -> int:
    problem = result["problem"]
    if problem is not None:
        _say(f"{result['action']} failed: {problem['title']}: {problem['detail']}")
        return FAILED
    counts = ", ".join(f"{count} {action}" for action, count in result["summary"].items() if count)
    _say(f"{result['action']} succeeded{': ' if counts else ''}{counts}")
    return SUCCEEDED


def _request(arguments: argparse.Namespace) -> RunRequest:
    for name, form in _FORMS.items():
        if not re.fullmatch(form, getattr(arguments, name)):
            raise RunRefusedError("Arguments", f"--{name.replace('_', '-')} has a form that is not accepted.")
    target = f"apps/{arguments.application}/{arguments.environment}"
    state_key = arguments.state_key or f"{target}.tfstate"
    if not re.fullmatch(rf"{re.escape(target)}(/[a-z0-9_-]+)*\.tfstate", state_key):
        raise RunRefusedError("Arguments", f"--state-key must be {target}.tfstate or lie below {target}/.")
    missing = [name for name in _NEEDS[arguments.action] if name != "variables" and not getattr(arguments, name)]
    if missing or ("variables" in _NEEDS[arguments.action] and not (arguments.tfvars or arguments.commit)):
        wanted = ", ".join(f"--{name.replace('_', '-')}" for name in missing) or "--tfvars or --commit"
        raise RunRefusedError("Arguments", f"{arguments.action} needs {wanted}.")
    names = ("run_id", "action", "application", "environment", "stack", *_optional(arguments.action))
    chosen = {name: getattr(arguments, name) for name in names}
    return RunRequest(**chosen, state_key=state_key, read_variables=_variables(arguments))


def _optional(action: str) -> tuple[str, ...]:
    return tuple(name for name in _NEEDS[action] if name != "variables")


def _variables(arguments: argparse.Namespace) -> Callable[[], bytes]:
    if arguments.tfvars:
        return partial(variables.from_file, arguments.tfvars)
    proposal = (arguments.change, arguments.commit, arguments.application, arguments.environment)
    return partial(variables.from_commit, *proposal)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="iac_runner", description="Run Terraform for one environment.")
    parser.add_argument("action", choices=sorted(ACTIONS))
    parser.add_argument("--run-id", required=True)
    parser.add_argument("--application", required=True)
    parser.add_argument("--environment", required=True)
    parser.add_argument("--stack", default="api", help="folder below stacks/")
    parser.add_argument(
        "--state-key", default="", help="blob of the state; by default apps/APPLICATION/ENVIRONMENT.tfstate"
    )
    parser.add_argument("--tfvars", type=Path, help="JSON file with the variables")
    parser.add_argument("--commit", default="", help="commit whose variables are used, instead of --tfvars")
    parser.add_argument("--change", type=Path, default=Path(), help="clone that has the commit and origin/main")
    parser.add_argument("--plan-run-id", default="", help="run that saved the plan (apply, destroy)")
    parser.add_argument("--plan-sha256", default="", help="digest of that plan (apply, destroy)")
    parser.add_argument("--lock-id", default="", help="lock to release (unlock)")
    parser.add_argument("--terminal-run-id", default="", help="ended run that left the lock (unlock)")
    return parser


def _who() -> str:
    """The name Terraform writes into locks that it takes here."""
    import pwd  # noqa: PLC0415 - where there is none (Windows), Terraform is not run by a pipeline

    return f"{pwd.getpwuid(os.getuid()).pw_name}@{socket.gethostname()}"


def _say(text: str) -> None:
    sys.stdout.write(f"iac: {text}\n")
    sys.stdout.flush()
