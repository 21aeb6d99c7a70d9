"""Once a day the vaults are looked at for secrets that end soon: the events that tell of them may have been lost."""

from datetime import UTC, datetime, timedelta

import azure.durable_functions as df
import azure.functions as func

from shared.models.operations import AskedOperation
from shared.models.records import ApplicationRecord
from shared.register import requests
from shared.vaults import HeldSecret, secrets_of
from triggers._operation_intake import accept, asked_by_timer
from triggers._sweeping import apart

blueprint = df.Blueprint()
_LIVING = ("active", "expired")
_SOON = timedelta(days=30)  # as Key Vault's event SecretNearExpiry


async def check_secrets(timer: func.TimerRequest, client) -> None:  # type: ignore[no-untyped-def] # noqa: ANN001, ARG001 - the SDK sets the hint
    """Ask for the rotation of what ends soon; what its event or an earlier day asked for is the same wish."""
    await ask_for_rotation(client, datetime.now(UTC))


async def ask_for_rotation(client: df.DurableOrchestrationClient, now: datetime) -> None:
    """Ask for each secret with the tags of a rotation that ends within 30 days or has ended."""
    async for application in requests.applications():
        if application.state in _LIVING:
            await apart(application.name, _ask(client, application, now))


async def _ask(client: df.DurableOrchestrationClient, application: ApplicationRecord, now: datetime) -> None:
    for environment in application.environments:
        await apart(f"{application.name} {environment}", _look(client, application, environment, now))


async def _look(
    client: df.DurableOrchestrationClient, application: ApplicationRecord, environment: str, now: datetime
) -> None:
    async for secret in secrets_of(application, environment):
        if _tagged(secret) and secret.expires and secret.expires <= now + _SOON:
            await apart(f"{secret.vault}/{secret.name}", _rotate(client, application.name, secret))


def _tagged(secret: HeldSecret) -> bool:
    return secret.current.attributes.enabled and secret.current.tags.keys() >= {"CredentialId", "ProviderAddress"}


async def _rotate(client: df.DurableOrchestrationClient, application: str, secret: HeldSecret) -> None:
    for version in await secret.newest():
        await accept(client, _asked(application, secret, version))


def _asked(application: str, secret: HeldSecret, version: str) -> AskedOperation:
    """The same wish as the event's (``rules/events.yaml``), with the same key."""
    parameters = {"vault": secret.vault, "secret": secret.name, "version": version}
    key = f"{secret.vault}/{secret.name}/{version}"
    return asked_by_timer(application, "rotate-secret", key, environment=secret.environment, parameters=parameters)


bound = blueprint.durable_client_input(client_name="client")(check_secrets)
timed = blueprint.timer_trigger(arg_name="timer", schedule="0 10 4 * * *")(bound)
blueprint.function_name("check_secrets")(timed)
