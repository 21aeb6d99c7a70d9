"""A person at the HTTP API: orders, waits, decides."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import httpx

from local.stack import Stack

type Document = dict[str, Any]
ENDED = ("succeeded", "degraded", "parked", "rejected", "expired", "cancelled", "undone")


def body(name: str, **changes: Any) -> Document:
    """A complete request; ``changes`` replaces fields."""
    return {
        "name": name,
        "archetype": "api",
        "description": "Card payments for the web shop",
        "ownerTeam": "payments",
        "contact": "payments@example.com",
        "environments": ["dev"],
        "region": "westeurope",
        "costCenter": "CC-1001",
        "dataClassification": "internal",
        "criticality": "high",
        "monthlyBudget": 900,
        "currency": "EUR",
        "parameters": {"database": "postgres", "publicEndpoint": True},
    } | changes


def until[T](what: str, look: Callable[[], T | None], seconds: float = 90.0) -> T:
    """Look again and again until there is something; fails with ``what`` when time is up."""
    deadline = time.monotonic() + seconds
    pause = 0.02
    while time.monotonic() < deadline:
        found = look()
        if found is not None:
            return found
        time.sleep(pause)
        pause = min(pause * 1.5, 0.25)
    raise AssertionError(f"not within {seconds:.0f} s: {what}")


@dataclass(frozen=True)
class Desk:
    """Everything a test says to the App Store."""

    stack: Stack

    def call(self, method: str, path: str, persona: str, json: Any = None, **headers: str) -> httpx.Response:
        """One call as a persona."""
        given = self.stack.bearer(persona) | {name.replace("_", "-"): value for name, value in headers.items()}
        return self.stack.api.request(method, f"/api/{path}", json=json, headers=given)

    def order(self, name: str, key: str = "", persona: str = "requester", **changes: Any) -> str:
        """Request an application; returns the request's id."""
        answer = self.call("POST", "requests", persona, body(name, **changes), Idempotency_Key=key or f"key-{name}")
        assert answer.status_code == 202, answer.text
        return str(answer.json()["id"])

    def request(self, request_id: str, persona: str = "operator") -> Document:
        """The request as it is now."""
        answer = self.call("GET", f"requests/{request_id}", persona)
        assert answer.status_code == 200, answer.text
        document: Document = answer.json()
        return document

    def wait(self, request_id: str, *states: str, seconds: float = 90.0) -> Document:
        """Wait until the request is in one of the states; another final state fails at once."""

        def look() -> Document | None:
            try:
                document = self.request(request_id)
            except httpx.TransportError:
                return None
            if document["state"] in states:
                return document
            assert document["state"] not in ENDED, f"{document['state']}: {document['problem']} {document['steps']}"
            return None

        return until(f"{request_id} in {states}", look, seconds)

    def decide(self, request_id: str, decision: str, persona: str = "operator", **fields: Any) -> httpx.Response:
        """Approve, reject, cancel, retry or undo."""
        return self.call("POST", f"requests/{request_id}/{decision}", persona, fields)

    def planned(self, name: str, *, seconds: float = 90.0, **changes: Any) -> tuple[str, str]:
        """Order and wait for the plan; returns request id and plan digest."""
        request_id = self.order(name, **changes)
        return request_id, str(self.wait(request_id, "awaiting_approval", seconds=seconds)["plan"]["digest"])

    def approve(self, request_id: str, digest: str, persona: str = "approver") -> None:
        """Approve; fails when it is refused."""
        answer = self.decide(request_id, "approve", persona, planDigest=digest)
        assert answer.status_code == 202, answer.text

    def onboard(self, name: str, **changes: Any) -> Document:
        """From the order to the end."""
        request_id, digest = self.planned(name, **changes)
        self.approve(request_id, digest)
        return self.wait(request_id, "succeeded", "parked", seconds=180)

    def fault(self, **fault: Any) -> None:
        """Make the next matching vendor calls fail."""
        self.stack.vendors_admin("POST", "faults", fault)

    def heal(self) -> None:
        """Take every fault away."""
        self.stack.vendors_admin("DELETE", "faults")

    def mutations(self, since: int = 0) -> list[Document]:
        """Vendor calls that changed something, storage of our own left out."""
        return [
            entry
            for entry in self.stack.journal(since)
            if entry["mutating"] and entry["system"] in ("github", "arm", "key_vault")
        ]

    def position(self) -> int:
        """Number of the journal's newest entry."""
        entries = self.stack.journal()
        return int(entries[-1]["n"]) if entries else 0
