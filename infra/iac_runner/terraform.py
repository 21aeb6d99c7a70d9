"""The Terraform CLI in a workspace of its own.

https://developer.hashicorp.com/terraform/internals/machine-readable-ui and /terraform/cli/config/environment-variables
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from threading import Thread
from types import FrameType
from typing import IO, Any

from .problems import RunError, scrub
from .settings import Settings

LOCK_FILE = ".terraform.lock.hcl"
VARIABLES = "terraform.tfvars.json"

_READING = frozenset({"show", "output"})  # short, and the result needs them also after an interruption
_STALE = "Saved plan is stale"
_LOCKED = "Error acquiring the state lock"
_NOT_INHERITED = re.compile(r"TF_(CLI_ARGS|VAR_|LOG|WORKSPACE|DATA_DIR)")


@dataclass(frozen=True)
class Outcome:
    """How a Terraform command ended.

    Attributes:
        exit_code: 0, or 2 for a plan that has changes.
        output: standard output.
        messages: its lines, where Terraform speaks JSON.
    """

    exit_code: int
    output: str
    messages: list[dict[str, Any]] = field(default_factory=list)


class Interruption:
    """Hands the pipeline's wish to stop on to Terraform, once: the second signal would make it drop its state.

    https://developer.hashicorp.com/terraform/cli/commands/apply: the first interrupt lets running operations finish.
    """

    def __init__(self) -> None:
        self.wanted = False
        self._passed_on = False
        self._process: subprocess.Popen[str] | None = None

    def install(self) -> None:
        """Take over SIGINT and SIGTERM."""
        signal.signal(signal.SIGINT, self._on_signal)
        signal.signal(signal.SIGTERM, self._on_signal)

    def watch(self, process: subprocess.Popen[str]) -> None:
        """Name the process that is to hear of it, at once if the wish came before it started."""
        self._process = process
        if self.wanted:
            self._pass_on()

    def release(self) -> None:
        """The process has ended."""
        self._process = None

    def _on_signal(self, _number: int, _frame: FrameType | None) -> None:
        self.wanted = True
        self._pass_on()

    def _pass_on(self) -> None:
        if self._process is not None and not self._passed_on:
            self._passed_on = True
            self._process.send_signal(signal.SIGINT)


class Terraform:
    """Terraform in a copy of the stacks and modules, so that nothing is left in the checkout.

    Args:
        settings: command, backend and times.
        workspace: an empty private folder.
        interruption: passes signals on.
    """

    def __init__(self, settings: Settings, workspace: Path, interruption: Interruption) -> None:
        self._settings = settings
        self._workspace = workspace
        self._interruption = interruption
        self._folder = workspace

    def prepare(self, stack: str, state_key: str, variables: bytes | None, plan: Path | None = None) -> None:
        """Copy the stack, put the variables beside it and initialise the backend.

        With a plan, exactly the provider versions are installed that the plan was made with.

        Raises:
            RunError: there is no such stack, or ``init`` fails.
        """
        for part in ("modules", "stacks"):
            if (self._settings.root / part).is_dir():
                shutil.copytree(self._settings.root / part, self._workspace / part, ignore=_ignored)
        self._folder = self._workspace / "stacks" / stack
        if not self._folder.is_dir():
            raise RunError("Unknown stack", f"There is no stack {stack!r}.")
        if variables is not None:
            (self._folder / VARIABLES).write_bytes(variables)
        if plan is not None:
            self._restore_lock_file(plan)
        options = [f"-backend-config={line}" for line in self._backend(state_key)]
        self.run("init", "-json", "-input=false", "-no-color", *options)

    def run(self, command: str, *arguments: str, good: tuple[int, ...] = (0,)) -> Outcome:
        """Run one command to its end.

        Raises:
            RunError: another exit code than the good ones, with Terraform's own diagnostics; or an interruption.
        """
        reads = command in _READING
        if self._interruption.wanted and not reads:
            raise RunError("Canceled", f"The run was interrupted before terraform {command}.")
        outcome = self._execute([command, *arguments], speaks="-json" in arguments and not reads, reads=reads)
        if outcome.exit_code not in good:
            raise self._failure(command, outcome)
        return outcome

    def document(self, command: str, *arguments: str) -> dict[str, Any]:
        """The JSON document that ``show`` or ``output`` prints. Raises RunError as `run`, or for anything else."""
        outcome = self.run(command, "-json", "-no-color", *arguments)
        try:
            document = json.loads(outcome.output)
        except ValueError as error:
            raise RunError("Terraform", f"terraform {command} printed no JSON document.") from error
        if not isinstance(document, dict):
            raise RunError("Terraform", f"terraform {command} printed no JSON object.")
        return document

    def _backend(self, state_key: str) -> list[str]:
        if self._settings.backend_config:
            return list(self._settings.backend_config)
        signing_in = {
            "oidc": ["use_oidc=true", "use_azuread_auth=true"],
            "msi": ["use_msi=true", "use_azuread_auth=true"],
            "access-key": [],  # ARM_ACCESS_KEY, read by the backend itself, is neither on a command line nor in a plan
        }[self._settings.backend_authentication]
        return [
            f"storage_account_name={self._settings.account}",
            f"container_name={self._settings.state_container}",
            f"key={state_key}",
            *signing_in,
        ]

    def _restore_lock_file(self, plan: Path) -> None:
        try:
            with zipfile.ZipFile(plan) as archive:
                content = archive.read(LOCK_FILE) if LOCK_FILE in archive.namelist() else b""
        except zipfile.BadZipFile as error:
            raise RunError("Plan unreadable", "The saved plan is not a Terraform plan file.") from error
        if content:
            (self._folder / LOCK_FILE).write_bytes(content)

    def _execute(self, arguments: list[str], *, speaks: bool, reads: bool) -> Outcome:
        process = subprocess.Popen(  # noqa: S603 - the command is the platform's
            [self._settings.terraform, *arguments],
            cwd=self._folder,
            env=self._environment(os.environ),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            encoding="utf-8",
            errors="replace",
            start_new_session=True,  # a signal to our group must not reach Terraform a second time
        )
        if not reads:
            self._interruption.watch(process)
        errors: list[str] = []
        reader = Thread(target=lambda: errors.append(_text(process.stderr)), daemon=True)
        reader.start()
        lines, messages = _follow(process.stdout, echo=speaks)
        exit_code = process.wait()
        reader.join()
        self._interruption.release()
        return Outcome(exit_code, "".join(lines) + ("" if exit_code in {0, 2} else errors[0]), messages)

    def _environment(self, inherited: Mapping[str, str]) -> dict[str, str]:
        environment = {name: value for name, value in inherited.items() if not _NOT_INHERITED.match(name)}
        configuration = self._settings.terraform_cli_config
        if configuration is None:
            configuration = str(self._workspace / "empty.tfrc")
            Path(configuration).touch()
        if self._settings.backend_authentication == "oidc":
            environment.setdefault("ARM_USE_OIDC", "true")
        return environment | {"TF_CLI_CONFIG_FILE": configuration, "TF_IN_AUTOMATION": "1", "CHECKPOINT_DISABLE": "1"}

    def _failure(self, command: str, outcome: Outcome) -> RunError:
        diagnostics = _diagnostics(outcome.messages)
        detail = "\n".join(diagnostics) or outcome.output or f"terraform {command} ended with {outcome.exit_code}."
        code = outcome.exit_code or 1
        if _STALE in detail:
            return RunError(_STALE, "The state has changed since this plan was made. Nothing was changed.", stale=True)
        if _LOCKED in detail:
            return RunError("State locked", detail, exit_code=code)
        if self._interruption.wanted:
            return RunError("Canceled", f"The run was interrupted during terraform {command}. {detail}", exit_code=code)
        return RunError(f"terraform {command} failed", detail, exit_code=code)


def _follow(stream: IO[str] | None, *, echo: bool) -> tuple[list[str], list[dict[str, Any]]]:
    """Read to the end; what Terraform says for people goes to the log of the pipeline."""
    lines: list[str] = []
    messages: list[dict[str, Any]] = []
    for line in stream or ():
        lines.append(line)
        message = _message(line) if echo else None
        if message is not None:
            messages.append(message)
            sys.stdout.write(scrub(str(message.get("@message", ""))) + "\n")
            sys.stdout.flush()
    return lines, messages


def _message(line: str) -> dict[str, Any] | None:
    try:
        message = json.loads(line)
    except ValueError:
        return None
    return message if isinstance(message, dict) else None


def _diagnostics(messages: list[dict[str, Any]]) -> list[str]:
    found = [message["diagnostic"] for message in messages if message.get("type") == "diagnostic"]
    errors = [diagnostic for diagnostic in found if diagnostic.get("severity") == "error"]
    return [_diagnostic(error) for error in errors]


def _diagnostic(diagnostic: dict[str, Any]) -> str:
    where = diagnostic.get("address")
    parts = [diagnostic.get("summary", ""), diagnostic.get("detail", "")]
    text = ": ".join(part for part in parts if part)
    return f"{where}: {text}" if where else text


def _text(stream: IO[str] | None) -> str:
    return stream.read() if stream is not None else ""


def _ignored(_folder: str, names: list[str]) -> list[str]:
    return [name for name in names if name == ".terraform" or ".tfstate" in name or name == VARIABLES]
