import pytest

from local.stack import Stack
from tests.e2e.driver import Desk


@pytest.fixture
def desk(stack: Stack) -> Desk:
    """A desk at the session's local run."""
    return Desk(stack)
