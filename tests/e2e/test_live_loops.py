"""What Azure tells of itself sets the App Store to work: nobody asks, and what was told five times is done once."""

import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from local.sign_in import identity_token
from local.stack import Stack
from tests.e2e.app_copy import copy_app, replace
from tests.e2e.driver import Desk, Document, until
from tests.e2e.estate import ARM, Estate
from tests.e2e.operations import ended

DAY = 86400
GRACE = 14
TIMES = 5


@dataclass(frozen=True)
class Application:
    """An application in an estate of its own, where rules do not let anybody wait for days."""

    desk: Desk
    name: str
    group: str

    def operations(self, operation: str) -> list[Document]:
        """What was done of its own accord."""
        listed = self.desk.call("GET", f"applications/{self.name}/operations", "operator").json()["operations"]
        return [item for item in listed if item["operation"] == operation]

    def vendor(self, method: str, url: str, resource: str, body: Any = None) -> Any:
        """A call of a vendor as somebody of the platform team."""
        headers = {"Authorization": f"Bearer {identity_token(self.desk.stack, resource)}"}
        answer = self.desk.stack.vendors.request(method, url, json=body, headers=headers)
        answer.raise_for_status()
        return answer.json()

    def azure(self, method: str, path: str, version: str, body: Any = None) -> Any:
        return self.vendor(method, f"{ARM}{path}?api-version={version}", ARM, body)

    def only(self, kind: str) -> str:
        """Id of the one resource of a type that onboarding made."""
        listed = self.azure("GET", f"{self.group}/resources", "2025-04-01")["value"]
        (found,) = [str(item["id"]) for item in listed if item["type"] == kind]
        return found


@pytest.fixture(scope="module")
def application(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Application]:
    folder = tmp_path_factory.mktemp("loops")
    root = copy_app(folder / "app")
    _hasten(root)
    with Stack(folder / "stack", root=root) as stack:
        desk = Desk(stack)
        request = desk.onboard("looped-api")
        assert request["state"] == "succeeded", request["problem"]
        group = next(path for path in Estate(stack).tagged(request["id"]) if path.count("/") == 4)
        yield Application(desk, "looped-api", group)


def _hasten(root: Path) -> None:
    """Overlap ends at once, an alert's answer is verified soon, an orphan is believed at first sight."""
    replace(root / "rules/rotation.yaml", "overlapDays: 7", "overlapDays: 0")
    replace(root / "rules/responses/default.yaml", "settle: 15", "settle: 0.25")
    replace(root / "rules/clean_up.yaml", "sightings: 3", "sightings: 1")


@pytest.mark.long
def test_a_secret_that_nears_its_end_is_rotated_once(application: Application) -> None:
    vault = application.only("Microsoft.KeyVault/vaults").rpartition("/")[2]
    account = f"{application.group}/providers/Microsoft.Storage/storageAccounts/stloopedapi"
    wanted = {"location": "westeurope", "kind": "StorageV2", "sku": {"name": "Standard_LRS"}}
    application.azure("PUT", account, "2025-06-01", wanted | {"tags": {"application": application.name}})
    (key, _) = application.azure("POST", f"{account}/listKeys", "2025-06-01", {})["keys"]

    def secret(method: str, path: str = "", body: Any = None) -> Any:
        url = f"https://{vault}.vault.azure.net/secrets/storage-key{path}?api-version=2026-04-01"
        return application.vendor(method, url, "https://vault.azure.net", body)

    tags = {"CredentialId": "key1", "ProviderAddress": account, "ValidityPeriodDays": "60"}
    end = int(time.time()) + 90 * DAY
    first = secret("PUT", body={"value": key["value"], "tags": tags, "attributes": {"exp": end}})
    version = first["id"].rpartition("/")[2]
    stack, began = application.desk.stack, application.desk.position()
    stack.vendors_admin("POST", "seed", {"event_grid": {"settings/copies": TIMES}})
    assert application.operations("rotate-secret") == []
    secret("PATCH", f"/{version}", {"attributes": {"exp": end - 80 * DAY}})
    (found,) = until("the end of the secret was told", lambda: application.operations("rotate-secret") or None)
    done = ended(application.desk, application.name, found["id"])
    assert (done["state"], done["occasion"]) == ("succeeded", "event"), done
    assert done["counts"]["done"] == 2
    told = until("it was told five times", lambda: _delivered(stack, version))
    assert {event["id"] for event in told} == {told[0]["id"]}
    current = secret("GET")
    assert current["tags"] | {"rotation-id": done["id"], "CredentialId": "key2"} == current["tags"]
    keys = {
        item["keyName"]: item["value"]
        for item in application.azure("POST", f"{account}/listKeys", "2025-06-01", {})["keys"]
    }
    assert current["value"] == keys["key2"]
    assert key["value"] not in keys.values()
    assert len(secret("GET", "/versions")["value"]) == 2
    assert len([entry for entry in stack.journal(began) if "/regenerateKey" in entry["url"]]) == 2
    assert [item["id"] for item in application.operations("rotate-secret")] == [done["id"]]


