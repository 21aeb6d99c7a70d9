"""The parts that the platform relies on: health, identity of the service, its published interface."""

import json
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.items import MemoryItems, StoreUnavailableError
from app.main import create_app
from app.settings import Settings


class AwayItems(MemoryItems):
    """A store that cannot be reached."""

    def check(self) -> None:
        raise StoreUnavailableError("database: timeout")

    def first(self, limit: int) -> list:
        raise StoreUnavailableError("database: timeout")


@pytest.fixture
def degraded() -> TestClient:
    return TestClient(create_app(Settings(), AwayItems()))


def test_health_names_application_and_version(client: TestClient) -> None:
    answer = client.get("/health")
    assert answer.status_code == 200
    runs = {"version": "1.2.3", "digest": "sha256:1"}
    assert answer.json() == {"status": "healthy", "application": Settings().application, **runs}


def test_ready_reports_each_dependency(client: TestClient) -> None:
    answer = client.get("/health/ready")
    assert answer.status_code == 200
    assert answer.json()["dependencies"] == {"items": "available"}


def test_stays_alive_but_not_ready_without_its_store(degraded: TestClient) -> None:
    assert degraded.get("/health").status_code == 200
    answer = degraded.get("/health/ready")
    assert answer.status_code == 503
    assert answer.json()["dependencies"] == {"items": "unavailable: database: timeout"}


def test_store_away_is_a_problem_document_with_retry_after(degraded: TestClient) -> None:
    answer = degraded.get("/v1/items")
    assert answer.status_code == 503
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.headers["retry-after"] == "5"


def test_index_names_the_environment(client: TestClient) -> None:
    assert client.get("/").json() == {"application": Settings().application, "environment": "test", "docs": "/docs"}


def test_settings_ignore_empty_variables() -> None:
    settings = Settings.from_environment({"APP_VERSION": "", "APP_ENVIRONMENT": "qa"})
    assert (settings.version, settings.environment) == ("0.0.0", "qa")


def test_published_interface_lists_every_operation(client: TestClient) -> None:
    def operations(document: dict) -> set[tuple[str, str]]:
        return {(path, method) for path, methods in document["paths"].items() for method in methods}

    published = json.loads(Path("docs/openapi.json").read_text(encoding="utf-8"))
    assert operations(published) == operations(client.get("/openapi.json").json())
