"""Versions of blobs, which Azurite has not: listed, and copied by the service itself from one account to another.

A document `versions/<account>/<container>/<blob>` of this stand-in has a blob's versions, the oldest first: when it was
made, its content in base64, and when it was removed. `settings/page` is the size of a page.

https://learn.microsoft.com/rest/api/storageservices/list-blobs,
https://learn.microsoft.com/rest/api/storageservices/put-blob-from-url
"""

import base64
import hashlib
from collections.abc import Callable
from datetime import datetime
from email.utils import format_datetime
from html import escape
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from aiohttp import web

from local.vendors.kernel import Kernel

type Refusal = Callable[[int, str, str], web.Response]


class Versions:
    def __init__(self, kernel: Kernel, refusal: Refusal) -> None:
        self._kernel = kernel
        self._store = kernel.store("storage")
        self._refuse = refusal

    def listed(self, request: web.Request) -> web.Response | None:
        """The versions in a container; None when none are asked for, or the account has none."""
        account, container = request.host.partition(".")[0], request.path.strip("/")
        wanted = request.query.get("include", "").split(",")
        place = f"versions/{account}/{container}/"
        if request.query.get("comp") != "list" or "versions" not in wanted:
            return None
        rows = [(key.removeprefix(place), one) for key, kept in self._store.list(place) for one in kept]
        if not rows:
            return None
        shown = [row for row in rows if "deleted" in wanted or not row[1].get("removed")]
        start, size = int(request.query.get("marker") or 0), (self._store.get("settings/page") or {}).get("size", 5000)
        following = str(start + size) if start + size < len(shown) else ""
        blobs = "".join(_shown(name, version) for name, version in shown[start : start + size])
        text = f'<?xml version="1.0" encoding="utf-8"?><EnumerationResults><Blobs>{blobs}</Blobs>'
        text += f"<NextMarker>{following}</NextMarker></EnumerationResults>"
        return web.Response(text=text, content_type="application/xml")

    def source(self, request: web.Request) -> bytes | web.Response | None:
        """The content that a Put Blob From URL takes, or why it cannot; None when it is no such call."""
        url = urlsplit(request.headers.get("x-ms-copy-source", ""))
        if not url.hostname:
            return None
        scheme, _, token = request.headers.get("x-ms-copy-source-authorization", "").partition(" ")
        try:
            self._kernel.vendor("entra").verify(token)
        except ValueError as error:
            return self._refuse(401, "CannotVerifyCopySource", f"The source refuses the token: {error}")
        made = parse_qs(url.query).get("versionid", [""])[0]
        kept = self._store.get(f"versions/{url.hostname.partition('.')[0]}{unquote(url.path)}") or []
        found = next((one for one in kept if one["made"] == made and not one.get("removed")), None)
        if scheme != "Bearer" or found is None:
            return self._refuse(404, "CannotVerifyCopySource", "The specified blob does not exist.")
        content = base64.b64decode(found["content"])
        if request.headers.get("x-ms-source-content-md5", _md5(content)) != _md5(content):
            return self._refuse(400, "Md5Mismatch", "The MD5 value specified in the request did not match.")
        return content


def _md5(content: bytes) -> str:
    return base64.b64encode(hashlib.md5(content, usedforsecurity=False).digest()).decode()


def _shown(name: str, version: dict[str, Any]) -> str:
    content, made = base64.b64decode(version["content"]), datetime.fromisoformat(version["made"])
    removed = version.get("removed")
    at = (
        f"<DeletedTime>{format_datetime(datetime.fromisoformat(removed), usegmt=True)}</DeletedTime>" if removed else ""
    )
    changed = format_datetime(made, usegmt=True)
    properties = f"<Last-Modified>{changed}</Last-Modified><Content-Length>{len(content)}</Content-Length>"
    properties += f"<Content-MD5>{version.get('md5', _md5(content))}</Content-MD5><BlobType>BlockBlob</BlobType>{at}"
    identity = f"<Name>{escape(name)}</Name><VersionId>{version['made']}</VersionId>"
    return f"<Blob>{identity}{'<Deleted>true</Deleted>' if removed else ''}<Properties>{properties}</Properties></Blob>"
