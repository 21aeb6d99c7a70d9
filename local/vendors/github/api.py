"""What every call of api.github.com has in common: documents, error bodies, pages.

https://docs.github.com/rest/using-the-rest-api
"""

import copy
import json
import re
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from aiohttp import web

API = "https://api.github.com"
ORGANISATION, ORGANISATION_ID = "contoso", 7001
SHAPES = json.loads(Path(__file__).with_name("shapes.json").read_text())
_FIELD = re.compile(r"\{(\w+)\}")
Json = dict[str, Any]


class ApiError(Exception):
    """An answer other than success, with the body that GitHub sends."""

    def __init__(self, status: int, message: str, /, **error: str) -> None:
        super().__init__(message)
        self.status = status
        self.body: Json = {"message": message, "documentation_url": "https://docs.github.com/rest"}
        self.body |= {"status": str(status)} | ({"errors": [error]} if error else {})


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def shape(name: str, values: Json) -> Json:
    """A document of GitHub's with all its documented fields, from its template in shapes.json."""

    def fill(template: Any) -> Any:
        if isinstance(template, dict):
            return {key: fill(value) for key, value in template.items()}
        if not isinstance(template, str):
            return copy.copy(template)
        if (whole := _FIELD.fullmatch(template)) and whole[1] in values:
            return values[whole[1]]
        # URL templates such as {base} are GitHub's own: what has no value stays.
        return _FIELD.sub(lambda match: str(values.get(match[1], match[0])), template)

    filled: Json = fill(SHAPES[name])
    return filled


async def body(request: web.Request) -> Json:
    """The JSON object of a request; anything else is refused as GitHub does."""
    try:
        value = json.loads(await request.read() or b"{}")
    except ValueError:
        raise ApiError(400, "Problems parsing JSON") from None
    if not isinstance(value, dict):
        raise ApiError(400, "Body should be a JSON object")
    return value


def page(request: web.Request, items: list[Any], wrap: str | None = None, path: str | None = None) -> web.Response:
    """One page of a list, with the Link header; `wrap` names the list in an object with its total count."""
    size = min(max(int(request.query.get("per_page", 30)), 1), 100)
    number = max(int(request.query.get("page", 1)), 1)
    last = -(-len(items) // size)
    links = [
        f'<{API}{path or request.path}?{request.url.update_query(page=str(n)).raw_query_string}>; rel="{name}"'
        for name, n in {"prev": number - 1, "next": number + 1, "last": last, "first": 1}.items()
        if 0 < n <= last and n != number
    ]
    part = items[(number - 1) * size : number * size]
    content = {"total_count": len(items), wrap: part} if wrap else part
    return web.json_response(content, headers={"Link": ", ".join(links)} if links else {})
