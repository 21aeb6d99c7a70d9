"""The stand-in for metric alerts fires once, resolves once, and tells it as an action group does."""

import time
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import httpx
import pytest
from aiohttp import web

from local.vendors import arm, entra, monitor_alerts
from local.vendors.arm.estate import Estate
from local.vendors.kernel import Kernel
from local.vendors.monitor_alerts import rules as evaluation
from local.vendors.monitor_alerts.rules import seconds_of

GROUP = "/subscriptions/20000000-0000-0000-0000-000000000001/resourceGroups/rg-appstore/providers"
VAULT = f"{GROUP}/Microsoft.KeyVault/vaults/kv-appstore"
TOLD = f"{GROUP}/Microsoft.Insights/actionGroups/ag"
RULE = f"{GROUP}/Microsoft.Insights/metricAlerts/alert-vault"
STORE = "https://appstore.contoso.com"


class Monitor:
    """Stand-ins with one rule on the availability of a vault, and the webhook that its action group tells."""

    def __init__(self, kernel: Kernel) -> None:
        self.kernel = kernel
        self.estate = Estate(kernel.store("arm"))
        self.answers: list[int] = []
        self.calls: list[tuple[str, dict[str, Any]]] = []

    async def take(self, request: web.Request) -> web.Response:
        self.calls.append((request.headers.get("Authorization", ""), await request.json()))
        return web.Response(status=self.answers.pop(0) if self.answers else 202)

    def rule(self, **changed: Any) -> None:
        criterion = {
            "metricName": "Availability",
            "metricNamespace": "Microsoft.KeyVault/vaults",
            "operator": "LessThan",
            "threshold": 99,
            "timeAggregation": "Average",
        }
        properties = {
            "severity": 3,
            "enabled": True,
            "scopes": [VAULT],
            "windowSize": "PT15M",
            "criteria": {"odata.type": "Microsoft.Azure.Monitor.X", "allOf": [criterion]},
            "actions": [{"actionGroupId": TOLD.lower()}],
        }
        found = {"id": RULE, "name": "alert-vault", "type": "Microsoft.Insights/metricAlerts"}
        self.estate.put(found | {"properties": properties | changed})

    def tell(self, receivers: list[dict[str, Any]], *, enabled: bool = True) -> None:
        properties = {"groupShortName": "ag", "enabled": enabled, "webhookReceivers": receivers}
        self.estate.put({"id": TOLD, "name": "ag", "type": "Microsoft.Insights/actionGroups", "properties": properties})

    def push(self, value: float, *, minutes_ago: int = 0) -> None:
        stamp = time.strftime("%Y-%m-%dT%H:%M:00Z", time.gmtime(time.time() - minutes_ago * 60))
        self.kernel.store("arm").put(f"metric/{VAULT.lower()}/Availability", {stamp: value})

    def evaluate(self) -> None:
        """As often as it takes to call an alert over."""
        for _ in range(evaluation.CALM):
            self.kernel.vendor("monitor_alerts").evaluate()

    def conditions(self) -> list[str]:
        return [document["data"]["essentials"]["monitorCondition"] for _, document in self.calls]


RECEIVER = {
    "name": "app-store",
    "serviceUri": f"{STORE}/hook",
    "useCommonAlertSchema": True,
    "useAadAuth": True,
    "identifierUri": "api://appstore",
}


@pytest.fixture
async def monitor(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Monitor]:
    monkeypatch.setattr(evaluation, "PAUSE_SECONDS", 0.05)
    kernel = Kernel(tmp_path)
    made = Monitor(kernel)
    application = web.Application()
    application.router.add_post("/hook", made.take)
    runner = web.AppRunner(application)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    here = {STORE: f"http://127.0.0.1:{runner.addresses[0][1]}"}
    kernel.store("monitor_alerts").put("settings/addresses", here)
    await kernel.start([one.build(kernel) for one in (entra, arm, monitor_alerts)])
    made.tell([RECEIVER])
    made.rule()
    yield made
    await kernel.stop()
    await runner.cleanup()


