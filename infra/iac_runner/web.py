"""One way to send an HTTP request: proxies and certificates of the environment, a few retries."""

import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Mapping
from dataclasses import dataclass
from email.message import Message

from .problems import RunError

_TIMEOUT = 60
_PAUSES = (1.0, 3.0, 9.0)
_TRY_AGAIN = frozenset({408, 429, 500, 502, 503, 504})


@dataclass(frozen=True)
class Response:
    """Answer of a server, whatever its status."""

    status: int
    body: bytes
    headers: dict[str, str]


def send(method: str, url: str, headers: Mapping[str, str], body: bytes | None = None) -> Response:
    """Send a request that may be repeated: all of ours can be.

    Raises:
        RunError: no answer after four tries, or the address is not one of the web.
    """
    parts = urllib.parse.urlsplit(url)
    if parts.scheme not in {"https", "http"}:
        raise RunError("Configuration", f"{parts.scheme}://{parts.hostname} is not an address of the web.")
    request = urllib.request.Request(url, body, dict(headers), method=method)  # noqa: S310 - checked above
    for pause in _PAUSES:
        try:
            response = _send_once(request)
        except OSError:
            time.sleep(pause)
        else:
            if response.status not in _TRY_AGAIN:
                return response
            time.sleep(pause)
    try:
        return _send_once(request)
    except OSError as error:
        raise RunError("Network", f"{parts.hostname} gave no answer: {error}") from error


def _send_once(request: urllib.request.Request) -> Response:
    try:
        with urllib.request.urlopen(request, timeout=_TIMEOUT) as answer:  # noqa: S310 - checked in send
            return Response(answer.status, answer.read(), _lower(answer.headers))
    except urllib.error.HTTPError as error:
        with error:
            return Response(error.code, error.read(), _lower(error.headers))


def _lower(headers: Message) -> dict[str, str]:
    return {name.lower(): value for name, value in headers.items()}
