"""How the App Store's GitHub App identifies itself; shared by the GitHub clients.

Documentation: https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

import asyncio
import time
from dataclasses import dataclass, field
from datetime import datetime

from pydantic import Field
from pydantic_settings import SettingsConfigDict

from shared.clients._http import Call, Vendor
from shared.clients.key_vault import read_secret
from shared.models import Model
from shared.per_loop import per_loop
from shared.settings import Settings, load

API = "https://api.github.com"
_VERSION = {"X-GitHub-Api-Version": "2022-11-28", "Accept": "application/vnd.github+json"}
_EARLY = 300.0


class GitHubSettings(Settings):
    """The GitHub App and the organisation it is installed in."""

    model_config = SettingsConfigDict(env_prefix="GITHUB_", frozen=True, extra="ignore")

    owner: str = Field(description="Organisation that owns all repositories.")
    app_id: int = Field(description="Id of the GitHub App.")
    installation_id: int = Field(description="Id of the App's installation in the organisation.")
    key_vault: str = Field(description="URL of the Key Vault that holds the App's private key.")
    key_secret: str = Field(default="github-app-key", description="Secret with the App's private key (PEM).")
    infrastructure_repository: str = Field(
        default="infrastructure", description="Repository of the Terraform stacks and their pipeline."
    )


class InstallationToken(Model):
    """Answer of ``POST /app/installations/{id}/access_tokens``."""

    token: str
    expires_at: str


@dataclass
class _Cached:
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    token: str = ""
    good_until: float = 0.0


@per_loop
def _cached() -> _Cached:
    return _Cached()


async def _app_headers() -> dict[str, str]:
    import jwt  # noqa: PLC0415 - cryptography is heavy

    settings = load(GitHubSettings)
    key = await read_secret(settings.key_vault, settings.key_secret)
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + 540, "iss": str(settings.app_id)}
    return {**_VERSION, "Authorization": f"Bearer {jwt.encode(claims, key, algorithm='RS256')}"}


async def _installation_headers() -> dict[str, str]:
    cached = _cached()
    async with cached.lock:
        if time.time() >= cached.good_until:
            path = f"/app/installations/{load(GitHubSettings).installation_id}/access_tokens"
            call = Call("create installation token", "POST", path, expect=(201,))
            token = await Vendor("github", API, _app_headers).read(call, InstallationToken)
            cached.token = token.token
            cached.good_until = datetime.fromisoformat(token.expires_at).timestamp() - _EARLY
    return {**_VERSION, "Authorization": f"Bearer {cached.token}"}


GITHUB = Vendor("github", API, _installation_headers)


def owner() -> str:
    """The organisation."""
    settings = load(GitHubSettings)
    return settings.owner


def infrastructure() -> str:
    """Name of the infrastructure repository."""
    settings = load(GitHubSettings)
    return settings.infrastructure_repository
