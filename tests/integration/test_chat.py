"""Messages at the edge: what cannot be known is said, what is refused is explained, no credential is told."""

import asyncio
import logging
from dataclasses import replace
from typing import Any

import pytest

from local.platform import SECRETS
from shared.clients import slack, teams
from shared.errors import (
    ConfigurationError,
    NotAuthorizedError,
    NotFoundError,
    PermanentIntegrationError,
    RequestRejectedError,
    TransientIntegrationError,
)
from shared.models.messages import MessageKind, MessageState, SendAgain, SendAgainInput, SendNotice
from shared.models.problem import Problem
from shared.models.records import RequestRecord
from shared.models.runs import ActivityInput
from shared.register import _table, intents
from tests.integration.world import DurableClient, World, caller, run_of
from triggers import http_messages, timer_sweep
from triggers._http import Call

CARD = {"type": "AdaptiveCard", "version": "1.5", "body": []}
WEBHOOK = "/triggers/manual/paths/invoke"
PROBLEM = Problem(code="internal", title="x", detail="It broke.")
SIGNATURE = "teams-webhook-signature"


def _parked(record: RequestRecord) -> SendNotice:
    return SendNotice(run=run_of(record), kind=MessageKind.PARKED, problem=PROBLEM)


async def _died_while_sending(record: RequestRecord) -> None:
    """The run ended between the intent and what became of it."""
    (intent,) = await intents.of_request(record.application, record.id)
    assert await intents.change(intent, lambda now: now.model_copy(update={"state": MessageState.SENDING}))


async def _state(record: RequestRecord) -> MessageState:
    (intent,) = await intents.of_request(record.application, record.id)
    return intent.state


@pytest.mark.parametrize("arrived", [True, False])
async def test_teams_is_not_told_again_after_a_death_in_between(world: World, arrived: bool) -> None:
    record = await world.order()
    if not arrived:
        world.fault(system="teams", mode="drop_before")
    await world.value("send_notice", _parked(record))
    await _died_while_sending(record)
    await world.value("send_notice", _parked(record))
    assert await _state(record) is MessageState.UNCONFIRMED
    assert len(world.told(record)) == int(arrived)
    (intent,) = await intents.of_request(record.application, record.id)
    assert intent.problem is not None
    assert f"POST /api/requests/{record.id}/messages/parked/resend" in intent.problem.detail


@pytest.mark.parametrize("arrived", [True, False])
async def test_slack_is_looked_up_after_a_death_in_between(world: World, arrived: bool) -> None:
    world.use_slack()
    record = await world.order()
    if arrived:
        await world.value("send_notice", _parked(record))
    else:
        world.fault(system="slack", mode="drop_before")
        with pytest.raises(TransientIntegrationError):
            await world.run("send_notice", _parked(record))
    await _died_while_sending(record)
    await world.value("send_notice", _parked(record))
    (intent,) = await intents.of_request(record.application, record.id)
    assert intent.state is MessageState.SENT
    assert str(intent.link).startswith("https://contoso.slack.com/archives/C0APPSTORE/p")
    assert len(world.told(record, "slack")) == 1


