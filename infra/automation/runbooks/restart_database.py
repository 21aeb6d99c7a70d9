"""Restarts a PostgreSQL server that runs, and waits until it runs again.

One parameter: the ARM id of the server. One that is stopped, or that is changed right now, is left alone.
Documentation: https://learn.microsoft.com/rest/api/postgresql/servers/restart
"""

import json
import os
import sys
import time
import urllib.error
import urllib.parse
import urllib.request
from email.message import Message
from typing import Any

ARM = "https://management.azure.com"
VERSION = "2026-10-01"
KIND = "/providers/microsoft.dbforpostgresql/flexibleservers/"
FIRST_PAUSE, LONGEST_PAUSE, LONGEST = 0.25, 15.0, 1200.0


def main(server: str) -> str:
    """Restart the server; returns a sentence about it.

    Raises:
        ValueError: the target is no PostgreSQL server.
        RuntimeError: it does not run, or did not come back.
    """
    if not server.lower().startswith("/subscriptions/") or KIND not in server.lower():
        raise ValueError(f"{server} is no PostgreSQL server")
    token = sign_in()
    before = state_of(server, token)
    if before != "Ready":
        raise RuntimeError(f"{server} is {before}: only a server that runs is restarted")
    _, headers = call("POST", f"{ARM}{server}/restart?api-version={VERSION}", token, {"restartWithFailover": False})
    wait_for(headers.get("Azure-AsyncOperation", ""), token)
    after = state_of(server, token)
    if after != "Ready":
        raise RuntimeError(f"{server} was restarted and is {after}")
    return f"{server.rpartition('/')[2]} was restarted and is Ready"


def wait_for(operation: str, token: str) -> None:
    """Wait until Azure says that the restart has ended.

    Raises:
        RuntimeError: it failed, or takes too long.
    """
    if not operation.startswith(f"{ARM}/"):
        raise RuntimeError("Azure took the restart and named no operation to wait for")
    pause, until = FIRST_PAUSE, time.monotonic() + LONGEST
    while time.monotonic() < until:
        status = str(call("GET", operation, token)[0]["status"])
        if status == "Succeeded":
            return
        if status in ("Failed", "Canceled"):
            raise RuntimeError(f"the restart ended as {status}")
        time.sleep(pause)
        pause = min(pause * 2, LONGEST_PAUSE)
    raise RuntimeError("the restart takes too long")


def state_of(server: str, token: str) -> str:
    """How the server says it stands."""
    return str(call("GET", f"{ARM}{server}?api-version={VERSION}", token)[0]["properties"]["state"])


def sign_in() -> str:
    """A token of the account's own identity.

    Documentation: https://learn.microsoft.com/azure/automation/enable-managed-identity-for-automation
    """
    query = urllib.parse.urlencode({"resource": f"{ARM}/", "api-version": "2019-08-01"})
    headers = {"X-IDENTITY-HEADER": os.environ["IDENTITY_HEADER"], "Metadata": "True"}
    request = urllib.request.Request(f"{os.environ['IDENTITY_ENDPOINT']}?{query}", headers=headers)
    with urllib.request.urlopen(request, timeout=30) as answer:
        return str(json.load(answer)["access_token"])


def call(method: str, url: str, token: str, body: dict[str, Any] | None = None) -> tuple[dict[str, Any], Message]:
    """Call Azure Resource Manager; returns the answer's document and its headers.

    Raises:
        RuntimeError: it refused; the sentence says why.
    """
    headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            text = answer.read()
            return (json.loads(text) if text else {}), answer.headers
    except urllib.error.HTTPError as error:
        reason = error.read(500).decode("utf-8", "replace")
        raise RuntimeError(f"{method} {url}: {error.code}: {reason}") from error


if __name__ == "__main__":
    sys.stdout.write(main(sys.argv[1]))
