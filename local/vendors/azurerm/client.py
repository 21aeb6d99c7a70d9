"""Calls of the provider to Azure Resource Manager, as the real provider makes them: HTTPS, token, polling."""

import ssl
import threading
import time
import uuid
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from typing import Any

import httpx

from .schema import PROVIDER_VERSION

ARM = "https://management.azure.com"
LOGIN = "https://login.microsoftonline.com"
TENANT = "11111111-1111-1111-1111-111111111111"
CLIENT = "bot"  # the service principal of the pipelines in the Entra ID stand-in; its secret is its name
TIMEOUT_SECONDS = 60.0
PRINCIPAL_WAIT_SECONDS = 30.0
RETRY_SECONDS = (0.2, 0.5, 1.0)
RETRIED = frozenset({408, 429, 500, 502, 503, 504})  # as the provider's HTTP client does, after lost connections too
AGENT = f"HashiCorp Terraform (+https://www.terraform.io) terraform-provider-azurerm/{PROVIDER_VERSION}"


class ProviderError(Exception):
    """What Terraform shows as an error; the text is the provider's own."""


class ArmClient:
    def __init__(self, proxy_url: Callable[[], str], ca_bundle: Path) -> None:
        self._proxy_url = proxy_url
        self._ca_bundle = ca_bundle
        self._lock = threading.Lock()
        self._http: httpx.Client | None = None
        self._token = ("", 0.0)

    def get(self, path: str, version: str, **query: str) -> dict[str, Any] | None:
        """Read a resource or a list; None when there is none."""
        answer = self._call("GET", path, version, query=query)
        if answer.status_code == HTTPStatus.NOT_FOUND:
            return None
        return dict(self._checked("reading", path, answer).json())

    def put(self, path: str, version: str, body: dict[str, Any], verb: str) -> None:
        """Create or replace, until it is done. A principal that the directory does not know yet is waited for."""
        deadline = time.monotonic() + PRINCIPAL_WAIT_SECONDS
        answer = self._call("PUT", path, version, body)
        while "PrincipalNotFound" in answer.text and time.monotonic() < deadline:
            time.sleep(0.5)
            answer = self._call("PUT", path, version, body)
        self._finish(verb, path, self._checked(verb, path, answer))

    def delete(self, path: str, version: str) -> None:
        answer = self._call("DELETE", path, version)
        if answer.status_code != HTTPStatus.NOT_FOUND:
            self._finish("deleting", path, self._checked("deleting", path, answer))

    def post(self, path: str, version: str, verb: str) -> None:
        self._finish(verb, path, self._checked(verb, path, self._call("POST", path, version)))

    def object_id(self) -> str:
        """The principal the provider signs in as."""
        import jwt  # noqa: PLC0415 - only the data source client_config needs it

        return str(jwt.decode(self._bearer(), options={"verify_signature": False})["oid"])

    def close(self) -> None:
        if self._http is not None:
            self._http.close()

    def _finish(self, verb: str, path: str, answer: httpx.Response) -> None:
        """Poll a long-running operation as ARM says: Azure-AsyncOperation first, Location only without it."""
        status, location = answer.headers.get("Azure-AsyncOperation"), answer.headers.get("Location")
        while status or (location and answer.status_code == HTTPStatus.ACCEPTED):
            time.sleep(float(answer.headers.get("Retry-After", "1")))
            answer = self._checked(verb, path, self._call("GET", status or location, ""))
            if status and (state := answer.json()["status"]) in ("Succeeded", "Failed", "Canceled"):
                if state != "Succeeded":
                    raise ProviderError(f'{verb} "{path}": polling failed: the operation ended as {state}')
                return

    def _call(
        self,
        method: str,
        path: str,
        version: str,
        body: dict[str, Any] | None = None,
        query: Mapping[str, str] | None = None,
    ) -> httpx.Response:
        parameters = {"api-version": version, **(query or {})} if version else None
        headers = {"Authorization": f"Bearer {self._bearer()}", "x-ms-correlation-request-id": str(uuid.uuid4())}
        for wait in (*RETRY_SECONDS, None):
            try:
                answer = self._client().request(method, path, params=parameters, json=body, headers=headers)
            except httpx.TransportError as error:
                told = f"{type(error).__name__}: {error}"
            else:
                if wait is None or answer.status_code not in RETRIED:
                    return answer
                wait = float(answer.headers.get("Retry-After", wait))  # noqa: PLW2901 - the answer knows better
                told = answer.reason_phrase
            time.sleep(wait or 0)
        raise ProviderError(f'{method} "{path}": giving up after {len(RETRY_SECONDS) + 1} attempt(s): {told}')

    @staticmethod
    def _checked(verb: str, path: str, answer: httpx.Response) -> httpx.Response:
        if answer.is_success:
            return answer
        try:
            error = answer.json()["error"]
            told = f"{error['code']}: {error['message']}"
        except (ValueError, KeyError, TypeError):
            told = answer.text[:500]
        code = answer.status_code
        raise ProviderError(
            f'{verb} "{path}": unexpected status {code} ({code} {answer.reason_phrase}) with error: {told}'
        )

    def _client(self) -> httpx.Client:
        with self._lock:
            if self._http is None:
                context = ssl.create_default_context(cafile=str(self._ca_bundle))
                self._http = httpx.Client(
                    base_url=ARM,
                    proxy=self._proxy_url(),
                    verify=context,
                    timeout=TIMEOUT_SECONDS,
                    headers={"User-Agent": AGENT},
                    trust_env=False,
                )
            return self._http

    def _bearer(self) -> str:
        token, until = self._token
        if time.monotonic() < until:
            return token
        form = {
            "grant_type": "client_credentials",
            "client_id": CLIENT,
            "client_secret": CLIENT,
            "scope": f"{ARM}/.default",
        }
        answer = self._checked(
            "signing in", LOGIN, self._client().post(f"{LOGIN}/{TENANT}/oauth2/v2.0/token", data=form)
        )
        document = answer.json()
        self._token = document["access_token"], time.monotonic() + document["expires_in"] - 300
        return self._token[0]
