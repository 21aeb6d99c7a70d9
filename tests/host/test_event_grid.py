"""Event Grid triggers on a real host, fed as Event Grid feeds them."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

HOOK = "/runtime/webhooks/EventGrid"


def _event(name: str, **data: object) -> dict[str, object]:
    return {
        "id": name,
        "topic": "/subscriptions/s/resourceGroups/rg/providers/Microsoft.KeyVault/vaults/kv",
        "subject": "secret",
        "eventType": "Microsoft.KeyVault.SecretNearExpiry",
        "eventTime": "2026-11-26T10:00:00Z",
        "dataVersion": "1",
        "metadataVersion": "1",
        "data": data,
    }


def _cloud_event(name: str, data: object) -> dict[str, object]:
    return {"specversion": "1.0", "id": name, "source": "/s", "type": "t", "time": "2026-11-26T10:00:00Z", "data": data}


@pytest.fixture
def host(new_host: Callable[..., Any]) -> Any:
    return new_host("events").start()


def _push(host: Any, kind: str | None, body: object, function: str = "take") -> Any:
    headers = {"aeg-event-type": kind} if kind else {}
    return host.post(f"{HOOK}?functionName={function}", json=body, headers=headers)


def _seen(folder: Path) -> list[dict[str, Any]]:
    file = folder / "seen"
    return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []


def test_the_handshake_and_what_is_no_event_reach_no_function(host: Any, tmp_path: Path) -> None:
    for body in (
        [_event("v", validationCode="512d")],
        _cloud_event("v", {"validationCode": "512d"}),
        _cloud_event("v", '{"validationCode": "512d"}'),
    ):
        answer = _push(host, "SubscriptionValidation", body)
        assert (answer.status_code, answer.json()) == (200, {"validationResponse": "512d"})
    asked = host.request("OPTIONS", f"{HOOK}?functionName=take", headers={"WebHook-Request-Origin": "eventgrid.net"})
    assert (asked.status_code, asked.headers["WebHook-Allowed-Origin"]) == (200, "eventgrid.net")
    unknown = _push(host, "Notification", [_event("1")], "nobody")
    assert (unknown.status_code, unknown.text) == (404, "cannot find function: 'nobody'")
    assert _push(host, "Unsubscribe", {}).status_code == 202
    assert [_push(host, kind, [_event("1")]).status_code for kind in (None, "Else")] == [400, 400]
    assert not _seen(tmp_path)


def test_each_event_is_one_call_in_both_schemas(host: Any, tmp_path: Path) -> None:
    assert _push(host, "Notification", [_event("1", a=1), _event("2")]).status_code == 202
    assert _push(host, "Notification", _event("3"), "TAKE").status_code == 202
    assert _push(host, "Notification", _cloud_event("4", {"b": 2}), "take_cloud_event").status_code == 202
    found = {call["id"]: call for call in _seen(tmp_path)}
    assert sorted(found) == ["1", "2", "3", "4"]
    assert found["1"]["kind"] == "Microsoft.KeyVault.SecretNearExpiry"
    assert found["1"]["topic"].endswith("/vaults/kv")
    assert (found["1"]["data"], found["4"]["data"], found["4"]["source"]) == ({"a": 1}, {"b": 2}, "/s")


def test_one_failure_brings_the_whole_batch_again(host: Any, tmp_path: Path) -> None:
    assert _push(host, "Notification", [_event("1"), _event("2", fail=True), _event("3")]).status_code == 500
    assert sorted(call["id"] for call in _seen(tmp_path)) == ["1", "2", "3"]


def test_the_webhook_wants_its_key(new_host: Callable[..., Any], tmp_path: Path) -> None:
    host = new_host("events", "--auth").start()
    assert _push(host, "Notification", [_event("1")]).status_code == 401
    key = json.loads((tmp_path / "data" / "keys.json").read_text())["system"]
    assert _push(host, "Notification", [_event("1")], f"take&code={key}").status_code == 202
