"""Connections drop, the broker and the host are killed, messages come again: each command has one effect."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
from azure.servicebus import ServiceBusClient, ServiceBusMessage
from azure.servicebus.exceptions import ServiceBusError

from local.stack import CHECKOUT, Stack, app_settings
from tests.e2e.driver import Desk, Document, until
from tests.e2e.relay import Relay, relaying

APPLICATIONS = ("chaos-one", "chaos-two")
EACH = 3  # commands of each application between two misfortunes
MISFORTUNES = ("drop", "broker", "drop", "host", "drop", "broker", "drop", "")
LOCK_SECONDS = 60


@pytest.mark.long
@pytest.mark.timeout(900)
def test_each_command_has_one_effect_whatever_breaks(tmp_path: Path) -> None:
    with relaying() as relay:
        address = re.sub(r"127\.0\.0\.1:\d+", f"127.0.0.1:{relay.port}", app_settings(CHECKOUT)["SERVICEBUS"])
        with Stack(tmp_path / "stack", host_environment={"SERVICEBUS": address}) as stack:
            port = re.search(r":(\d+);", stack.service_bus)
            assert port
            relay.target = int(port[1])
            desk = Desk(stack)
            for name in APPLICATIONS:
                desk.onboard(name)
            sent: list[str] = []
            for number, misfortune in enumerate(MISFORTUNES):
                for name in APPLICATIONS:
                    wanted = [f"{name}-{number}-{place}" for place in range(EACH)]
                    _send(stack, name, wanted)
                    sent += wanted
                _break(stack, relay, misfortune)
            for name in APPLICATIONS:  # past the broker's own memory of duplicates, and out of order
                mine = [identifier for identifier in reversed(sent) if identifier.startswith(name)]
                _send(stack, name, mine, again=True)
            _send(stack, APPLICATIONS[0], ["last"])
            _require_one_effect_each(desk, len(sent) + 1)
            assert relay.dropped


def _send(stack: Stack, name: str, identifiers: list[str], *, again: bool = False) -> None:
    """Send commands as their sender does: until the broker has taken them, so perhaps twice."""
    body = json.dumps({"operation": "reconcile-tags", "application": name, "dryRun": True})

    def attempt() -> bool | None:
        try:
            with (
                ServiceBusClient.from_connection_string(stack.service_bus, retry_total=1) as client,
                client.get_queue_sender("commands") as sender,
            ):
                for identifier in identifiers * 2:
                    original: dict[Any, Any] = {"original-id": identifier} if again else {}
                    message = ServiceBusMessage(
                        body,
                        message_id=f"{identifier}-again" if again else identifier,
                        session_id=name,
                        application_properties=original,
                    )
                    sender.send_messages(message, timeout=5)
        except ServiceBusError:
            return None
        return True

    until(f"the broker takes the commands of {name}", attempt)


def _break(stack: Stack, relay: Relay, misfortune: str) -> None:
    if misfortune == "drop":
        relay.drop()
    elif misfortune == "broker":
        stack.restart("service_bus")
    elif misfortune == "host":
        stack.kill_host()
        stack.start_host()


def _require_one_effect_each(desk: Desk, count: int) -> None:
    def recorded() -> list[Document] | None:
        found = [one for name in APPLICATIONS for one in _commanded(desk, name)]
        assert len(found) <= count, "a command had two effects"
        return (
            found if len(found) == count and all(one["state"] in ("observed", "succeeded") for one in found) else None
        )

    made = until("every command is an operation at its end", recorded, 4 * LOCK_SECONDS)
    letters = desk.call("GET", "commands/dead-letters", "operator").json()
    assert letters == {"deadLetters": [], "rejected": []}
    for name in APPLICATIONS:
        trail = desk.call("GET", f"audit?application={name}&action=operate", "auditor").json()["entries"]
        mine = {one["id"] for one in made if one["application"] == name}
        told = [entry["requestId"] for entry in trail if entry["requestId"] in mine]
        assert sorted(told) == sorted(mine)


def _commanded(desk: Desk, name: str) -> list[Document]:
    listed = desk.call("GET", f"applications/{name}/operations", "operator").json()["operations"]
    return [one for one in listed if one["operation"] == "reconcile-tags" and one["dryRun"]]
