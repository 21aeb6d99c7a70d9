"""One job: its workspace, its steps, its log. `run:` steps are really executed."""

import asyncio
import contextlib
import hashlib
import json
import os
import secrets
import shutil
import signal
import ssl
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from local.vendors.actions.expressions import ExpressionError, Scope, text
from local.vendors.kernel import Kernel

Json = dict[str, Any]
SHELLS = {
    "": ("bash", "-e", "{0}"),
    "bash": ("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "{0}"),
    "sh": ("sh", "-e", "{0}"),
    "python": ("python", "{0}"),
}
SIGNALS = ((signal.SIGINT, 7.5), (signal.SIGTERM, 2.5), (signal.SIGKILL, 5.0))
DIRECT = "pypi.org,files.pythonhosted.org,registry.npmjs.org"
CERTIFICATES = (
    "SSL_CERT_FILE",
    "GIT_SSL_CAINFO",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "PIP_CERT",
    "NODE_EXTRA_CA_CERTS",
)
FILES = {"GITHUB_OUTPUT": "output", "GITHUB_ENV": "env", "GITHUB_PATH": "path", "GITHUB_STEP_SUMMARY": "summary"}
LINE_LIMIT = 4 * 1024 * 1024


class StepError(Exception):
    """A step failed; the text is its last log line."""


class StepSkipped(Exception):  # noqa: N818 - no error
    """A step is not done here; the text says why."""


class Job:
    """What steps and actions see of the job that they belong to."""

    def __init__(self, kernel: Kernel, of: tuple[Json, Json], spec: Json, contexts: Json, folder: Path) -> None:
        self.kernel, self.spec, self.folder = kernel, spec, folder
        self.run, self.document = of
        self.repository: Any = kernel.vendor("github").repository(*self.run["repository"].split("/"))
        self.workspace = folder / self.repository.name / self.repository.name
        self.temp = folder / "_temp"
        self.state: Json = {}
        self.closing: list[Callable[[bool], None]] = []
        self.cancelled = asyncio.Event()
        self.environment: dict[str, str] = {}
        self.token = kernel.vendor("github").job_token(self.repository)
        self.id_token = secrets.token_urlsafe(24)
        self.may_sign = _may_sign(spec)
        self._masks = {self.token}
        self._paths: list[str] = []
        self._failed = False
        self.contexts = contexts | {
            "secrets": {"GITHUB_TOKEN": self.token},
            "steps": {},
            "job": {"status": "success"},
            "runner": {
                "os": "Linux",
                "arch": "X64",
                "name": "local",
                "temp": str(self.temp),
                "tool_cache": str(folder),
            },
        }
        workspace = {"token": self.token, "workspace": str(self.workspace), "job": self.document["key"]}
        self.contexts["github"] = contexts["github"] | workspace
        checks: dict[str, Callable[[], bool]] = {
            "success": lambda: not self._failed and not self.cancelled.is_set(),
            "failure": lambda: self._failed and not self.cancelled.is_set(),
            "cancelled": self.cancelled.is_set,
            "always": lambda: True,
        }
        self.scope = Scope(self.contexts, {**checks, "hashfiles": self._hash_files})

    def log(self, line: str) -> None:
        """Write a line of the log; what was declared a secret is not shown."""
        if line.startswith("::add-mask::"):
            self._masks.add(line.removeprefix("::add-mask::").strip())
            line = "::add-mask::***"
        for mask in filter(None, self._masks):
            line = line.replace(mask, "***")
        at = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        with Path(self.document["log"]).open("a", encoding="utf-8") as log:
            log.write(f"{at} {line}\n")

    def mask(self, value: str) -> None:
        self._masks.add(value)

    def add_path(self, folder: Path) -> None:
        self._paths.insert(0, str(folder))

    def variables(self, env: dict[str, str]) -> dict[str, str]:
        """The environment of a process: what the runner sets, the job's variables, the step's own."""
        github = self.contexts["github"]
        plain = {f"GITHUB_{name.upper()}": value for name, value in github.items() if isinstance(value, str)}
        plain.pop("GITHUB_TOKEN")
        runner = {f"RUNNER_{name.upper()}": value for name, value in self.contexts["runner"].items()}
        base = _base(self.kernel, self.folder) | plain | runner
        base |= {"CI": "true", "GITHUB_ACTIONS": "true", "GITHUB_EVENT_PATH": str(self.temp / "event.json")}
        if self.may_sign:
            url = f"https://pipelines.actions.githubusercontent.com/idtoken/{self.document['id']}?api-version=2.0"
            base |= {"ACTIONS_ID_TOKEN_REQUEST_URL": url, "ACTIONS_ID_TOKEN_REQUEST_TOKEN": self.id_token}
        merged = base | self.environment | env
        return merged | {"PATH": os.pathsep.join([*self._paths, merged["PATH"]])}

    async def execute(self, *command: str, env: dict[str, str] | None = None, folder: Path | None = None) -> int:
        """Run a program, its output in the log; a cancelled job interrupts it as the real runner does."""
        process = await asyncio.create_subprocess_exec(
            *command,
            cwd=folder or self.workspace,
            env=self.variables(env or {}),
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.STDOUT,
            start_new_session=True,
            limit=LINE_LIMIT,
        )
        note = self.folder.parent / f"{process.pid}.pid"
        note.write_text(str(self.folder))
        reader = asyncio.create_task(self._read(process.stdout))
        cancel = asyncio.create_task(self.cancelled.wait())
        ended = asyncio.create_task(process.wait())
        try:
            await asyncio.wait({cancel, ended}, return_when=asyncio.FIRST_COMPLETED)
            for number, grace in () if ended.done() else SIGNALS:
                # Like the real runner: the first process only, which is to pass it on.
                with contextlib.suppress(ProcessLookupError):
                    process.send_signal(number)
                await asyncio.wait({ended}, timeout=grace)
            code = await ended
            # What the step left running in the background would hold its output open for ever.
            await asyncio.wait({reader}, timeout=1)
            return code
        finally:
            _kill(process.pid)
            for task in (reader, cancel, ended):
                task.cancel()
            note.unlink(missing_ok=True)

    async def check(self, *command: str, env: dict[str, str] | None = None, folder: Path | None = None) -> None:
        """Run a program that has to succeed."""
        if code := await self.execute(*command, env=env, folder=folder):
            raise StepError(f"{command[0]} failed with exit code {code}")

    async def post(self, url: str, form: dict[str, str]) -> tuple[int, Json]:
        """Post a form to a vendor, over TLS under its real name."""
        tls = ssl.create_default_context(cafile=str(self.kernel.ca_bundle))
        async with (
            aiohttp.ClientSession() as session,
            session.post(url, data=form, proxy=self.kernel.proxy_url, ssl=tls) as response,
        ):
            return response.status, await response.json(content_type=None)

    async def steps(self, actions: dict[str, Any], changed: Callable[[], None]) -> str:
        """Run the steps in order and return the job's conclusion."""
        self.temp.mkdir(parents=True)
        self.workspace.mkdir(parents=True)
        (self.temp / "event.json").write_text(json.dumps(self.contexts["github"]["event"]))
        self.contexts["env"] = self._strings(self.scope.fill(self.contexts["env"] | (self.spec.get("env") or {})))
        self.environment = dict(self.contexts["env"])
        for number, step in enumerate(self.spec["steps"], 1):
            entry = {"number": number, "name": self._title(step), "status": "queued", "conclusion": None}
            self.document["steps"].append(entry | {"started_at": None, "completed_at": None})
        for step, entry in zip(self.spec["steps"], self.document["steps"], strict=True):
            entry |= {"status": "in_progress", "started_at": now()}
            changed()
            outcome = await self._step(step, entry, actions)
            failed = outcome == "failure" and not self.scope.fill(step.get("continue-on-error", False))
            self._failed |= failed
            conclusion = "success" if outcome == "failure" and not failed else outcome
            if name := step.get("id"):
                self.contexts["steps"].setdefault(name, {"outputs": {}})
                self.contexts["steps"][name] |= {"outcome": outcome, "conclusion": conclusion}
            self.contexts["job"]["status"] = "failure" if self._failed else "success"
            entry |= {"status": "completed", "completed_at": now(), "conclusion": conclusion}
            changed()
        return "cancelled" if self.cancelled.is_set() else ("failure" if self._failed else "success")

    async def _step(self, step: Json, entry: Json, actions: dict[str, Any]) -> str:
        try:
            if not self.scope.condition(step.get("if")):
                return "skipped"
            self.log(f"##[group]{entry['name']}")
            env = self._strings(self.scope.fill(step.get("env") or {}))
            minutes = self.scope.fill(step.get("timeout-minutes", 360))
            async with asyncio.timeout(float(minutes) * 60):
                outputs = await (self._use(step, env, actions) if "uses" in step else self._shell(step, env))
            self.contexts["steps"][step.get("id", "")] = {"outputs": outputs}
        except StepSkipped as reason:
            self.log(f"skipped: {reason}")
            return "skipped"
        except (StepError, ExpressionError, OSError) as error:
            self.log(f"##[error]{error}")
            return "cancelled" if self.cancelled.is_set() else "failure"
        except TimeoutError:
            self.log(f"##[error]The action '{entry['name']}' has timed out.")
            return "failure"
        return "success"

    async def _use(self, step: Json, env: dict[str, str], actions: dict[str, Any]) -> dict[str, str]:
        inputs = self._strings(self.scope.fill(step.get("with") or {}))
        try:
            outputs: dict[str, str] = await actions[step["uses"].split("@")[0]](inputs, env, self)
        except (StepError, StepSkipped):
            raise
        except Exception as error:
            raise StepError(f"{type(error).__name__}: {error}") from error
        return outputs

    async def _shell(self, step: Json, env: dict[str, str]) -> dict[str, str]:
        defaults = (self.spec.get("defaults") or {}).get("run") or {}
        shell = self.scope.fill(step.get("shell", defaults.get("shell", "")))
        command = SHELLS.get(shell, tuple(shell.split()))
        if "{0}" not in command:
            raise StepError(f"shell {shell} is not offered by this runner")
        script = self.temp / f"{secrets.token_hex(8)}.{'py' if shell == 'python' else 'sh'}"
        script.write_text(text(self.scope.fill(step["run"])))
        files = {variable: self.temp / f"{name}_{script.stem}" for variable, name in FILES.items()}
        for file in files.values():
            file.touch()
        folder = self.workspace / self.scope.fill(step.get("working-directory", defaults.get("working-directory", ".")))
        paths = {variable: str(file) for variable, file in files.items()}
        code = await self.execute(
            *(part.replace("{0}", str(script)) for part in command), env=env | paths, folder=folder
        )
        self.environment |= _pairs(files["GITHUB_ENV"].read_text())
        self.contexts["env"] = self.contexts["env"] | _pairs(files["GITHUB_ENV"].read_text())
        for line in files["GITHUB_PATH"].read_text().splitlines():
            self.add_path(Path(line))
        if code:
            self.contexts["steps"][step.get("id", "")] = {"outputs": _pairs(files["GITHUB_OUTPUT"].read_text())}
            raise StepError(f"Process completed with exit code {code}.")
        return _pairs(files["GITHUB_OUTPUT"].read_text())

    async def _read(self, stream: asyncio.StreamReader | None) -> None:
        while stream and (line := await stream.readline()):
            self.log(line.decode(errors="replace").rstrip("\r\n"))

    def _title(self, step: Json) -> str:
        first = str(step.get("run", "")).strip().partition("\n")[0]
        with contextlib.suppress(ExpressionError):
            return text(self.scope.fill(step.get("name") or f"Run {step.get('uses') or first}"))
        return str(step.get("name"))

    def _strings(self, values: Json) -> dict[str, str]:
        return {name: text(value) for name, value in values.items()}

    def _hash_files(self, *patterns: str) -> str:
        files = sorted({file for pattern in patterns for file in self.workspace.glob(pattern) if file.is_file()})
        digests = b"".join(hashlib.sha256(file.read_bytes()).digest() for file in files)
        return hashlib.sha256(digests).hexdigest() if files else ""


def kill_leftovers(folder: Path) -> None:
    """End the processes of jobs that outlived a killed runner, so that a restarted run is alone."""
    for note in folder.glob("*/*.pid"):
        place = Path(f"/proc/{note.stem}/environ")
        # The number may belong to someone else by now: only a process that knows the workspace is ours.
        if place.exists() and note.read_text().encode() in place.read_bytes():
            _kill(int(note.stem))
    shutil.rmtree(folder, ignore_errors=True)


def _base(kernel: Kernel, folder: Path) -> dict[str, str]:
    """The machine of a job: the vendors through the stand-ins, package indexes directly, caches of this machine."""
    bundle = kernel.data_dir / "actions" / "ca.pem"
    own = os.environ.get("SSL_CERT_FILE")
    if not bundle.exists():
        extra = Path(own).read_bytes() if own and Path(own).exists() else b""
        bundle.write_bytes(kernel.ca_bundle.read_bytes() + b"\n" + extra)
    kept = {
        name: value for name, value in os.environ.items() if name.upper().startswith(("PIP_", "UV_", "NPM_CONFIG_"))
    }
    indexes = [str(urlsplit(value).hostname) for value in kept.values() if value.startswith("http")]
    variables = kernel.child_environment()
    direct = ",".join([variables.get("NO_PROXY", ""), DIRECT, *indexes])
    caches = {"UV_CACHE_DIR": str(Path.home() / ".cache/uv"), "PIP_CACHE_DIR": str(Path.home() / ".cache/pip")}
    caches["NPM_CONFIG_CACHE"] = str(Path.home() / ".npm")
    home = {"HOME": str(folder), "NO_PROXY": direct, "no_proxy": direct}
    # Programs that a hosted runner has; their stand-ins put them there.
    home |= {"PATH": os.pathsep.join([str(kernel.data_dir / "actions" / "tools"), variables.get("PATH", os.defpath)])}
    return variables | caches | kept | home | dict.fromkeys(CERTIFICATES, str(bundle))


def _may_sign(spec: Json) -> bool:
    permissions = spec.get("permissions")
    return permissions == "write-all" or (isinstance(permissions, dict) and permissions.get("id-token") == "write")


def _pairs(content: str) -> dict[str, str]:
    """`name=value` lines and `name<<MARK` blocks of a GITHUB_OUTPUT or GITHUB_ENV file."""
    found, lines = {}, iter(content.splitlines())
    for line in lines:
        name, mark, value = line.partition("=")
        if "<<" in name or not mark:
            name, _, end = line.partition("<<")
            if not end:
                continue
            block = []
            for inner in lines:
                if inner == end:
                    break
                block.append(inner)
            value = "\n".join(block)
        found[name] = value
    return found


def _kill(group: int) -> None:
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(group, signal.SIGKILL)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
