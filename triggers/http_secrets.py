"""The inventory of an application's secrets: which is renewed when, and who answers for it; never a value."""

from datetime import UTC, datetime
from typing import Any

from shared.authorisation import SEE
from shared.models import Model
from shared.rotation_rules import rotation_rule
from shared.vaults import HeldSecret, secrets_of
from triggers._http import Answer, Call, endpoint
from triggers.http_catalogue import visible_application
from triggers.timer_secrets import next_run


class SecretList(Model):
    """Secrets in the vaults of an application: names, times, and what the rules say of them."""

    secrets: list[dict[str, Any]]


@endpoint(
    "GET",
    "applications/{name}/secrets",
    action=SEE,
    summary="Secrets of an application and their rotation, without values.",
    answers={200: SecretList},
)
async def list_secrets(call: Call) -> Answer:
    """List every secret with its end, its rule, its last rotation and its next one."""
    application, now = await visible_application(call), datetime.now(UTC)
    found = [
        _view(secret, now)
        for environment in application.environments
        async for secret in secrets_of(application, environment)
    ]
    return Answer(200, {"secrets": found})


def _view(secret: HeldSecret, now: datetime) -> dict[str, Any]:
    rule, tags, expires = rotation_rule(secret.name), secret.current.tags, secret.expires
    operation = tags.get("rotation-id")
    asked = secret.rotation_asked
    return {
        "environment": secret.environment,
        "vault": secret.vault,
        "name": secret.name,
        "created": secret.created.isoformat(),
        "expires": expires.isoformat() if expires else None,
        "daysLeft": (expires - now).days if expires else None,
        "strategy": rule.strategy if rule else None,
        "owner": rule.owner if rule else None,
        "reason": rule.reason if rule else None,
        "lastRotation": {"operation": operation, "at": secret.created.isoformat()} if operation else None,
        "nextRotation": (asked if asked > now else next_run(now)).isoformat() if asked else None,
    }
