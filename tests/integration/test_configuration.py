"""A system that is configured by half, or not where it must be, is named before anything is begun."""

import pytest

from shared.errors import ConfigurationError
from shared.models.application_request import ApplicationRequest
from tests.e2e.driver import body
from tests.integration.world import REQUESTER, World
from triggers._intake import judge


def _wanted(*environments: str) -> ApplicationRequest:
    return ApplicationRequest.model_validate(body("configured-api", environments=list(environments)))


async def test_without_an_instance_there_are_no_records(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world
    assert "servicenow" in (await judge(_wanted("dev", "qa", "prod"), REQUESTER)).systems
    monkeypatch.delenv("SERVICENOW_INSTANCE")
    assert "servicenow" not in (await judge(_wanted("dev", "qa"), REQUESTER)).systems


async def test_production_needs_a_change_request(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    assert world
    monkeypatch.delenv("SERVICENOW_INSTANCE")
    with pytest.raises(ConfigurationError, match="change request") as refused:
        await judge(_wanted("dev", "qa", "prod"), REQUESTER)
    assert refused.value.variable == "SERVICENOW_INSTANCE"


@pytest.mark.parametrize("variable", ["SERVICENOW_CLIENT_ID", "SERVICENOW_KEY_VAULT"])
async def test_half_a_configuration_is_named(world: World, monkeypatch: pytest.MonkeyPatch, variable: str) -> None:
    assert world
    monkeypatch.delenv(variable)
    with pytest.raises(ConfigurationError, match="needed together with SERVICENOW_INSTANCE") as refused:
        await judge(_wanted("dev"), REQUESTER)
    assert refused.value.variable == variable
