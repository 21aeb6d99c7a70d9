import base64
import os
import time
from collections.abc import AsyncIterator
from pathlib import Path

import jwt
import pytest

from local.vendors.github.tokens import INSTALLATION_ID
from tests.vendors.github_world import REPO, World


@pytest.fixture
async def world(tmp_path: Path) -> AsyncIterator[World]:
    made = World(tmp_path)
    await made.start()
    yield made
    await made.stop()


async def test_app_token_needs_the_apps_own_signature(world: World) -> None:
    path = f"/app/installations/{INSTALLATION_ID}/access_tokens"
    for wrong in (
        jwt.encode({"iat": 1, "exp": time.time() + 60, "iss": "1001"}, "x" * 64, "HS256"),
        world.assertion(exp=1),
        world.assertion(exp=time.time() + 3600),
        "nonsense",
    ):
        assert (await world.call("POST", path, token=wrong, status=401))["status"] == "401"
    await world.call("POST", path, token=world.assertion(iss="7"), status=404)
    await world.call("POST", "/app/installations/7/access_tokens", token=world.assertion(), status=404)
    assert (await world.call("GET", "/app", token=world.assertion()))["id"] == 1001


async def test_every_other_call_needs_a_token(world: World) -> None:
    assert (await world.call("GET", REPO, token="ghs_wrong", status=401))["message"] == "Bad credentials"  # noqa: S106
    await world.call("GET", REPO, status=404)
    assert world.headers["X-RateLimit-Limit"] == "5000"
    assert int(world.headers["X-RateLimit-Remaining"]) < 5000


async def test_narrow_token_sees_its_repositories_only(world: World) -> None:
    await world.create()
    await world.create("other")
    path = f"/app/installations/{INSTALLATION_ID}/access_tokens"
    narrow = await world.call("POST", path, {"repositories": ["other"]}, token=world.assertion())
    await world.call("GET", "/repos/contoso/other", token=narrow["token"])
    await world.call("GET", REPO, token=narrow["token"], status=404)


async def test_repository_name_is_taken_once_in_any_case(world: World) -> None:
    created = await world.create(custom_properties={"appstore-request-id": "req-1"})
    assert created["custom_properties"] == {"appstore-request-id": "req-1"}
    refused = await world.call("POST", "/orgs/contoso/repos", {"name": "Payments-API"}, status=422)
    assert refused["errors"][0]["message"] == "name already exists on this account"
    await world.call("PATCH", f"{REPO}/properties/values", {"properties": [{"property_name": "a", "value": "b"}]})
    values = await world.call("GET", f"{REPO}/properties/values")
    assert {each["property_name"]: each["value"] for each in values} == {"appstore-request-id": "req-1", "a": "b"}
    await world.call("DELETE", REPO, status=204)
    await world.call("GET", REPO, status=404)
    assert (await world.create())["id"] != created["id"]


async def test_archived_repository_is_read_only(world: World) -> None:
    await world.create()
    await world.call("PATCH", REPO, {"archived": True})
    await world.call("PATCH", REPO, {"description": "x"}, status=403)
    await world.call("POST", f"{REPO}/git/blobs", {"content": "x"}, status=403)
    await world.call("PATCH", REPO, {"archived": False})
    await world.call("POST", f"{REPO}/git/blobs", {"content": "x"}, status=201)


async def test_empty_repository_has_no_git_database(world: World) -> None:
    await world.create(auto_init=False)
    refused = await world.call("POST", f"{REPO}/git/blobs", {"content": "x"}, status=409)
    assert refused["message"] == "Git Repository is empty."
    await world.call("GET", f"{REPO}/git/ref/heads/main", status=409)
    await world.call("GET", f"{REPO}/contents/README.md", status=404)


async def test_commit_by_the_git_data_api_is_what_git_clones(world: World, tmp_path: Path) -> None:
    await world.create()
    blob = await world.call("POST", f"{REPO}/git/blobs", {"content": "aGVsbG8K", "encoding": "base64"}, status=201)
    assert blob["sha"] == "ce013625030ba8dba906f756967f9e9ca394464a"
    sha = await world.commit({"src/app.py": "print('é')\n", "README.md": "new"}, message="Skeleton [skip ci]\n\nbody")
    url = f"https://x-access-token:{world.token}@github.com/contoso/payments-api.git"
    await world.git("clone", "-q", url, "clone", folder=tmp_path)
    assert (tmp_path / "clone/src/app.py").read_text() == "print('é')\n"
    assert (await world.git("log", "-1", "--format=%H %s", folder=tmp_path / "clone")).split()[0] == sha
    content = await world.call("GET", f"{REPO}/contents/src/app.py?ref={sha}")
    assert base64.b64decode(content["content"]).decode() == "print('é')\n"
    assert [each["name"] for each in await world.call("GET", f"{REPO}/contents/")] == ["README.md", "src"]
    tree = await world.call("GET", f"{REPO}/git/trees/{sha}?recursive=1")
    assert [entry["path"] for entry in tree["tree"]] == ["README.md", "src", "src/app.py"]
    assert (await world.call("GET", f"{REPO}/commits/main"))["commit"]["message"] == "Skeleton [skip ci]\n\nbody"
    assert world.actions.events[-1] == ("push", "refs/heads/main", sha)


