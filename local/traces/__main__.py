"""`make trace-picture`: one onboarding, the host killed in the middle, and its one trace drawn into docs/trace.svg."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from local.processes import LocalRunError, wait_until
from local.run import order
from local.run.api import Persona
from local.stack import CHECKOUT, Stack
from local.traces.picture import picture
from local.traces.receiver import Receiver, Span, receiving

PICTURE = CHECKOUT / "docs" / "trace.svg"
HELD = {"system": "github", "method": "POST", "path": "/orgs/[^/]+/repos$", "agent": "appstore", "mode": "hold"}
SECONDS = 300


def main() -> int:
    """Run it and draw it; 1 when the run did not get to its end."""
    parser = argparse.ArgumentParser(prog="make trace-picture", description=__doc__)
    parser.add_argument("--out", type=Path, default=PICTURE)
    parser.add_argument("--name", default="payments-api")
    options = parser.parse_args()
    try:
        with receiving() as receiver, tempfile.TemporaryDirectory(prefix="appstore-trace-") as folder:
            killed, back, spans = record(receiver, Path(folder), options.name)
    except LocalRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    title = f"Onboarding of {options.name}: one trace, although the host was killed in the middle"
    options.out.write_text(picture(title, spans, killed, back), encoding="utf-8")
    sys.stdout.write(f"{options.out}   {len(spans)} spans, host away for {back - killed:.1f} s\n")
    return 0


def record(receiver: Receiver, folder: Path, name: str) -> tuple[float, float, list[Span]]:
    """Onboard with a kill in the middle; returns when the host died, when it was back, and the request's trace.

    Raises:
        LocalRunError: the request did not get to its end.
    """
    environment = {
        "APPSTORE_TELEMETRY_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "100",
    }
    with Stack(folder / "run", host_environment=environment) as stack:
        request_id = _approved(stack, name)
        stack.vendors_admin("POST", "faults", HELD)
        _approve(stack, request_id)
        _require(lambda: any(entry["fault"] == "hold" for entry in stack.journal()), "the repository was not asked for")
        time.sleep(1.0)  # so that the picture shows what the other branches did meanwhile
        stack.kill_host()
        killed = time.time()
        stack.vendors_admin("DELETE", "faults")
        stack.start_host()
        back = time.time()
        _require(lambda: _state(stack, request_id)["state"] == "succeeded", "the request did not succeed")
        _require(lambda: any(span.name == "onboard" for span in receiver.spans()), "the end was not told")
    every = receiver.spans()
    trace = next(span.trace_id for span in every if span.name == "onboard")
    return killed, back, [span for span in every if span.trace_id == trace]


def _approved(stack: Stack, name: str) -> str:
    """Order; returns the request's id when its plan waits for the approval."""
    requester = Persona(stack, "requester")
    answer = requester.post("/requests", order.body(name), Idempotency_Key=order.idempotency_key(name))
    if not answer.ok:
        raise LocalRunError(f"The order was answered with {answer.status}: {answer.problem}")
    request_id = str(answer.body["id"])
    _require(lambda: _state(stack, request_id)["state"] == "awaiting_approval", "there is no plan")
    return request_id


def _approve(stack: Stack, request_id: str) -> None:
    digest = _state(stack, request_id)["plan"]["digest"]
    answer = Persona(stack, "approver").post(f"/requests/{request_id}/approve", {"planDigest": digest})
    if not answer.ok:
        raise LocalRunError(f"The approval was answered with {answer.status}: {answer.problem}")


def _state(stack: Stack, request_id: str) -> dict[str, Any]:
    try:
        return Persona(stack, "requester").get(f"/requests/{request_id}").body
    except httpx.TransportError:
        return {"state": "unknown"}


def _require(condition: Callable[[], bool], words: str) -> None:
    if not wait_until(condition, SECONDS, interval=0.5):
        raise LocalRunError(f"After {SECONDS} s {words}.")


if __name__ == "__main__":
    sys.exit(main())
