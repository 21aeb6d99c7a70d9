"""The boards of both systems as they really are, read over the vendors' own APIs."""

from typing import Any
from urllib.parse import quote

from local.sign_in import GITHUB, github_headers, identity_token
from local.stack import Stack

AZURE_DEVOPS = "499b84ac-1321-427f-aa17-267ca6975798"
PROJECTS = """
query($words: String!) { organization(login: "contoso") { projectsV2(first: 100, query: $words) { nodes {
  id title shortDescription repositories(first: 9) { nodes { name } }
  field(name: "Status") { ... on ProjectV2SingleSelectField { options { name } } }
  items(first: 100) { nodes {
    fieldValueByName(name: "Status") { ... on ProjectV2ItemFieldSingleSelectValue { name } }
    content { ... on DraftIssue { title body } }
  } }
} } } }
"""
OWNER = '{ organization(login: "contoso") { id } }'
CREATE = "mutation($o: ID!, $t: String!) { createProjectV2(input: {ownerId: $o, title: $t}) { projectV2 { id } } }"

type Document = dict[str, Any]


def _github(stack: Stack, query: str, **variables: str) -> Document:
    body = {"query": query, "variables": variables}
    answer = stack.vendors.post(f"{GITHUB}/graphql", json=body, headers=github_headers(stack)).json()
    assert "errors" not in answer, answer
    data: Document = answer["data"]
    return data


def create_project(stack: Stack, title: str) -> None:
    """A GitHub project that somebody else makes."""
    _github(stack, CREATE, o=_github(stack, OWNER)["organization"]["id"], t=title)


def projects(stack: Stack, words: str) -> list[Document]:
    """GitHub projects whose title has these words."""
    found: list[Document] = _github(stack, PROJECTS, words=words)["organization"]["projectsV2"]["nodes"]
    return found


def devops(stack: Stack, path: str, method: str = "GET", content: Any = None) -> Any:
    """An Azure DevOps document; None when there is none."""
    organization = stack.settings["AZURE_BOARDS_ORGANIZATION"]
    headers = {"Authorization": f"Bearer {identity_token(stack, AZURE_DEVOPS)}"}
    url = f"https://dev.azure.com/{organization}{path}{'&' if '?' in path else '?'}api-version=7.1"
    if "/workitems/" in path:
        headers["Content-Type"] = "application/json-patch+json"
    answer = stack.vendors.request(method, url, json=content, headers=headers)
    if answer.status_code == 404:
        return None
    answer.raise_for_status()
    return answer.json() if answer.content else {}


def team(stack: Stack, name: str) -> Document | None:
    """The team of an application, or None."""
    project = stack.settings["AZURE_BOARDS_PROJECT"]
    found: Document | None = devops(stack, f"/_apis/projects/{project}/teams/{name}")
    return found


def stories(stack: Stack, area: str) -> list[Document]:
    """The work items of an area, or none when there is no such area."""
    project = stack.settings["AZURE_BOARDS_PROJECT"]
    if devops(stack, f"/{project}/_apis/wit/classificationnodes/Areas/{quote(area)}") is None:
        return []
    query = f"SELECT [System.Id] FROM WorkItems WHERE [System.AreaPath] UNDER '{project}\\{area}' ORDER BY [System.Id]"  # noqa: S608 - WIQL
    hits = devops(stack, f"/{project}/any/_apis/wit/wiql", "POST", {"query": query})["workItems"]
    ids = ",".join(str(hit["id"]) for hit in hits)
    found: list[Document] = devops(stack, f"/{project}/_apis/wit/workitems?ids={ids}")["value"] if ids else []
    return found
