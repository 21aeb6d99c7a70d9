import json
import os
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.vendors.github_world import REPO, World

ISSUES = f"{REPO}/issues"
FIELDS = {
    "assignee", "closed_at", "comments", "comments_url", "events_url", "html_url", "id", "node_id", "labels",
    "labels_url", "milestone", "number", "repository_url", "state", "locked", "title", "url", "user", "created_at",
    "updated_at", "author_association",
}  # fmt: skip


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    await made.create()
    yield made
    await made.stop()


async def opened(world: World, title: str, **more: Any) -> dict[str, Any]:
    issue: dict[str, Any] = await world.call("POST", ISSUES, {"title": title, **more}, status=201)
    return issue


async def test_an_issue_is_opened_closed_and_opened_again(world: World) -> None:
    issue = await opened(world, "a", body="text", labels=["drift"])
    assert issue.keys() >= FIELDS
    assert (issue["state"], issue["user"]["type"]) == ("open", "Bot")
    place = f"{ISSUES}/{issue['number']}"
    closed = await world.call("PATCH", place, {"state": "closed", "state_reason": "not_planned"})
    assert (closed["state"], closed["state_reason"]) == ("closed", "not_planned")
    assert closed["closed_at"]
    again = await world.call("PATCH", place, {"state": "open"})
    assert (again["state"], again["state_reason"], again["closed_at"]) == ("open", "reopened", None)
    assert await world.call("GET", place) == again


async def test_lists_are_by_state_and_by_all_labels_newest_first_in_pages(world: World) -> None:
    for number in range(3):
        await opened(world, f"n{number}", labels=["drift", f"l{number}"])
    await world.call("PATCH", f"{ISSUES}/1", {"state": "closed"})
    titles = [item["title"] for item in await world.call("GET", f"{ISSUES}?labels=drift")]
    assert titles == ["n2", "n1"]
    assert [item["title"] for item in await world.call("GET", f"{ISSUES}?labels=drift,l0&state=all")] == ["n0"]
    assert len(await world.call("GET", f"{ISSUES}?state=all&per_page=2&page=2")) == 1


async def test_numbers_are_those_of_pull_requests_too(world: World) -> None:
    first = await opened(world, "issue")
    await world.commit({"a.txt": "a"}, branch="change")
    wanted = {"title": "pull", "head": "change", "base": "main"}
    pull = await world.call("POST", f"{REPO}/pulls", wanted, status=201)
    assert (first["number"], pull["number"]) == (1, 2)


async def test_a_pull_request_has_labels_as_an_issue_has_them(world: World) -> None:
    await world.commit({"a.txt": "a"}, branch="change")
    pull = await world.call("POST", f"{REPO}/pulls", {"title": "p", "head": "change", "base": "main"}, status=201)
    assert pull["labels"] == []
    for _ in range(2):
        await world.call("POST", f"{ISSUES}/{pull['number']}/labels", {"labels": ["conflict"]}, status=200)
    shown = await world.call("GET", f"{REPO}/pulls/{pull['number']}")
    assert [label["name"] for label in shown["labels"]] == ["conflict"]
    await world.call("POST", f"{ISSUES}/99/labels", {"labels": ["x"]}, status=404)


async def test_what_is_wrong_is_told_in_githubs_words(world: World) -> None:
    assert (await world.call("POST", ISSUES, {}, status=422))["errors"][0]["field"] == "title"
    await world.call("GET", f"{ISSUES}/9", status=404)
    await world.call("GET", f"{ISSUES}?state=nonsense", status=422)
    await world.call("POST", ISSUES, {"title": "x"}, status=401, token="ghs_wrong")  # noqa: S106
    await world.call("POST", f"{REPO}-other/issues", {"title": "x"}, status=404)


@pytest.fixture
def required() -> set[str]:
    """The fields that GitHub's own description demands of an issue."""
    if "APPSTORE_CONTRACTS" not in os.environ:
        pytest.skip("the vendors' contracts are not here")
    description = json.loads(Path(os.environ["APPSTORE_CONTRACTS"], "github.openapi.json").read_text(encoding="utf-8"))
    return set(description["components"]["schemas"]["issue"]["required"])


async def test_the_answers_fit_githubs_own_description(world: World, required: set[str]) -> None:
    assert required <= (await opened(world, "a")).keys()
