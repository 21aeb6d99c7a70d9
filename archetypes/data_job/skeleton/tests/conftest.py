"""What every test uses: a folder as the store, and the contract itself. No network, no storage account."""

import os
from pathlib import Path

import pytest

from app.contract import Contract
from app.main import CONTRACTS
from app.store import FolderStore


@pytest.fixture
def store(tmp_path: Path) -> FolderStore:
    return FolderStore(tmp_path)


@pytest.fixture(scope="session")
def contract() -> Contract:
    return Contract(CONTRACTS / "orders.yaml")


@pytest.fixture(scope="session")
def sample() -> bytes:
    return (CONTRACTS / "sample.csv").read_bytes()


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Write the result into the job summary of the pipeline."""
    summary = os.environ.get("GITHUB_STEP_SUMMARY")
    if summary:
        counts = {state: len(terminalreporter.getreports(state)) for state in ("passed", "failed", "skipped")}
        line = "tests: " + ", ".join(f"{count} {state}" for state, count in counts.items()) + "\n"
        with Path(summary).open("a", encoding="utf-8") as file:
            file.write(line)
