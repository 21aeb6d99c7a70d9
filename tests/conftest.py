"""Shared by all tests: processes for integration and end-to-end tests, no network for unit tests."""

import shutil
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import pytest_socket

from local.stack import Stack
from local.traces.receiver import Receiver, receiving
from tests import clocks

ROOT = Path(__file__).resolve().parent.parent
WITHOUT_NETWORK = (ROOT / "tests" / "unit", ROOT / "tests" / "structure")
# Workers take files in this order: what takes minutes starts first, so that no worker is left alone with it.
LONGEST_FIRST = (
    "e2e",
    "vendors",
    "infra",
    "integration",
    "host",
    "service_bus",
    "archetypes",
    "custodian",
    "structure",
    "unit",
)

LISTENING = pytest.StashKey[ExitStack]()

type StackFactory = Callable[..., Stack]


def pytest_configure(config: pytest.Config) -> None:
    config.stash[LISTENING] = ExitStack()


@pytest.hookimpl(trylast=True)  # after pytest-randomly, whose order stays inside a folder
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    items.sort(key=lambda item: LONGEST_FIRST.index(item.path.relative_to(ROOT / "tests").parts[0]))


@pytest.fixture(autouse=True)
def _no_network_in_unit_tests(request: pytest.FixtureRequest) -> Iterator[None]:
    if not any(request.path.is_relative_to(folder) for folder in WITHOUT_NETWORK):
        yield
        return
    request.config.stash[LISTENING].close()  # it listens in this very process
    # Event loops wake themselves through a pair of Unix sockets.
    pytest_socket.disable_socket(allow_unix_socket=True)
    yield
    pytest_socket.enable_socket()


@pytest.fixture(scope="session")
def receiver(request: pytest.FixtureRequest) -> Iterator[Receiver]:
    """What the session's local run tells of itself by OpenTelemetry, until the tests without network begin."""
    with request.config.stash[LISTENING] as open_:
        yield open_.enter_context(receiving())


@pytest.fixture(scope="session")
def shared_stack(tmp_path_factory: pytest.TempPathFactory, receiver: Receiver) -> Iterator[Stack]:
    """One local run for the whole session, on free ports, with state and archetypes under pytest's own folder.

    The host's clocks leap an hour soon after it has started: nothing may notice.
    """
    archetypes = tmp_path_factory.mktemp("data") / "archetypes"
    shutil.copytree(ROOT / "archetypes", archetypes, ignore=shutil.ignore_patterns("__pycache__"))
    environment = {
        "ARCHETYPES_FOLDER": str(archetypes),
        "APPSTORE_TELEMETRY_EXPORTER": "otlp",
        "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_METRIC_EXPORT_INTERVAL": "5000",
        "TZ": clocks.springing(45),
    }
    with Stack(tmp_path_factory.mktemp("stack"), host_environment=environment) as stack:
        yield stack


@pytest.fixture
def stack(shared_stack: Stack) -> Iterator[Stack]:
    """The session's local run; faults and latency of the test before are gone."""
    assert shared_stack.ended() is None, "a process of the shared local run has ended"
    yield shared_stack
    shared_stack.vendors_admin("DELETE", "faults")


@pytest.fixture
def fresh_stack(tmp_path: Path) -> Iterator[StackFactory]:
    """Make local runs of this test's own, for tests that kill processes or need an empty estate."""
    with ExitStack() as running:

        def make(name: str = "stack", **settings: object) -> Stack:
            return running.enter_context(Stack(tmp_path / name, **settings))  # type: ignore[arg-type]

        yield make
