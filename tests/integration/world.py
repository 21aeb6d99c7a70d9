"""What a test of the product's effects needs: requests in the register, faults, and a look at the real estate."""

import hashlib
import importlib
import itertools
import json
import os
import pkgutil
import re
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from typing import Any

import httpx
import pytest

import activities
from activities._activity import registered
from local.sign_in import GITHUB, SERVICENOW, github_headers, identity_token, servicenow_headers
from local.stack import Stack
from shared.clients import _arm
from shared.errors import TransientIntegrationError
from shared.identity import Caller
from shared.models.application_request import ApplicationRequest
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput, Run
from shared.outcome import Outcome
from shared.register import _table, steps
from shared.settings import USER_AGENT
from shared.teams import find
from tests.e2e.driver import body
from triggers._intake import judge, take_in

for found in pkgutil.iter_modules(activities.__path__, f"{activities.__name__}."):
    importlib.import_module(found.name)  # importing registers

ARM = "https://management.azure.com"
GRAFANA = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f"  # Azure Managed Grafana
SUBSCRIPTION = "20000000-0000-0000-0000-000000000001"
TENANT = "11111111-1111-1111-1111-111111111111"
TAG = "appstore-request-id"
INFRASTRUCTURE = "/repos/contoso/infrastructure"

type Document = dict[str, Any]

_numbers = itertools.count(1)


class DurableClient:
    """The part of the durable client that triggers use; starts and wakes nothing."""

    async def get_status(self, _instance: str) -> None:
        return None

    async def start_new(self, _name: str, instance: str, _payload: Document) -> str:
        return instance

    async def raise_event(self, _instance: str, _name: str, _data: Document) -> None:
        return None


def caller(name: str, *roles: str, teams: tuple[str, ...] = ()) -> Caller:
    """A person with app roles."""
    groups = tuple(find(team).entra_group_id for team in teams)
    return Caller(name, TENANT, name, frozenset(roles), frozenset(teams), groups, is_service=False)


REQUESTER = caller("requester", "Requester", teams=("payments",))


