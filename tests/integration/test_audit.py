"""The trail in the register is whole, and what somebody does to the table is found."""

import asyncio
import json
from typing import Any

import pytest

from shared.clients import blobs
from shared.errors import RequestRejectedError
from shared.identity import Caller
from shared.register import _table, audit
from tests.integration.world import World, caller
from triggers._http import Answer, Call
from triggers.http_audit import list_audit, verify_audit
from triggers.timer_anchor import anchor_audit

AUDITOR = caller("auditor", "Auditor")


def _call(who: Caller = AUDITOR, accept: str = "", **query: str) -> Call:
    client: Any = None
    return Call(who, {}, query, {"accept": accept}, client, b"", "/api/audit")


async def _findings(application: str) -> list[str]:
    answer = await verify_audit(_call())
    return [item["detail"] for item in answer.document["findings"] if item["application"] == application]


async def test_a_changed_row_is_found_and_only_there(world: World) -> None:
    record = await world.order()
    assert await _findings(record.application) == []
    key = f"audit:{record.id}:request"
    row = await _table.read(record.application, key)
    assert row
    forged = {**row.document, "actor": "somebody-else"}
    await _table.commit(record.application, [_table.Write(key, forged, force=True)])
    assert await _findings(record.application) == ["Entry 1 (request) was changed."]
    await _table.commit(record.application, [_table.Write(key, row.document, force=True)])
    assert await _findings(record.application) == []


async def test_a_chain_computed_anew_is_found_by_the_anchor(world: World) -> None:
    record = await world.order()
    timer: Any = None
    await anchor_audit(timer)
    await anchor_audit(timer)
    days = [day async for day, _ in blobs.read_anchors()]
    assert days == sorted(set(days))
    anchored = json.loads([content async for _, content in blobs.read_anchors()][-1])
    assert record.application in anchored
    entry = audit.Entry(f"{record.id}:request", record.created_at, "somebody-else", "request", record.id, "forged")
    added, end = audit.append(None, entry)
    writes = [_table.Write(added.key, added.document, force=True), _table.Write(end.key, end.document, force=True)]
    await _table.commit(record.application, writes)
    (detail,) = await _findings(record.application)
    assert detail.endswith("it was computed anew.")


async def test_of_several_at_the_same_instant_one_writes_the_anchor_and_a_later_one_changes_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(blobs, "_ANCHORS", "anchors-at-once")
    first, later = await world.order(), "2026-01-02"
    written = await asyncio.gather(*(blobs.write_anchor(later, name.encode()) for name in ("a", "b", "c")))
    assert sorted(written) == [False, False, True]
    timer: Any = None
    await asyncio.gather(*(anchor_audit(timer) for _ in range(3)))
    kept = [item async for item in blobs.read_anchors()]
    await world.order()
    await anchor_audit(timer)
    assert [item async for item in blobs.read_anchors()] == kept
    assert len(kept) == 2
    assert first.application in json.loads(kept[-1][1])


async def test_entries_are_listed_by_filter_and_as_lines(world: World) -> None:
    record = await world.order()
    answer = await list_audit(_call(request=record.id))
    assert [(entry["application"], entry["action"]) for entry in answer.document["entries"]] == [
        (record.application, "request")
    ]
    assert answer.document["complete"]
    lines = await list_audit(_call(accept="application/x-ndjson", application=record.application))
    assert lines.text
    assert [json.loads(line)["requestId"] for line in lines.text.splitlines()] == [record.id]
    nothing: Answer = await list_audit(_call(application=record.application, until="2020-01-01"))
    assert nothing.document["entries"] == []


@pytest.mark.parametrize("role", ["Requester", "Approver", "FinOps", "Operator"])
async def test_others_do_not_see_it(role: str) -> None:
    for handler in (list_audit, verify_audit):
        with pytest.raises(RequestRejectedError, match="Admin or Auditor"):
            await handler(_call(caller("other", role)))


@pytest.mark.parametrize("limit", ["0", "-1", "1001", "x", "\u0663"])
async def test_a_limit_that_is_none_is_refused(limit: str) -> None:
    with pytest.raises(RequestRejectedError, match="from 1 to 1000"):
        await list_audit(_call(limit=limit))
