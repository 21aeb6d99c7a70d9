"""Once a day the vaults are looked at for secrets that end soon: the events that tell of them may have been lost."""

from collections import Counter
from datetime import UTC, datetime, time, timedelta

import azure.durable_functions as df
import azure.functions as func

from shared.models.operations import AskedOperation
from shared.models.records import ApplicationRecord
from shared.register import requests
from shared.rotation_rules import AHEAD
from shared.telemetry.metrics import measure
from shared.vaults import HeldSecret, secrets_of
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()
_LIVING = ("active", "expired")
_RUNS_AT = time(4, 10, tzinfo=UTC)
_METRIC, _STATES = "appstore.secrets.expiring", ("near", "past", "unknown")


def next_run(now: datetime) -> datetime:
    """When the vaults are looked at next."""
    today = datetime.combine(now.date(), _RUNS_AT)
    return today if today > now else today + timedelta(days=1)


async def check_secrets(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Ask for the rotation of what ends soon; what its event or an earlier day asked for is the same wish."""
    await ask_for_rotation(client, datetime.now(UTC))


async def ask_for_rotation(client: df.DurableOrchestrationClient, now: datetime) -> None:
    """Ask for each secret whose rotation is due, and measure how many end soon or have ended, whoever renews them."""
    found = Counter[tuple[str, str]]()
    async for application in requests.applications():
        for environment in application.environments if application.state in _LIVING else ():
            found.update({(environment, state): 0 for state in _STATES})  # a level that is told no more seems to stay
            looked = _look(client, application, environment, now, found)
            if not await apart(f"{application.name} {environment}", looked):
                found[environment, "unknown"] += 1
    for (environment, state), number in found.items():
        measure(_METRIC, number, {"appstore.environment": environment, "appstore.expiry": state})


async def _look(
    client: df.DurableOrchestrationClient,
    application: ApplicationRecord,
    environment: str,
    now: datetime,
    found: Counter[tuple[str, str]],
) -> None:
    async for secret in secrets_of(application, environment):
        if secret.current.attributes.enabled and secret.expires and secret.expires <= now + timedelta(days=AHEAD):
            found[environment, "past" if secret.expires <= now else "near"] += 1
        if secret.rotation_asked and secret.rotation_asked <= now:
            await apart(f"{secret.vault}/{secret.name}", _rotate(client, application.name, secret))


async def _rotate(client: df.DurableOrchestrationClient, application: str, secret: HeldSecret) -> None:
    for version in await secret.newest():
        await accept(client, _asked(application, secret, version))


def _asked(application: str, secret: HeldSecret, version: str) -> AskedOperation:
    """The same wish as the event's (``rules/events.yaml``), with the same key."""
    parameters = {"vault": secret.vault, "secret": secret.name, "version": version}
    key = f"{secret.vault}/{secret.name}/{version}"
    return asked_by_timer(application, "rotate-secret", key, environment=secret.environment, parameters=parameters)


bound = blueprint.durable_client_input(client_name="client")(check_secrets)
timed = blueprint.timer_trigger(arg_name="timer", schedule=f"0 {_RUNS_AT.minute} {_RUNS_AT.hour} * * *")(bound)
blueprint.function_name("check_secrets")(timed)
