"""Access tokens for Azure Storage, without any stored secret.

GitHub: https://docs.github.com/actions/security-for-github-actions/security-hardening-your-deployments
Entra ID: https://learn.microsoft.com/entra/identity-platform/v2-oauth2-client-creds-grant-flow (federated credential)
Managed identity: https://learn.microsoft.com/azure/container-apps/managed-identity
"""

import json
import os
import time
import urllib.parse
from collections.abc import Mapping
from typing import Any

from .problems import RunError
from .web import Response, send

_STORAGE = "https://storage.azure.com"
_RENEW_BEFORE = 300.0


class StorageTokens:
    """Tokens of the pipeline's identity; each is used until shortly before its end.

    Args:
        environment: variables of GitHub (``ACTIONS_ID_TOKEN_REQUEST_*``, ``ARM_CLIENT_ID``, ``ARM_TENANT_ID``) or of a
            managed identity (``IDENTITY_ENDPOINT``, ``IDENTITY_HEADER``).
    """

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._environment = environment
        self._token = ""
        self._end = 0.0

    def get(self) -> str:
        """A valid token.

        Raises:
            RunError: the pipeline has no identity, or Entra ID refuses it.
        """
        if time.monotonic() > self._end - _RENEW_BEFORE:
            answer = self._request()
            self._token = str(answer["access_token"])
            self._end = time.monotonic() + float(answer.get("expires_in") or 3600)
        return self._token

    def _request(self) -> dict[str, Any]:
        if "ACTIONS_ID_TOKEN_REQUEST_URL" in self._environment:
            return self._federated()
        if "IDENTITY_ENDPOINT" in self._environment:
            return self._managed_identity()
        raise RunError(
            "Sign-in",
            "The pipeline has no identity: neither ACTIONS_ID_TOKEN_REQUEST_URL nor IDENTITY_ENDPOINT is set.",
        )

    def _federated(self) -> dict[str, Any]:
        authority = self._environment.get("AZURE_AUTHORITY_HOST", "https://login.microsoftonline.com").rstrip("/")
        form = {
            "grant_type": "client_credentials",
            "client_id": self._variable("ARM_CLIENT_ID"),
            "scope": f"{_STORAGE}/.default",
            "client_assertion_type": "urn:ietf:params:oauth:client-assertion-type:jwt-bearer",
            "client_assertion": self._github_token(),
        }
        url = f"{authority}/{self._variable('ARM_TENANT_ID')}/oauth2/v2.0/token"
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        response = send("POST", url, headers, urllib.parse.urlencode(form).encode())
        return _token_answer("Entra ID", response, "access_token")

    def _github_token(self) -> str:
        url = self._variable("ACTIONS_ID_TOKEN_REQUEST_URL")
        url += ("&" if "?" in url else "?") + urllib.parse.urlencode({"audience": "api://AzureADTokenExchange"})
        headers = {"Authorization": f"Bearer {self._variable('ACTIONS_ID_TOKEN_REQUEST_TOKEN')}"}
        return str(_token_answer("GitHub OIDC", send("GET", url, headers), "value")["value"])

    def _managed_identity(self) -> dict[str, Any]:
        query = {"resource": _STORAGE, "api-version": "2019-08-01"}
        if "ARM_CLIENT_ID" in self._environment:
            query["client_id"] = self._environment["ARM_CLIENT_ID"]
        endpoint = self._variable("IDENTITY_ENDPOINT")
        headers = {"X-IDENTITY-HEADER": self._variable("IDENTITY_HEADER")}
        response = send("GET", f"{endpoint}?{urllib.parse.urlencode(query)}", headers)
        return _token_answer("Managed identity", response, "access_token")

    def _variable(self, name: str) -> str:
        value = self._environment.get(name, "")
        if not value:
            raise RunError("Sign-in", f"{name} is missing.")
        return value


def _token_answer(who: str, response: Response, field: str) -> dict[str, Any]:
    try:
        answer = json.loads(response.body)
    except ValueError:
        answer = None
    if not isinstance(answer, dict):
        raise RunError("Sign-in", f"{who} answered {response.status} without a JSON document.")
    if response.status != 200 or not isinstance(answer.get(field), str):  # noqa: PLR2004 - OK
        reason = answer.get("error_description") or answer.get("message") or answer.get("error") or "no token"
        raise RunError("Sign-in", f"{who} answered {response.status}: {reason}")
    return answer