@dataclass
class World:
    """The stand-ins of the session, as an administrator sees them."""

    stack: Stack
    _admin: httpx.Client = field(init=False)
    _direct: httpx.Client = field(init=False)

    def __post_init__(self) -> None:
        self._admin = httpx.Client(base_url=f"{self.stack.proxy_url}/_vendors/", timeout=30, trust_env=False)
        self._direct = httpx.Client(timeout=30, trust_env=False)

    def close(self) -> None:
        self._admin.close()
        self._direct.close()

    # -- faults and journal ------------------------------------------------------------------------------------------

    def fault(self, **fault: Any) -> None:
        """Make the next matching vendor calls fail."""
        self._admin.post("faults", json=fault).raise_for_status()

    def heal(self) -> None:
        """Take every fault away."""
        self._admin.delete("faults").raise_for_status()

    async def unpause(self) -> None:
        """Let nobody wait for what a fault asked Azure's callers to wait for."""
        rows = [row async for row in _table.query("kind eq 'calls'") if row.document["paused"]]
        for row in rows:
            await _table.commit(row.partition, [_table.Write(row.key, None)])
        _arm._budgets().clear()

    def calls(self, since: int, system: str = "") -> list[Document]:
        """The product's own calls after a position."""
        answer = self._admin.get("journal", params={"since": since} | ({"system": system} if system else {}))
        return [entry for entry in map(json.loads, answer.text.splitlines()) if USER_AGENT in entry["agent"]]

    def position(self) -> int:
        """Number of the journal's newest entry."""
        count: int = self._admin.get("health").json()["journal"]
        return count

    def committed(self, since: int, method: str, path: str, content: str = "") -> int:
        """How many of the product's calls took effect at the vendor, whatever the answer was."""
        return sum(
            entry["method"] == method
            and re.search(path, entry["url"]) is not None
            and re.search(content, json.dumps(entry["body"])) is not None
            and (entry["fault"] in ("status_after", "drop_after") or (entry["status"] or 500) < 300)
            for entry in self.calls(since)
        )

    # -- the product -------------------------------------------------------------------------------------------------

    async def order(self, **changes: Any) -> RequestRecord:
        """A request in the register, its name reserved, nothing made."""
        number = next(_numbers)
        name = str(changes.pop("name", f"it{number}-api"))
        wanted = ApplicationRequest.model_validate(body(name, **changes))
        client: Any = DurableClient()
        return await take_in(client, REQUESTER, f"key-{number}", await judge(wanted, REQUESTER))

    @contextmanager
    def board_system(self, name: str) -> Iterator[None]:
        """Take requests in that want their board there."""
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("BOARD_SYSTEM", name)
            yield

    async def run(self, name: str, payload: ActivityInput) -> Outcome:
        """Call an activity as the host does."""
        return Outcome.model_validate(await registered(name)(payload.document()))

    async def value(self, name: str, payload: ActivityInput) -> Document:
        """Call an activity that must succeed; its result."""
        outcome = await self.run(name, payload)
        assert outcome.ok, outcome.problem
        return outcome.value or {}

    async def insist(self, name: str, payload: ActivityInput) -> Outcome:
        """Call an activity again after a transient failure, as the durable retry does."""
        with suppress(TransientIntegrationError):
            return await self.run(name, payload)
        return await self.run(name, payload)

    async def forget(self, name: str, payload: ActivityInput) -> None:
        """Lose the step's row, if it has one: the worker died after the effect and before writing it down."""
        with suppress(_table.RowConflictError):
            await _table.commit(payload.run.application, [_table.Write(steps.step_key(payload.run, name), None)])

    # -- the estate --------------------------------------------------------------------------------------------------

    @cached_property
    def _github(self) -> dict[str, str]:
        return github_headers(self.stack)

    @cached_property
    def _azure(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {identity_token(self.stack, ARM)}"}

    def github(self, path: str, method: str = "GET", content: Any = None) -> Any:
        """A GitHub document; None when there is none."""
        return _document(self.stack.vendors.request(method, f"{GITHUB}{path}", json=content, headers=self._github))

    def github_as(self, login: str, path: str, method: str = "GET", content: Any = None) -> Any:
        """A call to GitHub by a person, with a token of theirs."""
        token = f"ghp_{login}"
        grant = {"actor": login, "repositories": None, "expires": time.time() + 3600}
        self.seed("github", {f"tokens/{hashlib.sha256(token.encode()).hexdigest()}": grant})
        headers = {"Authorization": f"Bearer {token}"}
        return _document(self.stack.vendors.request(method, f"{GITHUB}{path}", json=content, headers=headers))

    def azure(self, path: str, version: str, method: str = "GET", content: Any = None) -> Any:
        """An ARM document; None when there is none. An administrator, too, waits when Azure is asked too often."""
        url = f"{ARM}{path}?api-version={version}"
        while True:
            answer = self.stack.vendors.request(method, url, json=content, headers=self._azure)
            if answer.status_code != httpx.codes.TOO_MANY_REQUESTS:
                return _document(answer)

    def seed(self, system: str, documents: Document) -> None:
        """Put documents into a stand-in's store."""
        self._admin.post("seed", json={system: documents}).raise_for_status()

    def reset(self, *systems: str) -> None:
        """Take every document out of these stand-ins' stores."""
        self._admin.post("reset", json={"systems": list(systems)}).raise_for_status()

    @cached_property
    def _servicenow(self) -> dict[str, str]:
        return servicenow_headers(self.stack)

    def servicenow(self, path: str) -> Any:
        """Rows of a ServiceNow table."""
        return _document(self.stack.vendors.get(f"{SERVICENOW}{path}", headers=self._servicenow))["result"]

    def grafana(self, path: str) -> Any:
        """A Grafana document; None when there is none."""
        url = f"{self.stack.settings['GRAFANA_ENDPOINT']}/api{path}"
        return _document(self.stack.vendors.get(url, headers=self.grafana_headers()))

    def grafana_headers(self) -> dict[str, str]:
        """Of a call to Grafana."""
        return {"Authorization": f"Bearer {identity_token(self.stack, GRAFANA)}"}

    def use_slack(self) -> None:
        """Let the product write to Slack instead of Teams, until the end of the test."""
        os.environ.update(TEAMS_KEY_VAULT="", SLACK_CHANNEL="C0APPSTORE")

    def told(self, record: RequestRecord, chat: str = "teams") -> list[str]:
        """The messages about a request that are in the channel, as JSON."""
        while any(run["status"] == "Running" for run in self._admin.get("teams/runs").json()["value"]):
            continue  # the workflow posts after it has answered
        answer = self._admin.get(chat).json()
        return [
            text
            for text in map(json.dumps, answer["messages" if chat == "teams" else "app-store"])
            if record.id in text
        ]

    def published(self, application: str) -> list[Document]:
        """What a custom topic was told of an application."""
        told: list[Document] = self._admin.get("event_grid").json()["published"]
        return [event for event in told if event["source"] == f"/applications/{application}"]

    def backstage(self, path: str, method: str = "GET", content: Any = None, *, plugin: str = "catalog") -> Any:
        """A document of Backstage's catalog or scaffolder; None when there is none."""
        token = identity_token(self.stack, f"api://backstage-{plugin}")
        url = f"{os.environ['BACKSTAGE_BASE_URL']}/api/{plugin}{path}"
        client = self.stack.vendors if url.startswith("https:") else self._direct
        return _document(client.request(method, url, json=content, headers={"Authorization": f"Bearer {token}"}))

    def lose_task(self, task_id: str, request_id: str) -> None:
        """A scaffolder task whose worker was killed an hour ago: at the stand-in only, a real one needs the kill."""
        then = (datetime.now(UTC) - timedelta(hours=1)).isoformat().replace("+00:00", "Z")
        spec = {"steps": [], "output": {}, "parameters": {"requestId": request_id}}
        task = {"id": task_id, "spec": spec, "status": "processing", "createdAt": then, "lastHeartbeatAt": then}
        seed = {"backstage": {f"task/{task_id}": {"task": task, "events": []}}}
        self._admin.post("seed", json=seed).raise_for_status()

    def commit(self, repository: str, files: dict[str, str], branch: str = "main") -> str:
        """A commit on a branch, as somebody else makes it."""
        place = f"/repos/contoso/{repository}/git"
        head = self.github(f"{place}/ref/heads/{branch}")["object"]["sha"]
        entries = [{"path": path, "mode": "100644", "type": "blob", "content": text} for path, text in files.items()]
        tree = self.github(f"{place}/trees", "POST", {"base_tree": head, "tree": entries})["sha"]
        wanted = {"message": "by hand", "tree": tree, "parents": [head]}
        sha = str(self.github(f"{place}/commits", "POST", wanted)["sha"])
        self.github(f"{place}/refs/heads/{branch}", "PATCH", {"sha": sha})
        return sha


def _document(answer: httpx.Response) -> Any:
    if answer.status_code == httpx.codes.NOT_FOUND:
        return None
    answer.raise_for_status()
    return answer.json() if answer.content else {}


def run_of(record: RequestRecord, branch: str = "source", environment: str | None = None, *, undo: bool = False) -> Run:
    """The run that activities of a request work for."""
    return Run(request_id=record.id, application=record.application, branch=branch, environment=environment, undo=undo)


@contextmanager
def closing(world: World) -> Iterator[World]:
    """Close the administrator's connections at the end."""
    try:
        yield world
    finally:
        world.close()
