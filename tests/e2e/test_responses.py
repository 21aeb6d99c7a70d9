"""An alert of a rule that exists meets a maintenance window, a killed host, and a runbook: the whole way, for real."""

from collections.abc import Iterator
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

pytestmark = pytest.mark.long
NAME = "answered-api"
WINDOW = """
windows:
  - id: patching
    owner: platform@contoso.com
    applications: [answered-api]
    environments: [dev]
    rules: ["*"]
    from: "{begins}"
    until: "{ends}"
    reason: Servers are patched.
"""


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Desk, Path, str]]:
    """An onboarded application, the folder of the app, and the application's group."""
    folder = tmp_path_factory.mktemp("responses")
    root = copy_app(folder / "app")
    replace(root / "rules/responses/default.yaml", "settle: 15", "settle: 0.1")
    with Stack(folder / "stack", root=root) as stack:
        running = Desk(stack)
        request = running.onboard(NAME)
        assert request["state"] == "succeeded", request["problem"]
        yield running, root, next(path for path in Estate(stack).tagged(request["id"]) if path.count("/") == 4)


def answers(desk: Desk) -> list[Document]:
    """The operations that alerts asked for, oldest first."""
    listed = desk.call("GET", f"applications/{NAME}/operations", "operator").json()["operations"]
    found = [item for item in listed if item["operation"] == "respond-to-alert"]
    return sorted(found, key=lambda item: str(item["createdAt"]))


def azure(desk: Desk, path: str) -> Any:
    headers = {"Authorization": f"Bearer {identity_token(desk.stack, ARM)}"}
    answer = desk.stack.vendors.get(f"{ARM}{path}", headers=headers)
    answer.raise_for_status()
    return answer.json()


def only(desk: Desk, group: str, kind: str) -> str:
    """Id of the one resource of a type."""
    listed = azure(desk, f"{group}/resources?api-version=2025-04-01")["value"]
    (found,) = [str(item["id"]) for item in listed if item["type"] == kind]
    return found


def push(desk: Desk, resource: str, metric: str, value: float) -> None:
    """What the metric was in the last hour, and is for the next minutes."""
    now = datetime.now(UTC).replace(second=0, microsecond=0)
    values = {f"{now + timedelta(minutes=offset):%Y-%m-%dT%H:%M:%SZ}": value for offset in range(-60, 5)}
    desk.stack.vendors_admin("POST", "seed", {"arm": {f"metric/{resource.lower()}/{metric}": values}})


def size(desk: Desk, server: str) -> int:
    found: int = azure(desk, f"{server}?api-version=2026-10-01")["properties"]["storage"]["storageSizeGB"]
    return found


def set_window(root: Path, *, hours: float) -> None:
    """A window that began an hour ago, and ends in so many hours."""
    now = datetime.now(UTC)
    times = {"begins": now - timedelta(hours=1), "ends": now + timedelta(hours=hours)}
    text = WINDOW.format(**{name: f"{moment:%Y-%m-%dT%H:%M:%SZ}" for name, moment in times.items()})
    (root / "rules/maintenance_windows.yaml").write_text(text)


def test_an_alert_of_a_window_is_answered_after_it_although_the_host_was_killed(
    desk: tuple[Desk, Path, str],
) -> None:
    running, root, group = desk
    server = only(running, group, "Microsoft.DBforPostgreSQL/flexibleServers")
    before, known = size(running, server), len(answers(running))
    set_window(root, hours=1)
    push(running, server, "storage_percent", 92)
    kept = until("the alert was taken in", lambda: answers(running)[known:] or None)[0]
    done = ended(running, NAME, kept["id"])
    assert (done["state"], "patching" in done["facts"]["held"]) == ("succeeded", True), done
    assert size(running, server) == before
    running.stack.kill_host()
    running.stack.start_host()
    set_window(root, hours=-0.5)
    answer = until("the sweep asked for the answer", lambda: answers(running)[known + 1 :] or None, 180)[0]
    until("the disk was extended", lambda: size(running, server) > before or None)
    push(running, server, "storage_percent", 46)
    assert ended(running, NAME, answer["id"])["facts"]["helped"] is True
    assert size(running, server) == 2 * before


def test_a_vault_that_does_not_answer_is_diagnosed_by_a_runbook(desk: tuple[Desk, Path, str]) -> None:
    running, root, group = desk
    vault = only(running, group, "Microsoft.KeyVault/vaults")
    set_window(root, hours=-0.5)
    push(running, vault, "Availability", 42)

    def diagnosed() -> list[Document]:
        return [item for item in answers(running) if item["summary"].startswith("availability-diagnostics")]

    fired = until("the alert was taken in", lambda: diagnosed() or None)[0]
    done = ended(running, NAME, fired["id"])
    assert (done["state"], done["facts"]["response"]) == ("partial", "availability-diagnostics"), done
    path = f"applications/{NAME}/operations/{fired['id']}/actions"
    (action,) = running.call("GET", path, "operator").json()["actions"]
    assert action["result"]["status"] == "Completed"
    assert '"newest": 42' in action["result"]["output"]
    push(running, vault, "Availability", 100)
