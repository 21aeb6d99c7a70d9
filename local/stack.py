"""The local process tree: Azurite, the stand-ins for the vendors, the Functions host. Used by `make run` and the tests.

They start in this order and end in the other. Azurite keeps everything on SIGTERM but loses writes on SIGKILL.
"""

import fcntl
import json
import os
import shutil
import ssl
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Self

import httpx

from local import azurite, ports
from local.platform import ensure_platform, subscribe
from local.processes import LocalRunError, Process, end_group, keep_caches_in, plain_environment, started_at
from local.service_bus import process as service_bus

CHECKOUT = Path(__file__).resolve().parent.parent
INFRASTRUCTURE = CHECKOUT / "infra"
VENDORS_PORT = 7443
HOST_PORT = 7071
_ORDER_OF_END = ("host", "service_bus", "vendors", "azurite")


def local_directory() -> Path:
    """Where a local run keeps its state: APPSTORE_LOCAL_DIR, else .local in the checkout."""
    return Path(os.environ.get("APPSTORE_LOCAL_DIR") or CHECKOUT / ".local").resolve()


def app_settings(root: Path) -> dict[str, str]:
    """Return the app settings of local.settings.json, the single place that holds those of a local run."""
    values: dict[str, str] = json.loads((root / "local.settings.json").read_text())["Values"]
    return values


