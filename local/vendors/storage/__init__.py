"""Blob and table storage: every call goes to Azurite, under the account's own host name.

Azurite takes the account from the Host header, checks shared keys and SAS itself, and (`--oauth basic`) the issuer,
audience and times of an Entra ID token; the token's signature is checked here.
"""

import re
from html import escape
from typing import Any

import aiohttp
from aiohttp import web
from yarl import URL

from local.vendors.kernel import Kernel, Vendor

from .keys import is_signed
from .versions import Versions

HOLDER = "applications"
CONTAINER = "Microsoft.Storage/storageAccounts/blobServices/containers"
PASSED_ON = frozenset({"host", "authorization", "x-ms-version", "x-ms-date"})
BUFFERED = 4 * 1024 * 1024
SERVICES = {"blob": "azurite-blob", "table": "azurite-table"}
# Of one connection only; both sides of the forwarding set their own.
COPY = ("x-ms-copy-source", "x-ms-source")
HOP_BY_HOP = frozenset(
    {"connection", "keep-alive", "proxy-connection", "transfer-encoding", "te", "trailer", "upgrade", "content-length"}
)
# Inside a transaction Azurite knows only addresses that have the account in their path.
BATCH_LINE = re.compile(rb"(?m)^[A-Z]+ https://(?P<account>[a-z0-9]+)\.table\.[^/\s]+/")


