"""The stand-ins as a process of their own, killed without warning between any two calls."""

import contextlib
import json
import signal
import sqlite3
import ssl
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import jwt
import pytest

from local.vendors.github.tokens import INSTALLATION_ID

DEADLINE = 60
WORKFLOW = """
on: {workflow_dispatch: {}}
jobs:
  a:
    steps:
      - run: |
          echo started >> MARK
          [ "$(wc -l < MARK)" -gt 1 ] || exec sleep 600
"""


class Process:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.ready = root / "ready.json"

    def start(self) -> None:
        self.ready.unlink(missing_ok=True)
        command = [sys.executable, "-m", "local.vendors", "--data", str(self.root), "--port", "0"]
        self.process = subprocess.Popen(
            [*command, "--ready-file", str(self.ready)], start_new_session=True, stderr=subprocess.DEVNULL
        )
        wait_for(self.ready.exists)
        told = json.loads(self.ready.read_text())
        self.client = httpx.Client(proxy=told["proxy"], verify=context(told["ca_bundle"]), timeout=30)

    def kill(self) -> None:
        self.client.close()
        with contextlib.suppress(ProcessLookupError):
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def call(self, method: str, path: str, body: Any = None, token: str = "") -> Any:
        headers = {"Authorization": f"Bearer {token or self.token}"}
        answer = self.client.request(method, f"https://api.github.com{path}", json=body, headers=headers)
        assert answer.is_success, answer.text
        return answer.json() if answer.content else None

    def sign_in(self) -> None:
        with contextlib.closing(sqlite3.connect(self.root / "vendors" / "documents.sqlite3")) as documents:
            query = "SELECT value FROM documents WHERE vendor = 'github' AND key = 'app/private_key'"
            pem = json.loads(documents.execute(query).fetchone()[0])
        claims = {"iat": int(time.time()) - 10, "exp": int(time.time()) + 300, "iss": "1001"}
        path = f"/app/installations/{INSTALLATION_ID}/access_tokens"
        self.token = self.call("POST", path, token=jwt.encode(claims, pem, "RS256"))["token"]


def context(bundle: str) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=bundle)


def wait_for(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


def runs(process: str) -> bool:
    """Whether a process is there and more than a zombie that nobody waited for."""
    status = Path(f"/proc/{process}/stat")
    return status.exists() and status.read_text().rpartition(") ")[2][0] != "Z"


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Process]:
    made = Process(tmp_path)
    made.start()
    yield made
    made.kill()


def test_everything_answered_survives_a_kill_after_every_call(process: Process, tmp_path: Path) -> None:
    repo, mark = "/repos/contoso/payments-api", tmp_path / "mark"
    process.sign_in()

    def call(method: str, path: str, body: Any = None) -> Any:
        answer = process.call(method, path, body)
        process.kill()
        process.start()
        return answer

    call("POST", "/orgs/contoso/repos", {"name": "payments-api", "auto_init": True})
    head = process.call("GET", f"{repo}/git/ref/heads/main")["object"]["sha"]
    content = WORKFLOW.replace("MARK", str(mark))
    entry = {"path": ".github/workflows/ci.yml", "mode": "100644", "type": "blob", "content": content}
    tree = call("POST", f"{repo}/git/trees", {"base_tree": head, "tree": [entry]})["sha"]
    commit = call("POST", f"{repo}/git/commits", {"message": "x", "tree": tree, "parents": [head]})["sha"]
    call("POST", f"{repo}/git/refs", {"ref": "refs/heads/work", "sha": commit})
    call("POST", f"{repo}/pulls", {"title": "x", "head": "work", "base": "main"})
    merged = call("PUT", f"{repo}/pulls/1/merge", {"sha": commit})
    assert process.call("GET", f"{repo}/git/ref/heads/main")["object"]["sha"] == merged["sha"]
    wanted = {"ref": "main", "return_run_details": True}
    run = process.call("POST", f"{repo}/actions/workflows/ci.yml/dispatches", wanted)["workflow_run_id"]
    wait_for(mark.exists)
    notes = (tmp_path / "vendors/actions/work").glob
    wait_for(lambda: any(notes("*/*.pid")))  # it is written when the step has begun already
    note = next(notes("*/*.pid"))
    process.kill()
    assert runs(note.stem)
    process.start()
    wait_for(lambda: process.call("GET", f"{repo}/actions/runs/{run}")["status"] == "completed")
    assert process.call("GET", f"{repo}/actions/runs/{run}")["conclusion"] == "success"
    assert mark.read_text().split() == ["started", "started"]
    assert not runs(note.stem)
