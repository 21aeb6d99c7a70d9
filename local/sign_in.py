"""Signs in as the App Store does: managed identity -> Key Vault -> GitHub App, ServiceNow."""

import time
from typing import TYPE_CHECKING

import httpx
import jwt

if TYPE_CHECKING:
    from local.stack import Stack

GITHUB = "https://api.github.com"
SERVICENOW = "https://contoso.service-now.com"


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
    key = _secret(stack, settings["GITHUB_KEY_VAULT"], settings["GITHUB_KEY_SECRET"])
    now = int(time.time())
    claims = {"iat": now - 60, "exp": now + 300, "iss": settings["GITHUB_APP_ID"]}
    assertion = jwt.encode(claims, key, "RS256")
    answer = stack.vendors.post(
        f"{GITHUB}/app/installations/{settings['GITHUB_INSTALLATION_ID']}/access_tokens",
        headers={"Authorization": f"Bearer {assertion}"},
    )
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['token']}"}


def servicenow_headers(stack: "Stack") -> dict[str, str]:
    """Return the headers of a ServiceNow call by the App Store's OAuth client."""
    settings = stack.settings
    secret = _secret(stack, settings["SERVICENOW_KEY_VAULT"], "servicenow-client-secret")
    client = {"client_id": settings["SERVICENOW_CLIENT_ID"], "client_secret": secret}
    answer = stack.vendors.post(f"{SERVICENOW}/oauth_token.do", data={"grant_type": "client_credentials", **client})
    answer.raise_for_status()
    return {"Authorization": f"Bearer {answer.json()['access_token']}"}


def _secret(stack: "Stack", vault: str, name: str) -> str:
    answer = stack.vendors.get(
        f"{vault}/secrets/{name}?api-version=7.4",
        headers={"Authorization": f"Bearer {identity_token(stack, 'https://vault.azure.net')}"},
    )
    answer.raise_for_status()
    return str(answer.json()["value"])