class Forwarder:
    """Streams requests to Azurite and its answers back."""

    def __init__(self, kernel: Kernel) -> None:
        self._kernel = kernel
        self._session: aiohttp.ClientSession | None = None
        self._made: set[str] = set()
        self._versions = Versions(kernel, _error)

    async def start(self) -> None:
        connector = aiohttp.TCPConnector(ssl=self._kernel.authority.client_context(), limit=0)
        self._session = aiohttp.ClientSession(
            connector=connector, auto_decompress=False, timeout=aiohttp.ClientTimeout(sock_connect=5, sock_read=120)
        )

    async def stop(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def forward(self, request: web.Request) -> web.StreamResponse:
        """Answer with what Azurite says; 503 in the vendor's shape when it does not answer."""
        for answer_here in (self._check_token, self._information, self._versions.listed):
            if (own := answer_here(request)) is not None:
                return own
        copied = self._versions.source(request)
        if isinstance(copied, web.Response):
            return copied
        service = request.host.split(".")[1]
        upstream = self._kernel.upstreams.get(SERVICES[service])
        if self._session is None or upstream is None:
            return _error(503, "ServerBusy", "The storage emulator is not part of this run.")
        body = await _body(request) if copied is None else copied
        try:
            path, headers = await self._placed(request, upstream)
            async with self._session.request(
                request.method,
                URL(upstream + path, encoded=True),
                headers=headers + _length(request, body),
                data=body,
                allow_redirects=False,
                skip_auto_headers=("User-Agent", "Accept", "Accept-Encoding", "Content-Type"),
            ) as answer:
                return await _relay(request, answer)
        except aiohttp.ClientConnectionError as error:
            return _error(503, "ServerBusy", f"The storage emulator does not answer: {error}")

    async def _placed(self, request: web.Request, upstream: str) -> tuple[str, list[tuple[str, str]]]:
        """Path and headers for Azurite, which knows only the accounts of its start.

        A container that Resource Manager made lies in the account ``applications``, from its first use.
        """
        headers = _headers(request.headers)
        account, name = request.host.partition(".")[0], request.path.strip("/").partition("/")[0]
        if self._session is None or not self._in_arm(
            f"/storageaccounts/{account}/blobservices/default/containers/{name}"
        ):
            return request.raw_path, headers
        host = request.host.replace(account, HOLDER, 1)
        headers = [(key, host if key.lower() == "host" else value) for key, value in headers]
        place = f"{account}-{name}"
        if place not in self._made:
            own = [(key, value) for key, value in headers if key.lower() in PASSED_ON]
            url = URL(f"{upstream}/{place}?restype=container", encoded=True)
            async with self._session.put(url, headers=[*own, ("Content-Length", "0")]) as answer:
                if answer.status in (201, 409):
                    self._made.add(place)
        return request.raw_path.replace(f"/{name}", f"/{place}", 1), headers

    def _information(self, request: web.Request) -> web.Response | None:
        """Get Account Information of an account that Resource Manager made and Azurite does not know."""
        signed = request.headers.get("Authorization", "").startswith("SharedKey ")
        if not signed or request.query.get("restype") != "account":
            return None
        account = request.host.partition(".")[0]
        try:
            keys = self._kernel.vendor("arm").storage_keys(account)
        except LookupError:  # a run of only some stand-ins
            return None
        if keys is None:
            return None
        if not is_signed(request, account, keys):
            return _error(403, "AuthenticationFailed", "Server failed to authenticate the request.")
        return web.Response(headers={"x-ms-sku-name": "Standard_LRS", "x-ms-account-kind": "StorageV2"})

    def _in_arm(self, place: str) -> bool:
        try:
            containers = self._kernel.vendor("arm").resources(kind=CONTAINER)
        except LookupError:  # a run of only some stand-ins
            return False
        return any(item["id"].lower().endswith(place) for item in containers)

    def _check_token(self, request: web.Request) -> web.Response | None:
        scheme, _, token = request.headers.get("Authorization", "").partition(" ")
        if scheme.lower() != "bearer":
            return None
        try:
            self._kernel.vendor("entra").verify(token)
        except ValueError as error:
            return _error(401, "InvalidAuthenticationInfo", f"Server failed to authenticate the request: {error}")
        return None


def build(kernel: Kernel) -> Vendor:
    """The storage hosts of every account."""
    forwarder = Forwarder(kernel)
    return Vendor(
        name="storage",
        hosts=tuple(f"*.{service}.core.windows.net" for service in SERVICES),
        routes=[web.route("*", "/{path:.*}", forwarder.forward)],
        start=forwarder.start,
        stop=forwarder.stop,
    )


def _headers(headers: Any) -> list[tuple[str, str]]:
    return [(k, v) for k, v in headers.items() if k.lower() not in HOP_BY_HOP and not k.lower().startswith(COPY)]


def _length(request: web.Request, body: Any) -> list[tuple[str, str]]:
    # Part of the text that a shared key signs: a chunked upload would be refused.
    length = len(body) if isinstance(body, bytes) else request.content_length
    return [] if length is None else [("Content-Length", str(length))]


async def _body(request: web.Request) -> Any:
    if not request.body_exists:
        return b"" if request.method in {"PUT", "POST", "PATCH", "MERGE"} else None
    if request.path == "/$batch":
        return BATCH_LINE.sub(rb"\g<0>\g<account>/", await request.read())
    if request.content_length is not None and request.content_length <= BUFFERED:
        return await request.read()
    return request.content


async def _relay(request: web.Request, answer: aiohttp.ClientResponse) -> web.StreamResponse:
    """Small answers whole, so that a fault can still replace or drop them; large ones as a stream."""
    headers = _headers(answer.headers)
    length = answer.headers.get("Content-Length")
    if request.method == "HEAD" and length is not None:
        # It tells the length of what it does not send.
        headers.append(("Content-Length", length))
    beginning = bytearray()
    while len(beginning) <= BUFFERED and (chunk := await answer.content.readany()):
        beginning += chunk
    if len(beginning) <= BUFFERED:
        return _with(web.Response(status=answer.status, reason=answer.reason, body=bytes(beginning)), headers)
    response = _with(web.StreamResponse(status=answer.status, reason=answer.reason), headers)
    if length is not None:
        response.content_length = int(length)
    await response.prepare(request)
    await response.write(beginning)
    async for chunk in answer.content.iter_any():
        await response.write(chunk)
    await response.write_eof()
    return response


def _with[Answer: web.StreamResponse](response: Answer, headers: list[tuple[str, str]]) -> Answer:
    response.headers.popall("Content-Type", None)
    for name, value in headers:
        response.headers.add(name, value)
    return response


def _error(status: int, code: str, message: str) -> web.Response:
    text = (
        f'<?xml version="1.0" encoding="utf-8"?><Error><Code>{code}</Code><Message>{escape(message)}</Message></Error>'
    )
    response = web.Response(status=status, text=text, content_type="application/xml")
    response.headers["x-ms-error-code"] = code
    return response
