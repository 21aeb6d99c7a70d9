"""The timed lines: preview, request, refused and granted approvals, the branches, the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from local.run import order, timeline
from local.run.api import Answer, Persona
from local.run.terminal import Terminal, short
from local.stack import Stack

PLANNED_OR_LATER = {"awaiting_approval", "provisioning", "succeeded", "degraded", "parked"}
OWN = {"storage", "entra"}
ENDED = {"succeeded", "degraded", "parked", "rejected", "expired", "cancelled", "undone"}
EXISTS = "exists"
APPROVERS = {"Approver": "approver", "FinOps": "finops", "Admin": "admin"}
STALE_DIGEST = "0" * 64
PLAN_SECONDS = 180
RUN_SECONDS = 600


class StoryError(Exception):
    """The app answered something else than the story promises; the text says what."""


@dataclass
class Story:
    """One order, from the preview to the running service."""

    stack: Stack
    terminal: Terminal
    name: str
    body: dict[str, Any] = field(init=False)
    requester: Persona = field(init=False)
    approver: Persona = field(init=False)
    request: dict[str, Any] = field(default_factory=dict, init=False)
    journal_start: int = field(default=0, init=False)
    wall_start: float = field(default=0.0, init=False)

    def __post_init__(self) -> None:
        self.body = order.body(self.name)
        self.requester = Persona(self.stack, "requester")
        self.approver = Persona(self.stack, "approver")

    def tell(self) -> bool:
        """Tell it all; return whether the application runs."""
        self.journal_start = self.last_entry()
        self.terminal.restart_clock()
        self.wall_start = time.time()
        self.preview()
        repeated = self.order()
        existed = self.request["state"] in ENDED - {"parked"}
        resumed = repeated and self.request["state"] not in ENDED
        if resumed:
            self.tell_resumed()
        if self.request["state"] == "parked":
            self.retry()
        self.planned()
        self.approve()
        self.follow()
        if resumed:
            self.tell_asked_again()
        return self.finish(existed=existed)

    # -- before the plan ---------------------------------------------------------------------------------------------

    def preview(self) -> None:
        start = self.last_entry()
        answer = self.requester.post("/requests/preview", self.body)
        if not answer.ok:
            self.terminal.event("preview", answer.status, short(answer.problem, 90))
            return
        changes, estimate = answer.body["changes"], answer.body["estimate"]
        parts = [
            f"{_count(changes)} to create",
            f"{_amount(estimate)} {estimate.get('currency', '')}/month",
            _counted(_approvers(answer.body["approvals"]), "approver"),
            _counted(self.mutations(start), "write") + " made",
        ]
        self.terminal.event("preview", answer.status, ", ".join(parts))

    def order(self) -> bool:
        """Send the request, the same again, and another body under the same key; return whether it existed before."""
        key = order.idempotency_key(self.name)
        answer = self._require(self.requester.post("/requests", self.body, Idempotency_Key=key), "the request")
        number = str(answer.body["id"])
        again = self.requester.post("/requests", self.body, Idempotency_Key=key)
        other = self.requester.post("/requests", self.body | {"description": "Another one"}, Idempotency_Key=key)
        created = datetime.fromisoformat(self.read(number)["createdAt"]).timestamp()
        repeated = created < self.wall_start
        same, different = again.body.get("id", again.status), other.status
        words = f"{number}   same key again: {same}   same key, other body: {different}"
        self.terminal.event("request as requester", answer.status, words + (f"   {EXISTS}" if repeated else ""))
        return repeated

    def retry(self) -> None:
        """Go on from the failed step of an earlier run."""
        problem = self.request.get("problem") or {}
        answer = self.requester.post(f"/requests/{self.request['id']}/retry", {})
        words = f"from {problem.get('step')}" if answer.ok else answer.problem
        self.terminal.event("retry as requester", answer.status, short(words, 90))
        if answer.ok:
            self.wait(lambda: self.request["state"] != "parked", PLAN_SECONDS, "waiting for the retry")

    def planned(self) -> None:
        known = bool(self.digest)
        self.wait(lambda: self.request["state"] in PLANNED_OR_LATER | ENDED, PLAN_SECONDS, "planning")
        if self.request["state"] == "parked" and not self.digest:
            return
        self.terminal.event("planned", "", f"plan {self.digest[:6]}" + (f"   {EXISTS}" if known else ""))

    # -- the decision ------------------------------------------------------------------------------------------------

    def approve(self) -> None:
        """Show who may not approve, then let everybody approve whom the rules name and who has not yet."""
        short_digest = self.digest[:6]
        decided = {row["actorName"] for row in self.request["decisions"] if row["decision"] == "approve"}
        for name in sorted(decided):
            self.terminal.event(f"approved {short_digest}", "", f"by {name}   {EXISTS}")
        if self.request["state"] != "awaiting_approval":
            return
        path = f"/requests/{self.request['id']}/approve"
        if not decided:
            refused = self.requester.post(path, {"planDigest": self.digest})
            self.terminal.event("approve as requester", refused.status, short(refused.problem, 90))
            stale = self.approver.post(path, {"planDigest": STALE_DIGEST})
            self.terminal.event("approve as approver, old digest", stale.status, short(stale.problem, 90))
        for persona in self._approvers():
            if not any(name.startswith(f"{persona.name}@") for name in decided):
                granted = self._require(persona.post(path, {"planDigest": self.digest}), "the approval")
                self.terminal.event(f"approve as {persona.name}, {short_digest}", granted.status)

    def _approvers(self) -> list[Persona]:
        """One person for each approval that the plan needs."""
        roles = [need["anyOfRoles"][0] for need in self.request["plan"]["approvals"]]
        return [Persona(self.stack, APPROVERS[role]) for role in roles]

    # -- the work ----------------------------------------------------------------------------------------------------

    def follow(self) -> None:
        """Show the branches as they end, until the request has ended."""
        told: set[str] = set()
        existed = self.request["state"] in ENDED

        def advance() -> bool:
            branches = timeline.by_branch(self.steps)
            joined = "deployment" in branches or self.request["state"] in ENDED
            for name, steps in branches.items():
                # Source and environments are joined before the deployment starts; the others end with the request.
                done = joined and all(step.finished for step in steps)
                done = done and (name in ("source", "environment") or self.request["state"] in ENDED)
                if name in timeline.BRANCHES and name not in told and done:
                    self._tell_branch(name, steps, existed=existed)
                    told.add(name)
            return self.request["state"] in ENDED

        self.wait(advance, RUN_SECONDS, "running")

    def _tell_branch(self, name: str, steps: list[timeline.Step], *, existed: bool) -> None:
        failed = next((step for step in steps if step.state == "failed"), None)
        environments = ", ".join(dict.fromkeys(step.environment for step in steps if step.environment))
        details = [step.detail for step in steps if step.detail]
        text = f"{environments}: " * bool(environments) + ", ".join(dict.fromkeys(reversed(details)))
        if failed:  # the end says why
            self.terminal.branch(name, failed.name, "failed", timeline.wall(steps))
        else:
            state = EXISTS if existed else "done"
            took = None if existed else timeline.wall(steps)
            self.terminal.branch(name, short(text or f"{len(steps)} steps", 64), state, took)

    def _under_way(self) -> str:
        running = [step for step in self.steps if step.state in {"running", "retrying"}]
        words = ", ".join(f"{step.name} {step.environment}".strip() for step in running)
        return f"{self.request.get('percent', 0)} %  {words or f'{self.steps[-1].branch}: the pipeline works'}"

    # -- the end -----------------------------------------------------------------------------------------------------

    def finish(self, *, existed: bool) -> bool:
        state, problem = self.request["state"], self.request.get("problem") or {}
        result = self.request.get("result") or {}
        if state not in {"succeeded", "degraded"}:
            text = problem.get("detail") or problem.get("title") or "no problem was written"
            self.terminal.event(state.upper(), "", f"{problem.get('step') or ''} {text}".strip())
            self.terminal.fact("", f"next: {', '.join(self.request.get('allowedActions', [])) or 'nothing is allowed'}")
            return False
        counts = ", ".join(f"{_count(result.get(name, 0))} {name}" for name in ("planned", "made", "unplanned"))
        if existed:
            calls = self.mutations(self.journal_start)
            counts += f"   {EXISTS}, {_counted(calls, 'mutating call')}"
        path, _ = timeline.critical_path(self.steps)
        times = f"wall {timeline.wall(self.steps):.1f} s, critical path {path:.1f} s"
        self.terminal.event(state.upper(), "", f"{counts}   {times}")
        return True

    def tell_resumed(self) -> None:
        """Say what the host found when it started: it had been killed, or stopped, in the middle."""
        found = self.stack.host_status().get("resumed") or {}
        counts = [_counted(found.get("instances", 0), "orchestration"), f"{found.get('activities', 0)} activities"]
        kept = [step for step in self.steps if step.finished and step.finished < self.stack.host_started]
        self.terminal.event("resumed", "", ", ".join(counts).replace("1 activities", "1 activity"))
        self.terminal.event("kept", "", _counted(len(kept), "finished step"))

    def tell_asked_again(self) -> None:
        """Name the steps that were under way when the host ended, and so were started a second time."""
        again = [
            step.name
            for step in self.steps
            if step.attempts > 1 and (step.finished is None or step.finished > self.stack.host_started)
        ]
        self.terminal.event("asked again", "", ", ".join(again) or "nothing")

    # -- reading -----------------------------------------------------------------------------------------------------

    @property
    def steps(self) -> list[timeline.Step]:
        return timeline.parse(self.request.get("steps", []))

    @property
    def digest(self) -> str:
        return str((self.request.get("plan") or {}).get("digest", ""))

    def read(self, number: str) -> dict[str, Any]:
        self.request = self._require(self.requester.get(f"/requests/{number}"), "the request's state").body
        return self.request

    def wait(self, condition: Callable[[], bool], seconds: float, what: str) -> None:
        """Read the request until the condition holds.

        Raises:
            StoryError: the host ended, or it took too long.
        """
        deadline = time.monotonic() + seconds
        while not condition():
            ended = self.stack.ended()
            if ended:
                raise StoryError(f"{ended.name} ended while the request was {what}")
            if time.monotonic() > deadline:
                raise StoryError(f"still {self.request['state']} after {seconds:.0f} s of {what}")
            self.terminal.moving(self._under_way() if self.steps else what)
            time.sleep(0.1)
            self.read(str(self.request["id"]))

    def last_entry(self) -> int:
        return int(self.stack.vendors_admin("GET", "health").json()["journal"])

    def mutations(self, since: int) -> int:
        """Count the calls since an entry of the journal that changed something at a vendor.

        The register's own bookkeeping is not counted: the sweep writes there every minute.
        """
        return sum(bool(entry["mutating"]) and entry["system"] not in OWN for entry in self.stack.journal(since))

    def _require(self, answer: Answer, what: str) -> Answer:
        if not answer.ok:
            raise StoryError(f"{what} was answered with {answer.status}: {answer.problem}")
        return answer


def _count(changes: Any) -> int:
    if isinstance(changes, int):
        return changes
    return sum(changes.values()) if isinstance(changes, dict) else len(changes)


def _amount(estimate: dict[str, Any]) -> str:
    return f"{float(estimate['monthly']):.0f}"


def _approvers(approvals: list[dict[str, Any]]) -> int:
    return sum(int(rule.get("count") or rule.get("needed") or 1) for rule in approvals)


def _counted(number: int, word: str) -> str:
    return f"{number} {word}{'' if number == 1 else 's'}"
