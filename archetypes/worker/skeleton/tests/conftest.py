"""What every test uses: a queue in memory. No network, no Service Bus."""

import os
from pathlib import Path

import pytest

from app.consumer import Consumer
from app.memory_queue import MemoryQueue
from app.orders import handle


@pytest.fixture
def queue() -> MemoryQueue:
    return MemoryQueue(max_delivery_count=3)


@pytest.fixture
def consumer(queue: MemoryQueue) -> Consumer:
    return Consumer(queue, handle)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the result into the job summary of the pipeline."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        counts = {state: len(terminalreporter.getreports(state)) for state in ("passed", "failed", "skipped")}
        line = "tests: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "\n"
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(line)
