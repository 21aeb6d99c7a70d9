"""Jobs of Azure Automation run the published file, and do not end with the stand-ins."""

import time
from typing import Any

import httpx

from tests.vendors.conftest import StandIns

ARM = "https://management.azure.com"
ACCOUNT = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.Automation/automationAccounts/aa"
SLOW = "import sys, time\ntime.sleep(1)\nsys.stdout.write('about ' + sys.argv[1])\n"


def call(stand_ins: StandIns, method: str, path: str, runbook: str = "", **how: Any) -> httpx.Response:
    url = f"{ARM}{ACCOUNT}/jobs/{path}?api-version=2024-10-23"
    body = {"properties": {"runbook": {"name": runbook}, "parameters": {"target": "/x"}}} if runbook else None
    return stand_ins.client.request(method, url, json=body, **{"headers": stand_ins.bearer(ARM)} | how)


def ended(stand_ins: StandIns, name: str) -> dict[str, Any]:
    until = time.monotonic() + 30
    while time.monotonic() < until:
        properties: dict[str, Any] = call(stand_ins, "GET", name).json()["properties"]
        if properties["status"] not in ("New", "Running"):
            return properties
    raise AssertionError("the job did not end")


def test_a_job_outlives_a_kill_and_its_name_is_taken(stand_ins: StandIns) -> None:
    stand_ins.admin.post("seed", json={"automation": {"runbook/slow": SLOW, "runbook/wrong": "raise KeyError('x')"}})
    made = call(stand_ins, "PUT", "one", "slow")
    assert (made.status_code, made.json()["properties"]["status"]) == (201, "New")
    assert call(stand_ins, "PUT", "one", "slow").status_code == 409
    assert call(stand_ins, "PUT", "two", "nowhere").status_code == 400
    assert call(stand_ins, "GET", "three").status_code == 404
    assert call(stand_ins, "GET", "one", headers={}).status_code == 401
    stand_ins.kill()
    stand_ins.start()
    assert ended(stand_ins, "one")["status"] == "Completed"
    output = call(stand_ins, "GET", "one/output")
    assert (output.text, output.headers["content-type"].partition(";")[0]) == ("about /x", "text/plain")
    call(stand_ins, "PUT", "four", "wrong")
    failed = ended(stand_ins, "four")
    assert (failed["status"], "KeyError: 'x'" in failed["exception"]) == ("Failed", True)
