"""One trace per request, seen from outside: by an OTLP receiver, and across a killed host."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.platform import SECRETS
from local.traces.__main__ import record
from local.traces.picture import picture
from local.traces.receiver import Receiver, Span, receiving
from shared.telemetry import ids
from tests.e2e.driver import Desk, Document, body, until

SLACK = timedelta(seconds=1)
THEIRS = "00-" + "ab" * 16 + "-" + "cd" * 8 + "-01"


def _trace(receiver: Receiver, request_id: str) -> list[Span]:
    wanted = f"{ids.trace_of(request_id):032x}"
    return [span for span in receiver.spans() if span.trace_id == wanted]


def _orphans(spans: list[Span]) -> list[str]:
    known = {span.span_id for span in spans} | {""}
    return [f"{span.name} below {span.parent_id}" for span in spans if span.parent_id not in known]


def test_a_request_that_is_cancelled_is_one_trace_without_orphans(desk: Desk, receiver: Receiver) -> None:
    before = datetime.now(UTC)
    headers = {"Idempotency_Key": "key-traced", "traceparent": THEIRS}
    answer = desk.call("POST", "requests", "requester", body("traced-api"), **headers)
    request_id = answer.json()["id"]
    _require_utc(desk.wait(request_id, "awaiting_approval"), before)
    assert desk.decide(request_id, "cancel").status_code == 202

    def whole() -> list[Span] | None:
        found = _trace(receiver, request_id)
        return found if {"onboard", "undo"} <= {span.name for span in found} and not _orphans(found) else None

    spans = until("the end and the clean-up are told, and no span is an orphan", whole)
    names = {span.name for span in spans}
    assert {"POST /api/requests", "POST /api/requests/{id}/cancel", "start_run"} <= names
    assert not [name for name in names if name.startswith("GET /api")]  # who only looks is not part of it
    assert "ab" * 16 not in {span.trace_id for span in receiver.spans()}  # nobody chooses a trace
    assert {span.attributes.get("appstore.request.id", request_id) for span in spans} == {request_id}
    (run,) = [span for span in spans if span.name == "onboard"]
    assert (run.parent_id, run.attributes["appstore.outcome"]) == ("", "cancelled")
    until("metrics arrive", lambda: receiver.points("appstore.request.duration") or None, 20)
    labels = [labels for labels, _ in receiver.points("http.client.request.duration")]
    assert {"appstore.system", "appstore.operation"} <= set.intersection(*(set(each) for each in labels))
    assert not [each for each in labels if "req-" in str(each)]
    told = str(receiver.messages)
    assert [secret for secret in (*SECRETS.values(), "teams-webhook-signature", "eyJ") if secret in told] == []


def _require_utc(request: Document, before: datetime) -> None:
    """The host's clocks leap an hour while it works: no time of the request notices."""
    after = datetime.now(UTC)
    times = [request["createdAt"], request["updatedAt"]]
    times += [step[name] for step in request["steps"] for name in ("startedAt", "finishedAt")]
    assert len(times) > 6
    assert [text for text in times if not before - SLACK <= datetime.fromisoformat(text) <= after + SLACK] == []
    left = datetime.fromisoformat(request["decideBefore"]) - datetime.fromisoformat(request["updatedAt"])
    assert abs(left - timedelta(hours=72)) < SLACK


@pytest.mark.long
@pytest.mark.timeout(1800)
def test_a_killed_host_leaves_one_trace_with_the_try_that_was_cut_off(tmp_path: Path) -> None:
    with receiving() as receiver:
        killed, back, spans = record(receiver, tmp_path, "killed-api")
        assert {span.trace_id for span in spans} == {spans[0].trace_id}
        assert _orphans(spans) == []
        cut_off, again = [span for span in spans if span.name == "ensure_repository"]
        assert cut_off.error == "interrupted"
        assert cut_off.start < killed < back < cut_off.end <= again.end
        assert (again.error, again.parent_id) == ("", cut_off.parent_id)
        (create,) = [span for span in spans if span.name == "github: create repository" and span.start < killed] or [
            again
        ]
        assert create.parent_id in (cut_off.span_id, cut_off.parent_id)
        assert [span for span in spans if span.start < killed]
        assert [span for span in spans if span.start > back]
        drawn = picture("killed", spans, killed, back)
        assert drawn.count("<rect") > len(spans) / 2
        assert "host killed" in drawn
