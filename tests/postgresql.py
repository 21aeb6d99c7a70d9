"""A real PostgreSQL of a test's own."""

import os
import shutil
import subprocess
from contextlib import suppress
from pathlib import Path
from secrets import token_urlsafe
from tempfile import mkdtemp

import psycopg

from local.ports import free_port
from local.processes import LocalRunError


def missing() -> str:
    """What this machine lacks, in one sentence; empty when nothing is missing."""
    return "" if _program("initdb") else "PostgreSQL's initdb was not found: apt-get install postgresql."


def _program(name: str) -> str:
    """A program of PostgreSQL: from PATH, else from where Debian keeps it."""
    places = [str(path.parent) for path in sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"), reverse=True)]
    return shutil.which(name) or shutil.which(name, path=os.pathsep.join(places)) or ""


class Postgres:
    """A PostgreSQL on the loopback interface. It refuses to run as root: then it runs as `postgres`.

    Its data is not in the test's folder, into which only the test's own user may look. With a certificate it asks for
    passwords, as Azure does; without one it trusts everybody on this machine.
    """

    def __init__(self, certificate: Path | None = None) -> None:
        self.port = free_port()
        self._password = token_urlsafe(16)
        self._data = Path(mkdtemp(prefix="appstore-postgres-"))
        self._certificate = certificate
        if os.geteuid() == 0:
            shutil.chown(self._data, "postgres", "postgres")

    def start(self) -> None:
        options = f"-p {self.port} -c listen_addresses=127.0.0.1 -c unix_socket_directories='' -c fsync=off"
        how = ["-A", "trust"]
        if self._certificate:
            how = ["-A", "scram-sha-256", "--pwfile", str(self._keep("superuser", self._password))]
            tls = self._keep("tls.pem", self._certificate.read_text())
            options += f" -c ssl=on -c ssl_cert_file={tls} -c ssl_key_file={tls} -c log_statement=all"
        data = str(self._data / "data")
        self._run("initdb", "-D", data, "-U", "postgres", *how, "-E", "UTF8", "-N")
        self._run("pg_ctl", "-D", data, "-l", str(self._data / "log"), "-w", "-o", options, "start")

    def stop(self) -> None:
        with suppress(LocalRunError):
            self._run("pg_ctl", "-D", str(self._data / "data"), "-m", "immediate", "-w", "stop")
        shutil.rmtree(self._data, ignore_errors=True)

    def superuser(self) -> psycopg.Connection:
        """A session that may do everything."""
        return psycopg.connect(
            host="127.0.0.1", port=self.port, user="postgres", password=self._password, autocommit=True
        )

    def log(self) -> str:
        """What the server wrote down."""
        return (self._data / "log").read_text()

    def _keep(self, name: str, text: str) -> Path:
        file = self._data / name
        file.write_text(text)
        file.chmod(0o600)
        if os.geteuid() == 0:
            shutil.chown(file, "postgres", "postgres")
        return file

    def _run(self, program: str, *arguments: str) -> None:
        user = {"user": "postgres", "group": "postgres", "extra_groups": []} if os.geteuid() == 0 else {}
        command = [_program(program), *arguments]
        done = subprocess.run(  # type: ignore[call-overload]
            command, capture_output=True, text=True, check=False, stdin=subprocess.DEVNULL, cwd=self._data, **user
        )
        if done.returncode:
            raise LocalRunError(f"{program} failed: {done.stderr.strip()[-2000:] or done.stdout.strip()[-2000:]}")