@pytest.mark.long
def test_a_disk_that_fills_up_is_extended_and_the_alert_ends(application: Application) -> None:
    stack, began = application.desk.stack, application.desk.position()
    server = application.only("Microsoft.DBforPostgreSQL/flexibleServers")
    assert application.operations("respond-to-alert") == []
    _push(stack, server, 92)
    size = _size(application, server)
    until("the disk was extended", lambda: _size(application, server) > size or None)
    _push(stack, server, 46)
    fired = ended(application.desk, application.name, application.operations("respond-to-alert")[0]["id"])
    assert (fired["state"], fired["occasion"], fired["environment"]) == ("succeeded", "alert", "dev"), fired
    facts = {name: fired["facts"][name] for name in ("response", "before", "after", "helped")}
    assert facts == {"response": "database-disk-full", "before": 92, "after": 46, "helped": True}
    until("the end of the alert was told", lambda: len(application.operations("respond-to-alert")) == 2 or None)
    (over,) = [item for item in application.operations("respond-to-alert") if item["id"] != fired["id"]]
    assert ended(application.desk, application.name, over["id"])["state"] == "succeeded"
    assert _size(application, server) == 2 * size
    changed = [
        entry for entry in stack.journal(began) if entry["method"] == "PATCH" and server.lower() in entry["url"].lower()
    ]
    assert len(changed) == 1
    account = stack.vendors_admin("GET", "monitor_alerts").json()
    told = [(item["status"], item["document"]["data"]["essentials"]["monitorCondition"]) for item in account["sent"]]
    assert told == [(202, "Fired"), (202, "Resolved")]
    assert account["alerts"] == []


