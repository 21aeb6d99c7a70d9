"""The parts that the platform relies on: health, identity of the worker, and that Azure is needed only in Azure."""

import json
import subprocess
import sys
import threading
import urllib.request

import pytest

from app.consumer import STUCK_AFTER_SECONDS, Consumer
from app.health import answer, server
from app.main import queue_for
from app.memory_queue import MemoryQueue
from app.messages import QueueUnavailableError
from app.service_bus import ServiceBusQueue
from app.settings import Settings


def test_health_names_application_and_version(consumer: Consumer) -> None:
    settings = Settings(version="1.2.3", digest="sha256:1")
    expected = {"status": "healthy", "application": Settings().application, "version": "1.2.3", "digest": "sha256:1"}
    assert answer("/health", settings, consumer) == (200, expected)


def test_loop_that_stands_still_is_not_healthy(queue: MemoryQueue) -> None:
    now = [0.0]
    consumer = Consumer(queue, lambda _: None, clock=lambda: now[0])
    assert answer("/health", Settings(), consumer)[0] == 200
    now[0] = STUCK_AFTER_SECONDS
    status, document = answer("/health", Settings(), consumer)
    assert (status, document["status"]) == (503, "stuck")


def test_ready_reports_the_queue(queue: MemoryQueue, consumer: Consumer) -> None:
    assert answer("/health/ready", Settings(), consumer)[0] == 503
    consumer.turn()
    assert answer("/health/ready", Settings(), consumer)[1]["dependencies"] == {"queue": "available"}


def test_stays_alive_but_not_ready_without_its_queue(queue: MemoryQueue, consumer: Consumer) -> None:
    queue.away = 1
    with pytest.raises(QueueUnavailableError):
        consumer.turn()
    assert answer("/health", Settings(), consumer)[0] == 200
    assert answer("/health/ready", Settings(), consumer)[0] == 503


def test_health_is_served_over_http(consumer: Consumer) -> None:
    probes = server(Settings(), consumer, 0)
    thread = threading.Thread(target=probes.serve_forever)
    thread.start()
    with urllib.request.urlopen(f"http://127.0.0.1:{probes.server_port}/health", timeout=5) as found:
        assert json.load(found)["status"] == "healthy"
    probes.shutdown()
    probes.server_close()
    thread.join()


def test_unknown_path_is_404(consumer: Consumer) -> None:
    assert answer("/metrics", Settings(), consumer)[0] == 404


def test_settings_ignore_empty_variables() -> None:
    settings = Settings.from_environment({"APP_VERSION": "", "APP_ENVIRONMENT": "qa"})
    assert (settings.version, settings.environment) == ("0.0.0", "qa")


def test_queue_is_service_bus_where_one_is_named() -> None:
    assert isinstance(queue_for(Settings()), MemoryQueue)
    assert isinstance(queue_for(Settings(service_bus_host="sb-x.servicebus.windows.net")), ServiceBusQueue)


def test_queue_without_an_identity_is_away_and_not_a_crash(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("azure.servicebus")
    for name in ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"):
        monkeypatch.delenv(name, raising=False)
    with pytest.raises(QueueUnavailableError):
        ServiceBusQueue("sb-x.servicebus.windows.net", "work").receive(0)


def test_azure_is_loaded_only_when_a_queue_is_opened() -> None:
    code = "import sys, app.main; sys.exit(any(name.split('.')[0] == 'azure' for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
