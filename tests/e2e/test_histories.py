"""Histories of orchestrations are purged by the host that keeps them: nobody notices, and what is open goes on."""

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import pytest

from local.stack import Stack
from tests.e2e.driver import Desk, until

DAYS = 40


@pytest.fixture
def own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stack]:
    """A run whose clock nobody else looks at."""
    with Stack(tmp_path_factory.mktemp("histories")) as stack:
        yield stack


def _instances(stack: Stack, request_id: str) -> dict[str, str]:
    """The instances that the host keeps of a request, by their ids."""
    with closing(sqlite3.connect(stack.directory / "host" / "host.db")) as store:
        rows = store.execute("select id, status from instances where id like ?", (f"{request_id}:%",))
        return dict(rows.fetchall())


def _days_pass(stack: Stack) -> None:
    """Nobody can turn the clock of a host: while it is away, what it wrote gets older."""
    stack.kill_host()
    with closing(sqlite3.connect(stack.directory / "host" / "host.db")) as store, store:
        store.execute("update instances set created = created - ?, updated = updated - ?", (DAYS * 86400, DAYS * 86400))
    stack.start_host()


@pytest.mark.long
@pytest.mark.timeout(900)
def test_a_purge_takes_nothing_from_anybody(own: Stack) -> None:
    desk = Desk(own)
    done = desk.onboard("purged-api")
    assert done["state"] == "succeeded", done["problem"]
    open_id, digest = desk.planned("open-api")
    document = desk.call("GET", f"requests/{done['id']}/plan", "approver").text
    trail = desk.call("GET", "audit?application=purged-api", "auditor").json()
    kept = _instances(own, open_id)
    assert "Completed" in kept.values(), "a branch of the open one has ended"
    assert len(_instances(own, done["id"])) > len(kept)
    _days_pass(own)
    until("the app is back", lambda: own.api.get("/api/health/live").status_code == 200 or None)
    own.api.post("/admin/functions/purge_histories", json={"input": ""}).raise_for_status()
    until("the histories are gone", lambda: None if _instances(own, done["id"]) else True)
    assert _instances(own, open_id).keys() == kept.keys()

    assert desk.order("purged-api") == done["id"], "the same order again is the same request"
    assert desk.request(done["id"])["state"] == "succeeded"
    assert desk.call("GET", f"requests/{done['id']}/plan", "approver").text == document
    assert desk.call("GET", "audit?application=purged-api", "auditor").json() == trail
    assert desk.call("GET", "audit/verification", "auditor").json()["findings"] == []
    desk.approve(open_id, digest)
    assert desk.wait(open_id, "succeeded", "parked", seconds=240)["state"] == "succeeded"
    assert _instances(own, done["id"]) == {}, "nobody started it again"
    assert desk.decide(done["id"], "undo").status_code == 202
    assert desk.wait(done["id"], "undone", "parked", seconds=240)["state"] == "undone"
    assert list(_instances(own, done["id"])) != []
