"""What really exists at the vendors, asked over their own APIs."""

import json
import re
from collections import Counter
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from local.sign_in import GITHUB, SERVICENOW, github_headers, identity_token, servicenow_headers
from local.stack import Stack
from tests.boards import projects

SUBSCRIPTION = "20000000-0000-0000-0000-000000000001"
ARM = "https://management.azure.com"
GRAFANA = "ce34e7e5-485f-4d76-964f-b3d2b16d1e4f"  # Azure Managed Grafana
TAG = "appstore-request-id"
TITLES = {
    "operation": "/operations/op-",
    "reminder": "waits for an approval",
    "escalation": "still waits: it is escalated",
    "break_glass": "The glass was broken for ",
    "welcome": "Welcome, ",
    "parked": " is parked",
    "degraded": " runs, but something is missing",
    "expired": " has expired",
    "undone": ' was undone"',
    "residue": " left something behind",
}


@dataclass(frozen=True)
class Estate:
    """A reader of the estate."""

    stack: Stack

    @cached_property
    def _github(self) -> dict[str, str]:
        return github_headers(self.stack)

    @cached_property
    def _azure(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {identity_token(self.stack, ARM)}"}

    def github(self, path: str) -> Any:
        """A GitHub document, or None."""
        answer = self.stack.vendors.get(f"{GITHUB}{path}", headers=self._github)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    def azure(self, path: str) -> Any:
        """An ARM document, or None."""
        answer = self.stack.vendors.get(f"{ARM}{path}", headers=self._azure)
        if answer.status_code == 404:
            return None
        answer.raise_for_status()
        return answer.json()

    @cached_property
    def _servicenow(self) -> dict[str, str]:
        return servicenow_headers(self.stack)

    def rows(self, table: str, query: str) -> list[dict[str, str]]:
        """Rows of a ServiceNow table."""
        url = f"{SERVICENOW}/api/now/table/{table}?sysparm_query={query}"
        answer = self.stack.vendors.get(url, headers=self._servicenow)
        answer.raise_for_status()
        found: list[dict[str, str]] = answer.json()["result"]
        return found

    def changes(self, request_id: str) -> list[str]:
        """States of the change requests that carry the request's id: 3 is closed, 4 is cancelled."""
        return [row["state"] for row in self.rows("change_request", f"correlation_id={request_id}")]

    def folder(self, uid: str) -> str | None:
        """Title of the Grafana folder with this uid, or None."""
        headers = {"Authorization": f"Bearer {identity_token(self.stack, GRAFANA)}"}
        answer = self.stack.vendors.get(f"{self.stack.settings['GRAFANA_ENDPOINT']}/api/folders/{uid}", headers=headers)
        return None if answer.status_code == 404 else str(answer.json()["title"])

    def channel(self) -> list[dict[str, Any]]:
        """Every message of the channel in Teams."""
        found: list[dict[str, Any]] = self.stack.vendors_admin("GET", "teams").json()["messages"]
        return found

    def told(self, request_id: str, chat: str = "teams") -> Counter[str]:
        """Kinds of the messages about a request that are in the channel, counted."""
        place, member = ("teams", "messages") if chat == "teams" else ("slack", "app-store")
        messages = self.stack.vendors_admin("GET", place).json()[member]
        about = [text for text in map(json.dumps, messages) if request_id in text]
        return Counter(next(kind for kind, words in TITLES.items() if words in text) for text in about)

    def _backstage(self, plugin: str, path: str) -> Any:
        headers = {"Authorization": f"Bearer {identity_token(self.stack, f'api://backstage-{plugin}')}"}
        answer = self.stack.vendors.get(
            f"{self.stack.settings['BACKSTAGE_BASE_URL']}/api/{plugin}/{path}", headers=headers
        )
        return answer.raise_for_status().json()

    def locations(self, application: str) -> int:
        """How many locations of the catalogue lead to the application's repository."""
        target = f"https://github.com/contoso/{application}/blob/main/catalog-info.yaml"
        return sum(row["data"]["target"] == target for row in self._backstage("catalog", "locations"))

    def tasks(self, request_id: str) -> list[str]:
        """States of the scaffolder's tasks that were started for a request."""
        listed = self._backstage("scaffolder", "v2/tasks?order=desc:created_at&limit=1000")["tasks"]
        return [task["status"] for task in listed if task["spec"]["parameters"]["requestId"] == request_id]

    def board(self, application: str) -> tuple[list[str], list[str]]:
        """Marks of the projects of this title, and of the draft issues on them, each once."""
        found = projects(self.stack, application)
        items = [item["content"]["body"] for project in found for item in project["items"]["nodes"]]
        texts = ([project["shortDescription"] for project in found], items)
        boards, drafts = ([re.findall(r"appstore:(\S+)", text)[0] for text in kind] for kind in texts)
        return boards, drafts

    def items(self, application: str) -> list[dict[str, str]]:
        """Configuration items of an application's name."""
        return self.rows("cmdb_ci_service_auto", f"name={application}")

    def tagged(self, request_id: str) -> list[str]:
        """Ids of ARM resources that carry the request id, resource groups included."""
        prefix, version = f"/subscriptions/{SUBSCRIPTION}", "api-version=2025-04-01"
        found = self.azure(f"{prefix}/resources?{version}&$filter=tagName eq '{TAG}' and tagValue eq '{request_id}'")
        groups = self.azure(f"{prefix}/resourcegroups?{version}")
        ids = [str(item["id"]) for item in found["value"]]
        ids += [str(item["id"]) for item in groups["value"] if (item.get("tags") or {}).get(TAG) == request_id]
        return sorted(ids)

    def repository(self, name: str) -> dict[str, Any] | None:
        """The application's repository, or None."""
        found: dict[str, Any] | None = self.github(f"/repos/contoso/{name}")
        return found

    def commits(self, name: str) -> int:
        """Commits on main."""
        return len(self.github(f"/repos/contoso/{name}/commits?sha=main&per_page=100"))

    def pulls(self, application: str) -> list[dict[str, Any]]:
        """Pull requests of the infrastructure repository for an application."""
        pulls = self.github("/repos/contoso/infrastructure/pulls?state=all&per_page=100")
        return [pull for pull in pulls if pull["title"].startswith(f"{application}:")]

    def runs(self, repository: str, word: str) -> Counter[str]:
        """Names of the workflow runs that contain a word, counted."""
        listed = self.github(f"/repos/contoso/{repository}/actions/runs?per_page=100")
        titles = [str(run["display_title"]) for run in (listed or {"workflow_runs": []})["workflow_runs"]]
        return Counter(title for title in titles if word in title)

    def require_exactly_once(self, application: str, request_id: str, *, drafts: int = 9) -> None:
        """Demand that every external object of a finished onboarding exists exactly once."""
        repository = self.repository(application)
        assert repository is not None
        assert repository["custom_properties"][TAG] == request_id
        assert self.commits(application) == 1
        pulls = self.pulls(application)
        assert len(pulls) == 1, pulls
        assert pulls[0]["merged_at"]
        runs = self.runs("infrastructure", request_id) + self.runs(application, request_id)
        assert runs, "no pipeline ran"
        assert set(runs.values()) == {1}, runs
        assert len(runs) == 3, runs
        assert self.changes(request_id) == ["3"]
        assert [item["correlation_id"] for item in self.items(application)] == [request_id]
        assert self.folder(request_id) == application
        told = self.told(request_id)
        assert told["welcome"] <= 1, told
        assert self.locations(application) == 1
        assert self.tasks(request_id) == ["completed"]
        boards, items = self.board(application)
        assert boards == [request_id]
        assert len(set(items)) == len(items) == drafts, items
        groups = [item for item in self.tagged(request_id) if item.lower().count("/") == 4]
        assert groups == [f"/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-{application}-dev"]
