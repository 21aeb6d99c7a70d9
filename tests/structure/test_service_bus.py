"""The queue is said in three places: for Azure, for the emulator and the local broker, for the function. They agree."""

import importlib
import json
import re

import pytest

from tests.structure.product import ROOT
from triggers import service_bus_commands
from triggers.service_bus_commands import CONNECTION, QUEUE

TERRAFORM = {
    "lock_duration": "LockDuration",
    "max_delivery_count": "MaxDeliveryCount",
    "default_message_ttl": "DefaultMessageTimeToLive",
    "dead_lettering_on_message_expiration": "DeadLetteringOnMessageExpiration",
    "requires_duplicate_detection": "RequiresDuplicateDetection",
    "duplicate_detection_history_time_window": "DuplicateDetectionHistoryTimeWindow",
    "requires_session": "RequiresSession",
}


def test_terraform_and_the_emulator_know_the_same_queue() -> None:
    (namespace,) = json.loads((ROOT / "infra" / "servicebus.json").read_text())["UserConfig"]["Namespaces"]
    (queue,) = namespace["Queues"]
    source = (ROOT / "infra" / "platform" / "service_bus" / "main.tf").read_text()
    block = source[source.index('"azurerm_servicebus_queue"') :].partition("\n}")[0]
    values = re.findall(r'^  (\w+) += ("[^"]*"|true|false|\d+)', block, re.MULTILINE)
    said = {name: json.loads(value) for name, value in values if name in TERRAFORM}
    assert said == {name: queue["Properties"][theirs] for name, theirs in TERRAFORM.items()}
    assert re.search(rf'^  queue = "{queue["Name"]}"$', source, re.MULTILINE)
    assert queue["Name"] == QUEUE
    assert {key for key, value in queue["Properties"].items() if value} == set(TERRAFORM.values())


def test_the_function_listens_to_that_queue_and_its_sessions(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(service_bus_commands.CONNECTION, "Endpoint=sb://x/")
    try:
        (builder,) = importlib.reload(service_bus_commands).blueprint._function_builders
        trigger = builder._function.get_trigger().get_dict_repr()
    finally:
        monkeypatch.undo()
        importlib.reload(service_bus_commands)
    assert (trigger["queueName"], trigger["connection"], trigger["isSessionsEnabled"]) == (QUEUE, CONNECTION, True)
