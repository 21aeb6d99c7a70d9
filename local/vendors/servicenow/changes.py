"""Change requests: the moves of their models, approvals, and the check for conflicts.

https://www.servicenow.com/docs/r/api-reference/rest-apis/change-management-api.html

A change that reaches Authorize (-3) asks the change manager for approval, who approves at once: the answer of that
call still says -3, the next one Scheduled (-2). With `settings/manual-approval` true in the store it waits, and a PATCH
to -2 is refused until then: for `PATCH .../change/{sys_id}/approvals`, by which the caller's own user decides, or for
the state of the approver's row in `sysapproval_approver`. A rejected change is New again. The check for conflicts finds
what `settings/conflicts` lists; the first GET after its start sees it running.
"""

import json
from typing import Any
from uuid import uuid4

from aiohttp import web

from .records import DOCUMENT, Records, Refused, Row, blank, columns, now

CHANGE, APPROVAL = "change_request", "sysapproval_approver"
APPSTORE, MANAGER = (row["sys_id"] for row in DOCUMENT["rows"] if row["sys_class_name"] == "sys_user")
LABELS: dict[str, str] = columns(CHANGE)["state"]["choices"]


class Changes(Records):
    """The rows, and what only change requests have."""

    def save(self, row: Row, before: str) -> None:
        """Keep a row; a change was in state `before`. Raises Refused 400 when its model forbids the move."""
        state = row.get("state", before)
        if state != before and row["sys_class_name"] == CHANGE:
            if not _moves(row, before).get(state):
                raise Refused(400, "Invalid state transition", f"{row['number']}: {before} to {state}")
            if state == "3" and not (row["close_code"] and row["close_notes"]):
                raise Refused(400, "Close code and Close notes are mandatory", row["number"])
            row |= DOCUMENT["effects"].get(state, {})
        self.put(row)
        if state == "-3" != before:  # asked anew each time, as the flow of the instance does
            self.put(asked := blank(APPROVAL) | {"sysapproval": row["sys_id"], "approver": MANAGER})
            if not self.store.get("settings/manual-approval"):
                self.decide(asked | {"state": "approved"})
        elif row["sys_class_name"] == APPROVAL and row["state"] != "requested":
            self.decide(row)

    def decide(self, said: Row) -> None:
        """What one approver said decides about the change that waits for it."""
        self.put(said)
        row = self.get(CHANGE, said["sysapproval"])
        if row["state"] == "-3":
            self.put(row | {"approval": said["state"], "state": "-2" if said["state"] == "approved" else "-5"})

    async def approve(self, request: web.Request) -> web.Response:
        """Approve or reject as the calling user; a rejection needs comments."""
        row, body = self.row(request), await body_of(request)
        verdict, allowed = body.get("state", ""), {"approved": True, "rejected": bool(body.get("comments"))}
        if row["state"] != "-3" or not allowed.get(verdict):
            raise Refused(400, "Approval cannot be updated", row["number"])
        self.decide(blank(APPROVAL) | body | {"sysapproval": row["sys_id"], "approver": APPSTORE})
        return web.json_response({"result": {"state": {"value": verdict, "display_value": verdict.capitalize()}}})

    async def next_states(self, request: web.Request) -> web.Response:
        """The states that are open now, and every move of the model."""
        row = self.row(request)
        state, moves = row["state"], _moves(row, row["state"])
        states = [*(move for move in moves if moves[move]), state]
        ways = [[{"from_state": state, "to_state": to, "transition_available": moves[to]}] for to in moves]
        result = {"state_label": {value: LABELS[value] for value in states}, "state_transitions": ways}
        return web.json_response({"result": result | {"available_states": states}})

    async def start_check(self, request: web.Request) -> web.Response:
        """Begin to look for conflicts; the answer is the sys_id of the process."""
        row = self.row(request) | {"conflict_last_run": now()}
        self.put(row)
        self.store.put(f"running/{row['sys_id']}", value=True)
        return web.json_response({"result": uuid4().hex})

    async def read_check(self, request: web.Request) -> web.Response:
        """A finished check has the status Conflict even when it found none."""
        row = self.row(request)
        done = not self.store.delete(f"running/{row['sys_id']}") and row["conflict_last_run"] != ""
        found = (self.store.get("settings/conflicts") or []) if done else []
        result = {"last_run": row["conflict_last_run"], "record_count": "1", "conflicts": found}
        result |= {"status": "Conflict", "job_status": "2"} if done else {"status": "Not Run", "job_status": "1"}
        return web.json_response({"result": result})

    def row(self, request: web.Request) -> Row:
        """The row that a path names."""
        return self.get(request.match_info.get("table", CHANGE), request.match_info["sys_id"])


def _moves(row: Row, state: str) -> dict[str, bool]:
    """The states that the model allows after `state`, and whether no missing approval holds the change back."""
    free, moves = state != "-3" or row["approval"] == "approved", DOCUMENT["moves"].get(row["type"], {})
    return {move: free or move != "-2" for move in moves.get(state, [])}


async def body_of(request: web.Request) -> dict[str, Any]:
    """The fields of a JSON object. Raises Refused 400."""
    try:
        return dict(json.loads(await request.read() or b"{}"))
    except (TypeError, ValueError) as error:
        raise Refused(400, "Exception while reading request", "Payload is not valid JSON") from error
