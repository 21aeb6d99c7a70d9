"""What every test uses: the application on a store in memory. No network, no database."""

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from fastapi.testclient import TestClient

from app.items import MemoryItems
from app.main import create_app
from app.settings import Settings


@pytest.fixture
def client() -> Iterator[TestClient]:
    settings = Settings(version="1.2.3", digest="sha256:1", environment="test")
    with TestClient(create_app(settings, MemoryItems())) as client:
        yield client


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the result into the job summary of the pipeline."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        counts = {state: len(terminalreporter.getreports(state)) for state in ("passed", "failed", "skipped")}
        line = "tests: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "\n"
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(line)
