"""What happens to a waiting request when the ground moves: rules, prices, skeleton, the code itself."""

import subprocess
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.stack import CHECKOUT, Stack
from tests.e2e.app_copy import PRODUCT, copy_app, replace
from tests.e2e.driver import Desk

type StackFactory = Callable[..., Stack]


def _exception(application: str) -> str:
    """An exception that is in force and ends in ten days."""
    today = datetime.now(UTC).date()
    people = "owner: jane.doe@contoso.com, approved_by: ciso@contoso.com"
    days = f"granted: {today - timedelta(days=1)}, expires: {today + timedelta(days=10)}"
    return f"{{rule: PLN-004, application: {application}, {people}, reason: until the endpoint is there, {days}}}"


@pytest.mark.long
def test_a_plan_is_void_when_a_rule_an_exception_a_price_or_the_skeleton_changes(
    fresh_stack: StackFactory, tmp_path: Path
) -> None:
    root = copy_app(tmp_path / "app")
    desk = Desk(fresh_stack("changes", root=root))
    request_id, digest = desk.planned("moving-api")
    changes: tuple[Callable[[], None], ...] = (
        lambda: replace(root / "rules/rego/appstore/plan.rego", "import rego.v1", "import rego.v1\n\n# one line more"),
        lambda: replace(root / "rules/exceptions.yaml", "exceptions: []", f"exceptions: [{_exception('moving-api')}]"),
        lambda: replace(root / "rules/prices.json", '"note": "', '"note": "New. '),
        lambda: replace(root / "archetypes/api/skeleton/app/health.py", '"""', '"""Changed. '),
    )
    seen = {digest}
    for change in changes:
        change()
        refused = desk.decide(request_id, "approve", "approver", planDigest=digest)
        assert refused.status_code == 409, refused.text
        assert "new plan" in refused.json()["detail"]
        digest = str(_next_plan(desk, request_id, seen))
        seen.add(digest)
        old = desk.decide(request_id, "approve", "approver", planDigest=next(iter(seen - {digest})))
        assert old.status_code == 409
    warned = desk.call("GET", f"requests/{request_id}/plan", "operator").json()["verdicts"]["dev"]["warn"]
    assert [(item["id"], item["severity"]) for item in warned] == [("PLN-092", "info")]
    kept = desk.call("GET", f"requests/{request_id}/policy-decisions", "auditor").json()["decisions"]
    assert len({item["revision"] for item in kept}) == 3
    desk.approve(request_id, digest)
    desk.wait(request_id, "provisioning", "succeeded")


def _next_plan(desk: Desk, request_id: str, seen: set[str]) -> str:
    while True:
        digest = str(desk.wait(request_id, "awaiting_approval")["plan"]["digest"])
        if digest not in seen:
            return digest


def _previous_commit(target: Path) -> Path:
    target.mkdir()
    archive = subprocess.run(["git", "archive", "HEAD~1", *PRODUCT], cwd=CHECKOUT, capture_output=True, check=False)
    if archive.returncode:
        pytest.skip("there is no commit before this one in the clone")
    subprocess.run(["tar", "-x", "-C", str(target)], input=archive.stdout, check=True)
    return target


@pytest.mark.long
@pytest.mark.timeout(600)
def test_a_waiting_request_survives_the_upgrade_to_the_next_commit(fresh_stack: StackFactory, tmp_path: Path) -> None:
    stack = fresh_stack("upgrade", root=_previous_commit(tmp_path / "before"))
    desk = Desk(stack)
    request_id, digest = desk.planned("upgraded-api")
    stack.stop_host()
    stack.root = CHECKOUT
    stack.start_host()
    answer = desk.decide(request_id, "approve", "approver", planDigest=digest)
    if answer.status_code == 409:
        desk.approve(request_id, _next_plan(desk, request_id, {digest}))
    else:
        assert answer.status_code == 202, answer.text
    assert desk.wait(request_id, "succeeded", seconds=180)["result"]["missing"] == []