@dataclass
class Stack:
    """One complete local run under one directory.

    Args:
        directory: state, certificates, logs; survives `stop`.
        root: the function app to run (the checkout, or an unpacked deployment package).
        host_port, vendors_port: wished ports; another free one is taken when they are in use (0: any).
        python: interpreter that runs the Functions host (a package test uses one with only the product's packages).
        host_environment: additional or changed variables for the host.
    """

    directory: Path
    root: Path = CHECKOUT
    host_port: int = 0
    vendors_port: int = 0
    python: str = sys.executable
    host_environment: Mapping[str, str] = field(default_factory=dict)
    host_started: float = field(default=0.0, init=False)
    _processes: dict[str, Process] = field(default_factory=dict, init=False)
    _bus_port: int = field(default=0, init=False)
    _lock: IO[str] | None = field(default=None, init=False)
    _tokens: dict[str, tuple[float, str]] = field(default_factory=dict, init=False)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    # -- start and end -----------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Start everything and return when the host answers.

        Raises:
            LocalRunError: another run owns the directory, or a part did not come up.
        """
        self.claim()
        try:
            self._end_leftovers()
            self._begin_vendors()
            self._begin_host()
            ensure_platform(self)  # while the host loads the app
            self._await_host()
        except BaseException:
            self.stop()
            raise

    def start_vendors(self) -> None:
        """Start Azurite and the stand-ins, with what the platform team provides."""
        self._begin_vendors()
        ensure_platform(self)

    def _begin_vendors(self) -> None:
        keep_caches_in(CHECKOUT / ".local" / "cache")
        self.vendors_port = ports.free_port(self.vendors_port)
        service = azurite.Azurite(self.directory / "azurite", self.log("azurite"))
        self._launch(service.process())
        self._launch(self._vendors(service))
        ready, log = self._ready_file("service_bus"), self.log("service_bus")
        self._bus_port = ports.free_port(self._bus_port)
        data = self.directory / "service_bus.db"
        self._launch(service_bus.process(data, self._bus_port, ready, log))
        self._processes["azurite"].require_ready(service.ready, 30)
        self._processes["vendors"].require_ready(self._ready_file("vendors").exists, 30)
        self._processes["service_bus"].require_ready(ready.exists, 30)
        self._remember()

    def start_host(self) -> None:
        """Start (or start again) the Functions host and wait until it has loaded the app."""
        self._begin_host()
        self._await_host()

    def _begin_host(self) -> None:
        self.host_started = time.time()
        self.host_port = ports.free_port(self.host_port)
        self._launch(self._host())

    def _await_host(self) -> None:
        self._processes["host"].require_ready(self._ready_file("host").exists, 60)
        subscribe(self)
        self._remember()

    def stop(self) -> None:
        """Stop host, stand-ins, Azurite in this order and give the directory free. Safe to call twice."""
        for name in _ORDER_OF_END:
            process = self._processes.pop(name, None)
            if process:
                process.stop()
        for client in ("api", "vendors"):
            opened = self.__dict__.pop(client, None)
            if opened:
                opened.close()
        if self._lock:
            self._processes_file.unlink(missing_ok=True)
            self._lock.close()
            self._lock = None

    def kill_host(self) -> None:
        """Kill the host and its worker without warning, as `kill -9` does."""
        self._processes["host"].kill()

    def stop_host(self) -> None:
        """Stop the host as a deployment does; the rest goes on."""
        self._processes["host"].stop()

    def restart(self, name: str) -> None:
        """Kill the stand-ins ("vendors") or the broker ("service_bus"), and start it again; all others go on."""
        self._processes[name].kill()
        self._launch(self._processes[name])
        self._processes[name].require_ready(self._ready_file(name).exists, 30)
        self._remember()

    def attach(self) -> bool:
        """Use the run that another process keeps up in this directory; return whether there is one."""
        known = self._known()
        if not all(pid and started_at(pid) == since for pid, since in known.get("processes", {"": (0, "")}).values()):
            return False
        self.host_port, self.vendors_port = known["ports"]
        return True

    def ended(self) -> Process | None:
        """Return the first process that ended by itself, if any."""
        return next((process for process in self._processes.values() if not process.alive), None)

    # -- talking to it -----------------------------------------------------------------------------------------------

    @property
    def host_pid(self) -> int:
        return self._processes["host"].pid

    @property
    def host_url(self) -> str:
        return f"http://127.0.0.1:{self.host_port}"

    @property
    def proxy_url(self) -> str:
        return f"http://127.0.0.1:{self.vendors_port}"

    @property
    def ca_bundle(self) -> Path:
        return self.directory / "ca" / "bundle.pem"

    @cached_property
    def settings(self) -> dict[str, str]:
        """The app settings of the local run."""
        return app_settings(CHECKOUT)

    @cached_property
    def api(self) -> httpx.Client:
        """The app's HTTP API, `/api/...`; give a persona's header with `headers=stack.bearer("requester")`."""
        return httpx.Client(base_url=self.host_url, timeout=60, trust_env=False)

    @cached_property
    def vendors(self) -> httpx.Client:
        """A client that reaches every vendor under its real name, as the app does."""
        context = ssl.create_default_context(cafile=str(self.ca_bundle))
        return httpx.Client(proxy=self.proxy_url, verify=context, timeout=60, trust_env=False)

    def token(self, persona: str) -> str:
        """Sign a persona in (Entra ID stand-in) and return the access token for the app's API."""
        expires, token = self._tokens.get(persona, (0.0, ""))
        if time.monotonic() < expires:
            return token
        tenant = self.settings["ENTRA_TENANT_ID"]
        answer = self.vendors.post(
            f"https://login.microsoftonline.com/{tenant}/oauth2/v2.0/token",
            data={
                "grant_type": "password",
                "username": persona,
                "password": persona,
                "client_id": "appstore-cli",
                "scope": f"{self.settings['ENTRA_AUDIENCE']}/.default",
            },
        )
        answer.raise_for_status()
        document = answer.json()
        self._tokens[persona] = (time.monotonic() + document["expires_in"] / 2, document["access_token"])
        return str(document["access_token"])

    def bearer(self, persona: str) -> dict[str, str]:
        """Return the Authorization header of a persona."""
        return {"Authorization": f"Bearer {self.token(persona)}"}

    def vendors_admin(self, method: str, path: str, body: object = None) -> httpx.Response:
        """Call the stand-ins' administration, for example `POST faults`, `DELETE faults`, `POST latency`."""
        response = httpx.request(method, f"{self.proxy_url}/_vendors/{path}", json=body, timeout=30, trust_env=False)
        response.raise_for_status()
        return response

    def journal(self, since: int = 0) -> list[dict[str, Any]]:
        """Return every vendor call after number `since`, oldest first."""
        text = self.vendors_admin("GET", f"journal?since={since}").text
        return [json.loads(line) for line in text.splitlines() if line]

    def host_status(self) -> dict[str, Any]:
        """Return the host's own account of itself, with what it resumed at its start."""
        document: dict[str, Any] = self.api.get("/admin/host/status").json()
        return document

    def log(self, name: str) -> Path:
        return self.directory / "log" / f"{name}.log"

    # -- the processes -----------------------------------------------------------------------------------------------

    def _vendors(self, service: azurite.Azurite) -> Process:
        command = [sys.executable, "-m", "local.vendors", "--data", str(self.directory)]
        command += ["--port", str(self.vendors_port), "--azurite-blob", service.blob_url]
        command += ["--azurite-table", service.table_url, "--ready-file", str(self._ready_file("vendors"))]
        environment = plain_environment() | {"APPSTORE_INFRASTRUCTURE_DIR": str(self._infrastructure())}
        return Process("vendors", command, environment, CHECKOUT, self.log("vendors"), grace=30)

    @property
    def service_bus(self) -> str:
        """Connection string of the local Service Bus."""
        port = self._ready_file("service_bus").read_text(encoding="utf-8")
        return self.settings["SERVICEBUS"].replace(":5672;", f":{port};")

    def _infrastructure(self) -> Path:
        """Lay out the infrastructure repository as infra/README.md describes it; GitHub's stand-in commits it."""
        folder = self.directory / "infrastructure"
        shutil.rmtree(folder, ignore_errors=True)
        ignore = shutil.ignore_patterns("__pycache__", ".terraform*", "tests")
        for name in ("arm", "iac_runner", "modules", "stacks"):
            shutil.copytree(INFRASTRUCTURE / name, folder / name, ignore=ignore)
        (folder / ".github" / "workflows").mkdir(parents=True)
        shutil.copy(INFRASTRUCTURE / "workflows" / "iac.yml", folder / ".github" / "workflows")
        return folder

    def _host(self) -> Process:
        command = [sys.executable, "-m", "local.host", "--root", str(self.root), "--port", str(self.host_port)]
        command += ["--data", str(self.directory / "host"), "--ready-file", str(self._ready_file("host"))]
        return Process("host", command, self.product_environment(), CHECKOUT, self.log("host"))

    def product_environment(self) -> dict[str, str]:
        """Return what the app sees: its settings, and the variables that lead its calls to the stand-ins."""
        bundle = str(self.ca_bundle)
        addresses = {
            "HTTPS_PROXY": self.proxy_url,
            **dict.fromkeys(("SSL_CERT_FILE", "GIT_SSL_CAINFO", "REQUESTS_CA_BUNDLE"), bundle),
            "IDENTITY_ENDPOINT": f"{self.proxy_url}/msi/token",
            "SERVICEBUS": self.service_bus,
            "ATTESTATION_ROOTS": str(self.directory / "ca" / "attestations.pem"),
        }
        return plain_environment() | self.settings | addresses | dict(self.host_environment)

    def _launch(self, process: Process) -> None:
        self._ready_file(process.name).unlink(missing_ok=True)
        self._processes[process.name] = process
        process.start()

    def _ready_file(self, name: str) -> Path:
        return self.directory / f"{name}.ready"

    @property
    def _processes_file(self) -> Path:
        return self.directory / "processes.json"

    def claim(self) -> None:
        """Take the directory for this process; raises LocalRunError when another run has it."""
        self.directory.mkdir(parents=True, exist_ok=True)
        lock = (self.directory / "lock").open("a+")
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            lock.close()
            raise LocalRunError(
                f"Another run uses {self.directory}: stop it with Ctrl-C, or set APPSTORE_LOCAL_DIR to another folder."
            ) from None
        self._lock = lock

    def _remember(self) -> None:
        alive = {name: [p.pid, started_at(p.pid)] for name, p in self._processes.items() if p.alive}
        document = {"processes": alive, "ports": [self.host_port, self.vendors_port]}
        self._processes_file.write_text(json.dumps(document))

    def _known(self) -> dict[str, Any]:
        """Return what the run that has or had this directory wrote about its processes."""
        with suppress(FileNotFoundError, ValueError):
            document: dict[str, Any] = json.loads(self._processes_file.read_text())
            return document
        return {}

    def _end_leftovers(self) -> None:
        """End the processes of a run that was killed itself: they would hold the ports and the state."""
        known = self._known().get("processes", {})
        for name in _ORDER_OF_END:
            pid, since = known.get(name, (0, ""))
            if pid and since and started_at(pid) == since:
                end_group(pid, 10, force=name != "azurite")


@contextmanager
def running_stack() -> Iterator[Stack]:
    """Give the run that is up in the local directory, or start one for the time of a command."""
    stack = Stack(local_directory(), host_port=HOST_PORT, vendors_port=VENDORS_PORT)
    if stack.attach():
        yield stack
        return
    with stack:
        yield stack
