"""What a run leaves in blob storage: ``plans/<run id>/`` with plan, change set and result.

``result.json`` is written last and never again: it is the commit of a run. Artefacts of a run without a result belong
to a run that died; the same run may replace them. The plan file holds state and variables in clear: the container is
private, and the file never becomes a pipeline artifact or a log.

https://learn.microsoft.com/rest/api/storageservices/put-blob
https://learn.microsoft.com/rest/api/storageservices/specifying-conditional-headers-for-blob-service-operations
"""

import json
import urllib.parse
from typing import Any, Protocol

from .changeset import canonical
from .problems import RunError, RunRefusedError
from .settings import Settings
from .web import Response, send

PLAN = "plan.tfplan"
CHANGE_SET = "changeset.json"
STARTED = "started.json"
RESULT = "result.json"

_VERSION = "2023-11-03"
_EXISTS = frozenset({409, 412})


class Tokens(Protocol):
    """Where access tokens come from."""

    def get(self) -> str:
        """A valid token."""


class Artefacts:
    """The artefacts of one run.

    Args:
        settings: account, container and address.
        run_id: the run.
        tokens: signs the requests.
    """

    def __init__(self, settings: Settings, run_id: str, tokens: Tokens) -> None:
        self._folder = f"{settings.blob_endpoint}/{settings.plans_container}/{urllib.parse.quote(run_id, safe='')}"
        self._run_id = run_id
        self._tokens = tokens

    def read(self, name: str) -> bytes | None:
        """Content of an artefact; None when there is none.

        Raises:
            RunError: storage refuses or gives no sensible answer.
        """
        response = self._call("GET", name)
        return None if response is None else response.body

    def read_document(self, name: str) -> dict[str, Any] | None:
        """A JSON artefact; None when there is none.

        Raises:
            RunError: as `read`, or the artefact is no JSON object.
        """
        content = self.read(name)
        if content is None:
            return None
        try:
            document = json.loads(content)
        except ValueError:
            document = None
        if not isinstance(document, dict):
            raise RunError("Artefact unreadable", f"{self._run_id}/{name} is not a JSON document.")
        return document

    def write(self, name: str, content: bytes) -> None:
        """Write an artefact of a run that has no result yet; a repeat with the same bytes changes nothing.

        Raises:
            RunRefusedError: the run has a result: its artefacts are final.
            RunError: storage refuses.
        """
        if self._put(name, content, {"If-None-Match": "*"}):
            return
        present = self._call("GET", name)
        if present is None or present.body == content:
            return
        if self.read(RESULT) is not None:
            raise RunRefusedError("Artefact exists", f"The run {self._run_id} has a result and another {name}.")
        if not self._put(name, content, {"If-Match": present.headers["etag"]}):
            raise RunRefusedError("Artefact exists", f"Another run writes {name} of {self._run_id}.")

    def write_document(self, name: str, document: dict[str, Any]) -> bytes:
        """Write a JSON artefact in canonical form and return its bytes. Raises as `write`."""
        content = canonical(document)
        self.write(name, content)
        return content

    def commit(self, result: dict[str, Any]) -> None:
        """Write the result, once.

        Raises:
            RunRefusedError: the run has another result.
            RunError: storage refuses.
        """
        content = canonical(result)
        if not self._put(RESULT, content, {"If-None-Match": "*"}) and self.read(RESULT) != content:
            raise RunRefusedError("Result exists", f"The run {self._run_id} has another result.")

    def _put(self, name: str, content: bytes, condition: dict[str, str]) -> bool:
        kind = "application/json" if name.endswith(".json") else "application/octet-stream"
        headers = {"x-ms-blob-type": "BlockBlob", "Content-Type": kind, **condition}
        response = self._send("PUT", name, content, headers)
        if response.status in _EXISTS:
            return False
        if response.status != 201:  # noqa: PLR2004 - Created
            raise _refused("PUT", name, response)
        return True

    def _call(self, method: str, name: str) -> Response | None:
        response = self._send(method, name, None, {})
        if response.status == 404 and _code(response) == "BlobNotFound":  # noqa: PLR2004 - Not Found
            return None
        if response.status != 200 or "etag" not in response.headers:  # noqa: PLR2004 - OK
            raise _refused(method, name, response)
        return response

    def _send(self, method: str, name: str, content: bytes | None, headers: dict[str, str]) -> Response:
        signed = {"Authorization": f"Bearer {self._tokens.get()}", "x-ms-version": _VERSION}
        return send(method, f"{self._folder}/{name}", headers | signed, content)


def _code(response: Response) -> str:
    return response.headers.get("x-ms-error-code", "")


def _refused(method: str, name: str, response: Response) -> RunError:
    reason = _code(response) or response.body[:200].decode("utf-8", "replace")
    return RunError("Blob storage", f"{method} {name} was answered {response.status}: {reason}")