async def test_tree_entry_without_sha_removes_the_path(world: World) -> None:
    await world.create()
    sha = await world.commit({"a": "1", "b": "2"})
    wanted = {"base_tree": sha, "tree": [{"path": "a", "mode": "100644", "type": "blob", "sha": None}]}
    tree = await world.call("POST", f"{REPO}/git/trees", wanted, status=201)
    assert [entry["path"] for entry in tree["tree"]] == ["README.md", "b"]


async def test_same_commit_content_gives_the_same_id(world: World) -> None:
    await world.create()
    head = await world.call("GET", f"{REPO}/commits/main")
    author = {"name": "a", "email": "a@example.com", "date": "2026-11-25T10:00:00Z"}
    wanted = {"message": "m", "tree": head["commit"]["tree"]["sha"], "parents": [head["sha"]], "author": author}
    shas = [(await world.call("POST", f"{REPO}/git/commits", wanted, status=201))["sha"] for _ in range(2)]
    assert shas[0] == shas[1]


async def test_refs_move_forward_only_and_are_created_once(world: World) -> None:
    await world.create()
    old = (await world.call("GET", f"{REPO}/git/ref/heads/main"))["object"]["sha"]
    new = await world.commit({"a": "1"})
    assert (await world.call("PATCH", f"{REPO}/git/refs/heads/main", {"sha": old}, status=422))["message"].startswith(
        "Update is not a fast forward"
    )
    await world.call("POST", f"{REPO}/git/refs", {"ref": "refs/heads/main", "sha": new}, status=422)
    await world.call("PATCH", f"{REPO}/git/refs/heads/main", {"sha": "0" * 40}, status=422)
    await world.call("PATCH", f"{REPO}/git/refs/heads/main", {"sha": old, "force": True})


async def test_pull_request_is_opened_once_merged_and_cleaned_up(world: World) -> None:
    await world.create()
    branch = "appstore/req-1/dev"
    head = await world.commit({"apps/x/dev.tfvars.json": "{}"}, branch=branch)
    wanted = {"title": "x in dev", "head": branch, "base": "main", "body": "b"}
    opened = await world.call("POST", f"{REPO}/pulls", wanted, status=201)
    assert (opened["number"], opened["head"]["sha"], opened["mergeable"]) == (1, head, True)
    again = await world.call("POST", f"{REPO}/pulls", wanted, status=422)
    assert again["errors"][0]["message"] == f"A pull request already exists for contoso:{branch}."
    assert [p["number"] for p in await world.call("GET", f"{REPO}/pulls?head=contoso:{branch}&state=all")] == [1]
    files = await world.call("GET", f"{REPO}/pulls/1/files")
    assert [(file["filename"], file["status"], file["additions"]) for file in files] == [
        ("apps/x/dev.tfvars.json", "added", 1)
    ]
    assert ("pull_request", "refs/pull/1/merge", head) in world.actions.events
    await world.call("PUT", f"{REPO}/pulls/1/merge", {"sha": "0" * 40}, status=409)
    merged = await world.call("PUT", f"{REPO}/pulls/1/merge", {"sha": head, "merge_method": "merge"})
    shown = await world.call("GET", f"{REPO}/pulls/1")
    assert (shown["merged"], shown["state"], shown["merge_commit_sha"]) == (True, "closed", merged["sha"])
    await world.call("PUT", f"{REPO}/pulls/1/merge", {}, status=405)
    await world.call("DELETE", f"{REPO}/git/refs/heads/{branch}", status=204)
    assert (await world.call("GET", f"{REPO}/git/ref/heads/main"))["object"]["sha"] == merged["sha"]


async def test_merge_cut_off_between_git_and_document_counts_as_merged(world: World) -> None:
    await world.create()
    head = await world.commit({"a": "1"}, branch="work")
    await world.call("POST", f"{REPO}/pulls", {"title": "t", "head": "work", "base": "main"}, status=201)
    await world.call("PATCH", f"{REPO}/git/refs/heads/main", {"sha": head})
    assert (await world.call("GET", f"{REPO}/pulls/1"))["merged"] is True


async def test_conflicting_pull_request_is_not_mergeable(world: World) -> None:
    await world.create()
    await world.commit({"a": "1"}, branch="work")
    await world.commit({"a": "2"})
    await world.call("POST", f"{REPO}/pulls", {"title": "t", "head": "work", "base": "main"}, status=201)
    await world.call("PUT", f"{REPO}/pulls/1/merge", {}, status=405)


async def test_protection_demands_every_member_and_blocks_direct_pushes(world: World) -> None:
    await world.create()
    path = f"{REPO}/branches/main/protection"
    await world.call("GET", path, status=404)
    rules = {
        "required_status_checks": None,
        "enforce_admins": True,
        "required_pull_request_reviews": {"required_approving_review_count": 1},
    }
    assert "restrictions" in (await world.call("PUT", path, rules, status=422))["message"]
    await world.call("PUT", path, rules | {"restrictions": None})
    assert (await world.call("GET", path))["enforce_admins"]["enabled"] is True
    with pytest.raises(AssertionError, match="through a pull request"):
        await world.commit({"a": "1"})