async def test_an_earlier_message_is_found_on_a_later_page(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    world.use_slack()
    monkeypatch.setattr(slack, "_PAGE", "2")
    record = await world.order()
    await world.value("send_notice", _parked(record))
    for _ in range(5):
        await slack.post_message("other", "noise", [])
    await _died_while_sending(record)
    began = world.position()
    await world.value("send_notice", _parked(record))
    assert len(world.told(record, "slack")) == 1
    assert len([call for call in world.calls(began, "slack") if "cursor=" in call["url"]]) >= 2


async def test_what_was_refused_may_be_sent_by_the_next_try(world: World) -> None:
    record = await world.order()
    world.fault(system="teams", mode="status", status=429, headers={"Retry-After": "30"})
    with pytest.raises(TransientIntegrationError):
        await world.run("send_notice", _parked(record))
    assert await _state(record) is MessageState.FAILED
    assert (await world.run("send_notice", _parked(record))).ok
    assert await _state(record) is MessageState.SENT
    assert len(world.told(record)) == 1


async def test_two_at_the_same_time_are_one_message(world: World) -> None:
    record = await world.order()
    world.fault(system="teams", mode="delay", delay_ms=200, times=None)
    outcomes = await asyncio.gather(
        *(world.run("send_notice", _parked(record)) for _ in range(3)), return_exceptions=True
    )
    assert any(not isinstance(outcome, BaseException) for outcome in outcomes)
    await world.value("send_notice", _parked(record))
    assert len(world.told(record)) == 1


async def test_a_message_that_cannot_be_begun_again_is_what_it_was(world: World) -> None:
    record = await world.order()
    world.fault(system="teams", mode="drop_after")
    await world.value("send_notice", _parked(record))
    (intent,) = await intents.of_request(record.application, record.id)
    assert intent.state is MessageState.UNCONFIRMED
    await intents.change(intent, lambda now: now.model_copy(update={"state": MessageState.DUE}))
    world.fault(system="key_vault", mode="status", status=403)
    again = SendAgain(run=run_of(record), kind=intent.kind, occasion=intent.occasion)
    assert not (await world.run("send_due", again)).ok
    assert await _state(record) is MessageState.FAILED  # the vault was asked before Teams


async def test_a_welcome_leaves_out_the_link_that_does_not_open_and_says_which(world: World) -> None:
    record = await world.order()
    for step in ("ensure_repository", "ensure_folder", "open_change"):
        await world.value(step, ActivityInput(run=run_of(record)))
    folder = f"https://appstore-weu.wus.grafana.azure.com/api/folders/{record.id}"
    assert world.stack.vendors.delete(folder, headers=world.grafana_headers()).status_code == 200
    told = await world.value("send_welcome", ActivityInput(run=run_of(record, "messages")))
    assert "teams: sent, 2 links" in told["detail"].lower()
    assert "Dashboards" in told["detail"]
    (message,) = world.told(record)
    assert f"https://github.com/contoso/{record.application}" in message
    assert "change_request.do" in message
    assert "grafana.azure.com" not in message


async def test_a_welcome_waits_for_a_system_that_does_not_answer(world: World) -> None:
    record = await world.order()
    await world.value("ensure_repository", ActivityInput(run=run_of(record)))
    world.fault(
        system="github", method="GET", path=f"/repos/contoso/{record.application}$", mode="status", status=503, times=3
    )
    with pytest.raises(TransientIntegrationError):
        await world.run("send_welcome", ActivityInput(run=run_of(record, "messages")))
    assert world.told(record) == []
    world.heal()
    await world.value("send_welcome", ActivityInput(run=run_of(record, "messages")))
    assert len(world.told(record)) == 1


REFUSALS = {
    "not_in_channel": (PermanentIntegrationError, "invite"),
    "channel_not_found": (NotFoundError, "SLACK_CHANNEL"),
    "is_archived": (PermanentIntegrationError, "archived"),
    "invalid_auth": (NotAuthorizedError, "token"),
    "missing_scope": (NotAuthorizedError, "scope"),
    "never_heard_of": (PermanentIntegrationError, "never_heard_of"),
    "ratelimited": (TransientIntegrationError, "ratelimited"),
    "internal_error": (TransientIntegrationError, "internal_error"),
}


@pytest.mark.parametrize("code", REFUSALS)
async def test_slack_says_no_with_200(world: World, code: str) -> None:
    world.use_slack()
    kind, word = REFUSALS[code]
    world.fault(system="slack", mode="body", body={"ok": False, "error": code}, headers={"Retry-After": "7"})
    with pytest.raises(kind, match=word) as raised:
        await slack.post_message("key", "text", [])
    assert type(raised.value) is kind
    if code == "ratelimited":
        assert isinstance(raised.value, TransientIntegrationError)
        assert raised.value.retry_after == 7


def _everything(error: BaseException) -> str:
    """The texts of an error and of those that caused it, as a traceback shows them."""
    texts = []
    current: BaseException | None = error
    while current is not None:
        texts.append(f"{current!r} {current} {current.args}")
        current = current.__cause__ or current.__context__
    return " ".join(texts)


FAULTS: tuple[dict[str, Any], ...] = (
    {"mode": "status", "status": 401},
    {
        "mode": "status",
        "status": 400,
        "body": {"error": {"code": "X", "message": f"no: {SECRETS['teams-webhook-url']}"}},
    },
    {"mode": "status", "status": 500},
    {"mode": "drop_before"},
)


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: f"{fault['mode']}-{fault.get('status')}")
async def test_the_signature_reaches_no_error_no_log_and_no_row(
    world: World, fault: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    record = await world.order()
    world.fault(system="teams", **fault)
    outcome = await world.run("send_notice", _parked(record))
    (intent,) = await intents.of_request(record.application, record.id)
    assert intent.state in (MessageState.FAILED, MessageState.UNCONFIRMED)
    world.fault(system="teams", **fault)
    with pytest.raises((PermanentIntegrationError, TransientIntegrationError)) as raised:
        await teams.post_card(CARD)
    told = [_everything(raised.value), str(outcome), str(intent.document()), caplog.text]
    assert SIGNATURE not in " ".join(told)
    if "status" in fault:
        assert "/invoke?" in caplog.text, "the library's own log was not seen"


@pytest.mark.usefixtures("world")
@pytest.mark.parametrize(
    "url", ["https://contoso.webhook.office.com/webhookb2/x?sig=s3cret", "s3cret", "https://[s3cret"]
)
async def test_a_secret_that_is_no_workflows_webhook_is_refused_and_not_told(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def secret(_vault: str, _name: str) -> str:
        return url

    monkeypatch.setattr(teams, "read_secret", secret)
    with pytest.raises(ConfigurationError, match="TEAMS_WEBHOOK_SECRET_NAME") as raised:
        await teams.post_card(CARD)
    assert "s3cret" not in _everything(raised.value)


class _Started(DurableClient):
    """A durable client that remembers what it was asked to start."""

    def __init__(self) -> None:
        self.started: list[tuple[str, str, dict[str, Any]]] = []

    async def start_new(self, name: str, instance: str, payload: dict[str, Any]) -> str:
        self.started.append((name, instance, payload))
        return instance


async def test_what_the_sweep_parks_is_told_by_the_next_sweep(world: World) -> None:
    record = await world.order()
    client: Any = _Started()
    await timer_sweep._park(record, "The orchestration ended as Terminated.")
    assert await _state(record) is MessageState.DUE
    (intent,) = await intents.of_request(record.application, record.id)
    await http_messages.start_sending(client, intent)
    ((name, _, payload),) = client.started
    data = SendAgainInput.model_validate(payload)
    again = SendAgain(run=run_of(record), kind=data.kind, occasion=data.occasion)
    assert name == "send_again"
    await world.value("send_due", again)
    await world.value("send_due", again)
    (message,) = world.told(record)
    assert "ended as Terminated" in message
    assert f"POST /api/requests/{record.id}/retry" in message


async def test_a_resend_is_audited_and_two_at_once_are_one(world: World) -> None:
    record = await world.order()
    world.fault(system="teams", mode="status", status=404)
    assert not (await world.run("send_notice", _parked(record))).ok
    client: Any = _Started()
    params = {"id": record.id, "kind": "parked"}
    call = Call(caller("operator", "Operator"), params, {}, {}, client, b'{"reason": "webhook repaired"}', "/")
    call = replace(call, headers={"content-type": "application/json"})
    answers = await asyncio.gather(*(http_messages.resend_message(call) for _ in range(2)), return_exceptions=True)
    assert sum(getattr(answer, "status", 0) == 202 for answer in answers) >= 1
    assert len({instance for _, instance, _ in client.started}) == 1
    rows = [row.document async for row in _table.scan(record.application, "audit:")]
    entries = [row for row in rows if row["action"] == "resend"]
    assert [(row["actor"], row["detail"]) for row in entries] == [("operator", "webhook repaired")]
    with pytest.raises(RequestRejectedError) as refused:
        await http_messages.resend_message(call)
    assert refused.value.status == 409
    payload = SendAgainInput.model_validate(client.started[0][2])
    await world.value("send_due", SendAgain(run=run_of(record), kind=payload.kind, occasion=payload.occasion))
    assert len(world.told(record)) == 1


async def test_a_message_that_nobody_is_sending_any_more_may_be_asked_for(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await world.order()
    await world.value("send_notice", _parked(record))
    await _died_while_sending(record)
    call = Call(caller("operator", "Operator"), {"id": record.id, "kind": "parked"}, {}, {}, _Started(), b"", "/")
    with pytest.raises(RequestRejectedError, match="is being sent"):
        await http_messages.resend_message(call)
    monkeypatch.setattr(http_messages, "_LONGEST", -http_messages._LONGEST)
    assert (await http_messages.resend_message(call)).status == 202
