"""Repositories that several tests look at are rendered once."""

from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from tests.archetypes.rendering import COMBINATIONS, HOSTILE, render


@pytest.fixture(scope="session")
def rendered(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str, bool], Path]:
    """Render a combination of the parameters, with a hostile description, the first time it is asked for."""

    @cache
    def combination(database: str, public: bool) -> Path:
        target = tmp_path_factory.mktemp("repository")
        return render(target, description=HOSTILE, database=database, public_endpoint=public)

    return combination


@pytest.fixture
def repository(rendered: Callable[[str, bool], Path]) -> Path:
    """The sample: a database and a public endpoint."""
    return rendered("postgres", True)


@pytest.fixture(params=COMBINATIONS, ids=["postgres-public", "postgres-internal", "none-public", "none-internal"])
def any_repository(request: pytest.FixtureRequest, rendered: Callable[[str, bool], Path]) -> Path:
    """Every combination of the parameters."""
    database, public = request.param
    return rendered(database, public)
