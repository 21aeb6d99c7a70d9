"""The HTTP API of the app as one persona sees it."""

from dataclasses import dataclass
from typing import Any

import httpx

from local.stack import Stack


@dataclass(frozen=True)
class Answer:
    """Status and JSON document of one answer."""

    status: int
    body: dict[str, Any]

    @property
    def ok(self) -> bool:
        return self.status < httpx.codes.BAD_REQUEST

    @property
    def problem(self) -> str:
        """The words of a problem+json answer."""
        return str(self.body.get("detail") or self.body.get("title") or self.body)


@dataclass(frozen=True)
class Persona:
    """One signed-in person."""

    stack: Stack
    name: str

    def get(self, path: str) -> Answer:
        return self._call("GET", path, None, {})

    def post(self, path: str, body: object, **headers: str) -> Answer:
        return self._call("POST", path, body, {name.replace("_", "-"): value for name, value in headers.items()})

    def _call(self, method: str, path: str, body: object, headers: dict[str, str]) -> Answer:
        response = self.stack.api.request(
            method, f"/api{path}", json=body, headers=self.stack.bearer(self.name) | headers
        )
        try:
            document = response.json()
        except ValueError:
            document = {"title": response.text[:200] or response.reason_phrase}
        return Answer(response.status_code, document if isinstance(document, dict) else {"items": document})
