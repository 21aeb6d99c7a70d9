"""Decisions that meet: one wins, and the estate is what the status says."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.e2e.driver import Desk, Document
from tests.e2e.estate import Estate

NAMES = ("met1-api", "met2-api", "met3-api")


def _decide_all(desk: Desk, request_id: str, digest: str) -> None:
    """Approve, cancel and reject in the same instant."""
    deciders: list[tuple[str, str, dict[str, Any]]] = [
        ("approve", "approver", {"planDigest": digest}),
        ("cancel", "requester", {}),
        ("reject", "approver", {"reason": "not this quarter"}),
    ]
    with ThreadPoolExecutor(len(deciders)) as pool:
        answers = pool.map(lambda item: desk.decide(request_id, item[0], item[1], **item[2]), deciders)
    assert {answer.status_code for answer in answers} <= {202, 409}


def _require_agreement(desk: Desk, request: Document) -> None:
    """Status, decisions and estate tell the same story, and undo ends it."""
    estate, name, request_id = Estate(desk.stack), request["application"], request["id"]
    taken = [decision["decision"] for decision in request["decisions"]]
    match request["state"]:
        case "succeeded":
            assert taken == ["approve"]
            estate.require_exactly_once(name, request_id)
        case "rejected":
            assert taken == ["reject"]
        case "cancelled":
            assert sorted(taken) in (["cancel"], ["approve", "cancel"])
    if taken in (["reject"], ["cancel"]):
        assert (estate.repository(name), estate.tagged(request_id)) == (None, [])
    assert desk.decide(request_id, "undo").status_code == 202
    desk.wait(request_id, "undone", seconds=120)
    assert (estate.repository(name), estate.tagged(request_id)) == (None, [])


@pytest.mark.long
def test_approve_cancel_and_reject_at_the_same_instant_leave_status_and_estate_in_agreement(desk: Desk) -> None:
    ordered = [desk.order(name) for name in NAMES]
    plans = [str(desk.wait(request_id, "awaiting_approval")["plan"]["digest"]) for request_id in ordered]
    with ThreadPoolExecutor(len(ordered)) as pool:
        list(pool.map(lambda pair: _decide_all(desk, *pair), zip(ordered, plans, strict=True)))
    for request_id in ordered:
        _require_agreement(desk, desk.wait(request_id, "succeeded", "cancelled", "rejected", seconds=120))
