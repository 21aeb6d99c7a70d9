"""Signs in as the App Store does: managed identity -> Key Vault -> GitHub App."""

import time
from typing import TYPE_CHECKING

import httpx
import jwt

if TYPE_CHECKING:
    from local.stack import Stack

GITHUB = "https://api.github.com"


def identity_token(stack: "Stack", resource: str) -> str:
    """Return a token of the App Store's managed identity (App Service endpoint, 2019-08-01)."""
    settings = stack.settings
    answer = httpx.get(
        f"{stack.proxy_url}/msi/token",
        params={"resource": resource, "api-version": "2019-08-01", "client_id": settings["AZURE_CLIENT_ID"]},
        headers={"X-IDENTITY-HEADER": settings["IDENTITY_HEADER"]},
        trust_env=False,
    )
    answer.raise_for_status()
    return str(answer.json()["access_token"])


def github_headers(stack: "Stack") -> dict[str, str]:
    """Return the headers of a GitHub call by the App's installation."""
    settings = stack.settings
    secret = stack.vendors.get(
        f"{settings['GITHUB_KEY_VAULT']}/secrets/{settings['GITHUB_KEY_SECRET']}?api-version=7.4",
        headers={"Authorization": f"Bearer {identity_token(stack, 'https://vault.azure.net')}"},
    )
    secret.raise_for_status()
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + 300, "iss": settings["GITHUB_APP_ID"]}
    assertion = jwt.encode(claims, secret.json()["value"], "RS256")
    answer = stack.vendors.post(
        f"{GITHUB}/app/installations/{settings['GITHUB_INSTALLATION_ID']}/access_tokens",
        headers={"Authorization": f"Bearer {assertion}"},
    )
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['token']}"}