async def test_environments_variables_and_subject(world: World) -> None:
    created = await world.create()
    env = f"{REPO}/environments/dev"
    await world.call("GET", env, status=404)
    await world.call("POST", f"{env}/variables", {"name": "A", "value": "1"}, status=404)
    first = await world.call("PUT", env, {"wait_timer": 0})
    assert (await world.call("PUT", env))["id"] == first["id"]
    same = {"protected_branches": True, "custom_branch_policies": True}
    await world.call("PUT", env, {"deployment_branch_policy": same}, status=422)
    await world.call("POST", f"{env}/variables", {"name": "region", "value": "1"}, status=201)
    await world.call("POST", f"{env}/variables", {"name": "REGION", "value": "1"}, status=409)
    await world.call("PATCH", f"{env}/variables/REGION", {"name": "REGION", "value": "2"}, status=204)
    listed = await world.call("GET", f"{env}/variables?per_page=100")
    assert [(v["name"], v["value"]) for v in listed["variables"]] == [("REGION", "2")]
    subject = await world.call("GET", f"{REPO}/actions/oidc/customization/sub")
    assert subject["sub_claim_prefix"] == f"repo:contoso@7001/payments-api@{created['id']}"
    await world.call("DELETE", env, status=204)
    await world.call("GET", f"{env}/variables", status=404)


async def test_team_gets_a_permission(world: World) -> None:
    await world.create()
    await world.call("GET", "/orgs/contoso/teams/nobody", status=404)
    assert (await world.call("GET", "/orgs/contoso/teams/payments"))["slug"] == "payments"
    await world.call("PUT", f"/orgs/contoso/teams/payments{REPO}", {"permission": "maintain"}, status=204)
    assert [(t["slug"], t["permission"]) for t in await world.call("GET", f"{REPO}/teams")] == [
        ("payments", "maintain")
    ]


async def test_push_needs_a_token_and_internal_repositories_a_login(world: World, tmp_path: Path) -> None:
    await world.create()
    plain = "https://github.com/contoso/payments-api.git"
    with pytest.raises(AssertionError, match="could not read Username"):
        await world.git("clone", "-q", plain, "no", folder=tmp_path)
    await world.git("clone", "-q", plain.replace("//", "//me:any@"), "clone", folder=tmp_path)
    (tmp_path / "clone/new.txt").write_text("x")
    await world.git("add", ".", folder=tmp_path / "clone")
    await world.git("commit", "-qm", "by hand", folder=tmp_path / "clone")
    with pytest.raises(AssertionError, match="Authentication failed"):
        await world.git("push", "-q", folder=tmp_path / "clone")
    await world.git("push", "-q", plain.replace("//", f"//x:{world.token}@"), "main", folder=tmp_path / "clone")
    assert world.actions.events[-1][:2] == ("push", "refs/heads/main")
    assert (await world.call("GET", f"{REPO}/commits/main"))["commit"]["message"] == "by hand"


async def test_lists_have_pages_whose_next_link_works(world: World) -> None:
    await world.create()
    for number in range(3):
        await world.commit({f"{number}": "x"}, branch=f"b{number}")
        await world.call("POST", f"{REPO}/pulls", {"title": "t", "head": f"b{number}", "base": "main"}, status=201)
    assert [p["number"] for p in await world.call("GET", f"{REPO}/pulls?per_page=2")] == [3, 2]
    link = next(part for part in world.headers["Link"].split(", ") if 'rel="next"' in part)
    path = link.partition("<https://api.github.com")[2].partition(">")[0]
    assert path.startswith("/repositories/")
    assert [p["number"] for p in await world.call("GET", path)] == [1]
    assert 'rel="next"' not in world.headers["Link"]


async def test_infrastructure_is_committed_when_its_folder_changes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "infra"
    for name in ("modules/app/main.tf", "workflows/iac.yml", "stacks/api/main.tf"):
        (source / name).parent.mkdir(parents=True)
        (source / name).write_text(name)
    monkeypatch.setitem(os.environ, "APPSTORE_INFRASTRUCTURE_DIR", str(source))
    heads = []
    for change in ("", "modules/app/main.tf", ""):
        if change:
            (source / change).write_text("changed")
            (source / "stacks/api/main.tf").unlink()
        world = World(tmp_path / "run")
        await world.start()
        repo = "/repos/contoso/infrastructure"
        heads.append((await world.call("GET", f"{repo}/git/ref/heads/main"))["object"]["sha"])
        tree = await world.call("GET", f"{repo}/git/trees/main?recursive=1")
        await world.stop()
    assert heads[0] != heads[1] == heads[2]
    files = [entry["path"] for entry in tree["tree"] if entry["type"] == "blob"]
    assert files == [".github/workflows/iac.yml", "modules/app/main.tf"]
