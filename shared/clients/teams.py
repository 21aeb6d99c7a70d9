"""Microsoft Teams: messages to a channel through a Workflows webhook.

The webhook's URL is its only credential (``sig=``): it is read from the Key Vault for each message and never shown.

Documentation: https://learn.microsoft.com/connectors/teams/?tabs=text1#microsoft-teams-webhook
"""

from typing import Any
from urllib.parse import urlsplit

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Call, Vendor
from shared.clients.key_vault import read_secret
from shared.errors import ConfigurationError
from shared.settings import Settings, load

_HOSTS = (".environment.api.powerplatform.com", ".logic.azure.com")


class TeamsSettings(Settings):
    """Microsoft Teams. Without a Key Vault there are no messages to a Teams channel."""

    model_config = SettingsConfigDict(env_prefix="TEAMS_", frozen=True, extra="ignore")

    key_vault: str = Field(
        default="", description="Address of the Key Vault that holds the webhook's URL; empty: Teams is not used."
    )
    webhook_secret_name: str = Field(
        default="teams-webhook-url", description="Name of the secret with the URL of the Workflows webhook."
    )


def configured() -> bool:
    """Whether messages go to Teams."""
    return bool(load(TeamsSettings).key_vault)


async def _anonymous() -> dict[str, str]:
    return {}


async def post_card(card: dict[str, Any]) -> None:
    """Hand an Adaptive Card to the workflow, which posts it.

    202 says that the workflow was started. Whether the card reaches the channel is not told, and there is no way to
    look: nobody may call it delivered.

    Raises:
        ConfigurationError: the secret is not the URL of a Workflows webhook.
        TransientIntegrationError: without a status, or with 5xx, the card may have been posted.
    """
    settings = load(TeamsSettings)
    secret = await read_secret(settings.key_vault, settings.webhook_secret_name)
    base, path = _webhook(secret.strip())
    attachment = {"contentType": "application/vnd.microsoft.card.adaptive", "content": card}
    body = {"type": "message", "attachments": [attachment]}
    await Vendor("teams", base, _anonymous).call(Call("post card", "POST", path, body, expect=(202,)))


def _webhook(url: str) -> tuple[str, str]:
    """Host and path of the webhook; no error says what the secret is."""
    variable = "TEAMS_WEBHOOK_SECRET_NAME"
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise ConfigurationError(variable, "the secret is not a URL") from None
    if parts.scheme != "https" or not host.endswith(_HOSTS):
        why = f"the secret is not the URL of a Workflows webhook (https, a host below {' or '.join(_HOSTS)})"
        raise ConfigurationError(variable, why)
    return f"https://{host}{f':{port}' if port else ''}", f"{parts.path or '/'}?{parts.query}"
