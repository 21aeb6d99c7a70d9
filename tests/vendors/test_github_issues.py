import hashlib
import json
import os
import time
from collections.abc import AsyncIterator, Callable
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


async def test_comments_are_said_listed_and_taken_away(world: World) -> None:
    issue = await opened(world, "a")
    place = f"{ISSUES}/{issue['number']}/comments"
    one = await world.call("POST", place, {"body": "one"}, status=201)
    two = await world.call("POST", place, {"body": "two"}, status=201)
    assert [item["body"] for item in await world.call("GET", place)] == ["one", "two"]
    await world.call("DELETE", f"{ISSUES}/comments/{one['id']}", status=204)
    await world.call("DELETE", f"{ISSUES}/comments/{one['id']}", status=404)
    assert [item["id"] for item in await world.call("GET", place)] == [two["id"]]
    assert (await world.call("POST", place, {"body": "three"}, status=201))["id"] > two["id"]
    assert (await world.call("POST", place, {"body": " "}, status=422))["errors"][0]["field"] == "body"
    await world.call("GET", f"{ISSUES}/99/comments", status=404)


async def test_a_protected_branch_takes_what_somebody_else_approved_and_shows_who_merged(world: World) -> None:
    await world.commit({"a.txt": "a"}, branch="change")
    pull = await world.call("POST", f"{REPO}/pulls", {"title": "p", "head": "change", "base": "main"}, status=201)
    reviews = {"required_approving_review_count": 1}
    rules = {"required_status_checks": None, "enforce_admins": True, "required_pull_request_reviews": reviews}
    await world.call("PUT", f"{REPO}/branches/main/protection", rules | {"restrictions": None})
    place = f"{REPO}/pulls/{pull['number']}"
    await world.call("POST", f"{place}/reviews", {"event": "APPROVE"}, status=200)
    await world.call("PUT", f"{place}/merge", {}, status=405)
    await world.call("POST", f"{place}/reviews", {"event": "LIKE"}, status=422)
    person = {"actor": "jane", "repositories": None, "expires": time.time() + 60}
    world.kernel.store("github").put(f"tokens/{hashlib.sha256(b'ghp_jane').hexdigest()}", person)
    review = await world.call("POST", f"{place}/reviews", {"event": "APPROVE"}, status=200, token="ghp_jane")  # noqa: S106
    assert (review["state"], review["user"]["login"]) == ("APPROVED", "jane")
    assert (await world.call("GET", place))["merged_by"] is None
    await world.call("PUT", f"{place}/merge", {}, token="ghp_jane")  # noqa: S106
    shown = await world.call("GET", place)
    assert (shown["merged_by"]["login"], shown["merged_by"]["type"]) == ("jane", "User")


async def test_what_is_wrong_is_told_in_githubs_words(world: World) -> None:
    assert (await world.call("POST", ISSUES, {}, status=422))["errors"][0]["field"] == "title"
    await world.call("GET", f"{ISSUES}/9", status=404)
    await world.call("GET", f"{ISSUES}?state=nonsense", status=422)
    await world.call("POST", ISSUES, {"title": "x"}, status=401, token="ghs_wrong")  # noqa: S106
    await world.call("POST", f"{REPO}-other/issues", {"title": "x"}, status=404)


@pytest.fixture
def required() -> Callable[[str], set[str]]:
    """The fields that GitHub's own description demands of a document."""
    if "APPSTORE_CONTRACTS" not in os.environ:
        pytest.skip("the vendors' contracts are not here")
    description = json.loads(Path(os.environ["APPSTORE_CONTRACTS"], "github.openapi.json").read_text(encoding="utf-8"))
    return lambda name: set(description["components"]["schemas"][name]["required"])


async def test_the_answers_fit_githubs_own_description(world: World, required: Callable[[str], set[str]]) -> None:
    assert required("issue") <= (await opened(world, "a")).keys()
    comment = await world.call("POST", f"{ISSUES}/1/comments", {"body": "text"}, status=201)
    assert required("issue-comment") <= comment.keys()
    await world.commit({"a.txt": "a"}, branch="change")
    pull = await world.call("POST", f"{REPO}/pulls", {"title": "p", "head": "change", "base": "main"}, status=201)
    review = await world.call("POST", f"{REPO}/pulls/{pull['number']}/reviews", {"event": "COMMENT"}, status=200)
    assert required("pull-request-review") <= review.keys()