async def until(monitor: Monitor, look: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
    """Look at the account until it is so."""
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        account = await _account(monitor)
        if look(account):
            return account
    raise AssertionError(account)


async def _account(monitor: Monitor) -> dict[str, Any]:
    async with httpx.AsyncClient(trust_env=False) as person:
        found: dict[str, Any] = (await person.get(f"{monitor.kernel.proxy_url}/_vendors/monitor_alerts")).json()
    return found


async def test_an_alert_fires_once_and_is_resolved_with_the_same_id(monitor: Monitor) -> None:
    monitor.push(100)
    monitor.push(90)
    await until(monitor, lambda account: len(account["sent"]) == 1)
    for value in (80, 95):
        monitor.push(value)
    monitor.push(100)
    account = await until(monitor, lambda account: len(account["sent"]) == 2)
    assert monitor.conditions() == ["Fired", "Resolved"]
    fired, resolved = (document["data"] for _, document in monitor.calls)
    assert fired["essentials"]["alertId"] == resolved["essentials"]["alertId"]
    assert fired["essentials"]["alertTargetIDs"] == [VAULT.lower()]
    assert (fired["essentials"]["severity"], fired["essentials"]["alertRule"]) == ("Sev3", "alert-vault")
    (compared,) = fired["alertContext"]["condition"]["allOf"]
    assert (compared["metricValue"], compared["threshold"]) == (90, "99")
    assert "resolvedDateTime" in resolved["essentials"]
    assert account["alerts"] == []
    monitor.push(90)
    await until(monitor, lambda account: len(account["sent"]) == 3)
    assert monitor.calls[2][1]["data"]["essentials"]["alertId"] != fired["essentials"]["alertId"]


async def test_the_token_is_of_azures_own_application_for_the_receivers_one(monitor: Monitor) -> None:
    monitor.push(90)
    await until(monitor, lambda account: bool(account["sent"]))
    claims = monitor.kernel.vendor("entra").verify(monitor.calls[0][0].removeprefix("Bearer "))
    assert (claims["aud"], claims["azp"]) == ("api://appstore", "461e8683-5575-4561-ac7f-899cc907d62a")
    assert claims["roles"] == ["ActionGroupsSecureWebhook"]


async def test_busy_receivers_are_asked_again_and_refusing_ones_never(monitor: Monitor) -> None:
    monitor.answers += [503, 429, 202, 401]
    monitor.push(90)
    account = await until(monitor, lambda account: len(account["sent"]) == 3 and not account["waiting"])
    assert [item["status"] for item in account["sent"]] == [503, 429, 202]
    monitor.push(100)
    account = await until(monitor, lambda account: len(account["sent"]) == 4)
    assert (account["sent"][3]["status"], account["waiting"]) == (401, [])


async def test_who_is_not_on_this_machine_or_switched_off_is_not_called(monitor: Monitor) -> None:
    monitor.tell([RECEIVER | {"serviceUri": "https://hooks.example.com/hook"}])
    monitor.push(90)
    account = await until(monitor, lambda account: bool(account["sent"]))
    assert account["sent"][0]["status"] is None
    monitor.tell([RECEIVER], enabled=False)
    monitor.push(100)
    await until(monitor, lambda account: not account["alerts"])
    monitor.rule(enabled=False)
    monitor.push(90)
    monitor.tell([RECEIVER])
    monitor.evaluate()
    account = await _account(monitor)
    waiting = [one for one in account["waiting"] if one["receiver"]["serviceUri"].startswith(STORE)]
    assert (account["alerts"], waiting, monitor.calls) == ([], [], [])


async def test_a_value_that_left_the_window_changes_nothing(monitor: Monitor) -> None:
    monitor.push(90, minutes_ago=20)
    monitor.evaluate()
    assert (await _account(monitor))["alerts"] == []
    monitor.push(90)
    monitor.evaluate()
    monitor.push(100, minutes_ago=20)
    monitor.evaluate()
    assert [alert["calm"] for alert in (await _account(monitor))["alerts"]] == [0]


@pytest.mark.parametrize(("span", "seconds"), [("PT5M", 300), ("PT1H", 3600), ("P1D", 86400), ("PT1H30M", 5400)])
def test_spans(span: str, seconds: int) -> None:
    assert seconds_of(span) == seconds
