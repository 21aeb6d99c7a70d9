import json
import signal
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from local.azurite import Azurite
from local.processes import wait_until

CHECKOUT = Path(__file__).resolve().parents[2]


class StandIns:
    """A running `python -m local.vendors` on a folder, and clients for it."""

    def __init__(self, folder: Path, *arguments: str) -> None:
        self.folder = folder
        self._arguments = arguments
        self.start()

    def start(self) -> None:
        ready = self.folder / "ready.json"
        ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "local.vendors", "--data", str(self.folder), "--port", "0"]
        command += ["--ready-file", str(ready), *self._arguments]
        with (self.folder / "vendors.log").open("ab") as log:
            self.process = subprocess.Popen(command, cwd=CHECKOUT, stdout=log, stderr=log)
        assert wait_until(lambda: ready.exists() or self.process.poll() is not None, 30)
        assert ready.exists(), (self.folder / "vendors.log").read_text()
        self.ready: dict[str, Any] = json.loads(ready.read_text())
        self.proxy: str = self.ready["proxy"]
        context = ssl.create_default_context(cafile=self.ready["ca_bundle"])
        self.client = httpx.Client(proxy=self.proxy, verify=context, trust_env=False, timeout=30)
        self.admin = httpx.Client(base_url=f"{self.proxy}/_vendors/", trust_env=False, timeout=30)

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        self._close()
        self.process.send_signal(number)
        return self.process.wait(20)

    def kill(self) -> None:
        self._close()
        self.process.kill()
        self.process.wait(20)

    def journal(self, since: int = 0, system: str | None = None) -> list[dict[str, Any]]:
        wanted = {"since": since} | ({"system": system} if system else {})
        return [json.loads(line) for line in self.admin.get("journal", params=wanted).text.splitlines()]

    def token(self, persona: str, scope: str = "api://appstore/.default") -> httpx.Response:
        form = {"grant_type": "password", "username": persona, "password": persona, "client_id": "cli", "scope": scope}
        return self.client.post(f"{LOGIN}/oauth2/v2.0/token", data=form)

    def bearer(self, resource: str) -> dict[str, str]:
        token = self.token("admin", f"{resource}/.default").json()["access_token"]
        return {"Authorization": f"Bearer {token}"}

    def _close(self) -> None:
        self.client.close()
        self.admin.close()


LOGIN = "https://login.microsoftonline.com/11111111-1111-1111-1111-111111111111"


@pytest.fixture
def stand_ins(tmp_path: Path) -> Iterator[StandIns]:
    running = StandIns(tmp_path)
    yield running
    assert running.stop() == 0


@pytest.fixture
def with_storage(tmp_path: Path) -> Iterator[StandIns]:
    azurite = Azurite(tmp_path / "azurite", tmp_path / "azurite.log")
    azurite.start()
    running = StandIns(tmp_path, "--azurite-blob", azurite.blob_url, "--azurite-table", azurite.table_url)
    yield running
    assert running.stop() == 0
    azurite.stop()