def _push(stack: Stack, server: str, value: float) -> None:
    """What the metric was in the last hour, and is for the next minutes."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    minutes = [now + timedelta(minutes=offset) for offset in range(-60, 5)]
    values = {minute.strftime("%Y-%m-%dT%H:%M:%SZ"): value for minute in minutes}
    stack.vendors_admin("POST", "seed", {"arm": {f"metric/{server.lower()}/storage_percent": values}})


def _size(application: Application, server: str) -> int:
    size: int = application.azure("GET", server, "2026-10-01")["properties"]["storage"]["storageSizeGB"]
    return size


def _delivered(stack: Stack, version: str) -> list[Document] | None:
    """The deliveries of the news that a version is near its end, once there are enough; each was taken."""
    attempts = stack.vendors_admin("GET", "event_grid").json()["attempts"]
    events = [(attempt["status"], event) for attempt in attempts for event in attempt["events"]]
    told = [event for status, event in events if status == 202 and event["data"].get("Version") == version]
    return told if len(told) >= TIMES else None


@pytest.mark.long
def test_an_orphan_is_noticed_announced_removed_and_brought_back(application: Application) -> None:
    stack, began = application.desk.stack, application.desk.position()
    address = f"{application.group}/providers/Microsoft.Network/publicIPAddresses/pip-forgotten"
    wanted = {
        "location": "westeurope",
        "sku": {"name": "Standard", "tier": "Regional"},
        "tags": {"application": application.name, "note": "kept"},
        "properties": {"publicIPAllocationMethod": "Static", "idleTimeoutInMinutes": 7},
    }
    made = application.azure("PUT", address, "2024-05-01", wanted)
    for _ in range(TIMES):  # a timer that fires late and again asks for the same
        _fire(stack, "clean_up_orphans")
    (sweep,) = until("the day's sweep was asked for", lambda: application.operations("mark-orphans") or None)
    swept = ended(application.desk, application.name, sweep["id"])
    assert (swept["state"], swept["occasion"], swept["counts"]["done"]) == ("succeeded", "timer", 1), swept
    tags = application.azure("GET", address, "2024-05-01")["tags"]
    assert "delete@" in tags["appstore-clean-up"]
    told = until("the team was told", lambda: _announced(stack, address))
    assert len(told) == 1
    assert application.operations("clean-up") == []

    _days_pass(application, address)
    for _ in range(TIMES):
        _fire(stack, "clean_up_orphans")
    (removal,) = until("the removal was asked for", lambda: application.operations("clean-up") or None)
    gone = ended(application.desk, application.name, removal["id"])
    assert (gone["state"], gone["occasion"], gone["counts"]["done"]) == ("succeeded", "timer", 1), gone
    assert address not in _addresses(application)
    [tombstone] = application.desk.call("GET", "tombstones", "operator").json()["tombstones"]
    assert tombstone["resource"] == address

    restored = application.desk.call("POST", f"tombstones/{tombstone['id']}/restore", "operator", {})
    assert restored.status_code == 202, restored.text
    back = ended(application.desk, application.name, restored.json()["id"])
    assert back["state"] == "succeeded", back
    found = application.azure("GET", address, "2024-05-01")
    assert {name: found[name] for name in wanted if name != "properties"} == {
        name: made[name] for name in wanted if name != "properties"
    }
    assert found["properties"]["idleTimeoutInMinutes"] == 7
    journal = [
        (entry["method"], entry["status"])
        for entry in stack.journal(began)
        if address.lower() in entry["url"].lower() and "tags/default" not in entry["url"]
    ]
    assert [method for method, _ in journal if method in ("PUT", "DELETE")] == ["PUT", "DELETE", "PUT"]


def _fire(stack: Stack, timer: str) -> None:
    """The hour of a timer, as an operator lets it come: through the host's own administration."""
    stack.api.post(f"/admin/functions/{timer}", json={"input": ""}).raise_for_status()


def _days_pass(application: Application, resource: str) -> None:
    """The days of grace are over: nobody can turn the clock of a running host, so that what it wrote gets older."""
    script = """
import asyncio, sys
from datetime import timedelta
from shared.register import orphans

def older(row):
    days = ("first_seen", "last_seen", "marked_on", "due", "told_on")
    return row.model_copy(update={name: getattr(row, name) - timedelta(days=int(sys.argv[3])) for name in days})

asyncio.run(orphans.change(sys.argv[1], sys.argv[2], older))
"""
    stack = application.desk.stack
    subprocess.run(
        [sys.executable, "-c", script, application.name, resource, str(GRACE)],
        env=stack.product_environment(),
        cwd=stack.root,
        check=True,
    )


def _announced(stack: Stack, resource: str) -> list[Document] | None:
    """The messages about a resource that are in the team's channel."""
    messages = stack.vendors_admin("GET", "teams").json()["messages"]
    return [message for message in messages if resource in str(message)] or None


def _addresses(application: Application) -> list[str]:
    listed = application.azure("GET", f"{application.group}/resources", "2025-04-01")["value"]
    return [str(item["id"]) for item in listed]
