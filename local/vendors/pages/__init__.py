"""Pages for people: what a link leads to in a browser, or with curl, where the other stand-ins have only APIs.

A table of addresses, each with a reader that makes a sheet from what the other stand-ins hold. There is a page only for
what is there; everything else is a page with 404. Nobody signs in. A call of a program (the product's User-Agent, or an
Accept that wants JSON) never gets a page: it goes on to the stand-in of the host, which says 501.
"""

import re
from collections.abc import Awaitable, Callable

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.vendor import host_of

from . import backstage, boards, github, messages, servicenow
from .sheet import Sheet, missing

type Reader = Callable[..., Awaitable[Sheet | None]]

PROGRAM = "appstore-orchestrator"
HEADERS = {"Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; img-src data:"}
REPO, GRAFANA = r"github\.com/contoso/([\w.-]+)", r"([\w-]+\.[\w-]+)\.grafana\.azure\.com"
# Host and path, without anything that an API of the same host answers -> what reads the sheet from the groups.
PAGES: dict[str, Reader] = {
    REPO: github.repository,
    rf"{REPO}/pull/(\d{{1,8}})": github.pull,
    rf"{REPO}/commit/([0-9a-f]{{7,40}})": github.commit,
    rf"{REPO}/(?:blob|tree)/([\w.-]+)/([^\0]+)": github.file,
    rf"{REPO}/actions/runs/(\d{{1,12}})": github.run,
    r"github\.com/orgs/contoso/projects/(\d+)": boards.project,
    r"dev\.azure\.com/contoso/Applications/_boards/board/t/([^/]+)/Stories": boards.stories,
    rf"{GRAFANA}/dashboards/f/([\w-]+)(?:/[^/]*)?": boards.folder,
    rf"{GRAFANA}/d/([\w-]+)(?:/[^/]*)?": boards.dashboard,
    r"contoso\.service-now\.com/nav_to\.do\?uri=(\w+)\.do\?sys_id=(\w+)": servicenow.record,
    r"backstage\.contoso\.com/catalog/([\w.-]+)/([\w.-]+)/([\w.-]+)": backstage.entity,
    r"backstage\.contoso\.com/create/tasks/([\w-]+)": backstage.task,
    r"contoso\.slack\.com/archives/(\w+)/p(\d+)(\d{6})": messages.message,
}


def build(kernel: Kernel) -> Vendor:
    """One route for all pages."""

    async def show(request: web.Request) -> web.Response:
        reader, groups = _page(request) or (None, ())
        sheet = await reader(kernel, *groups) if reader else None
        shown = sheet or missing(str(request.url))
        return web.Response(text=shown.html(), content_type="text/html", status=shown.status, headers=HEADERS)

    return Vendor("pages", (), [web.get("/{path:.*}", show)], takes=takes)


def takes(request: web.Request) -> bool:
    """Whether a person looks at a page that is known here."""
    accept, agent = (request.headers.get(name, "") for name in ("Accept", "User-Agent"))
    looks = request.method in {"GET", "HEAD"} and ("text/html" in accept or "*/*" in accept)
    return looks and "json" not in accept and PROGRAM not in agent and _page(request) is not None


def _page(request: web.Request) -> tuple[Reader, tuple[str, ...]] | None:
    """The reader of an address, and what it names. ServiceNow has its pages in the query."""
    uri = f"?uri={request.query['uri']}" if "uri" in request.query else ""
    address = f"{host_of(request)}{request.path.rstrip('/')}{uri}"
    found = ((reader, re.fullmatch(pattern, address)) for pattern, reader in PAGES.items())
    return next(((reader, match.groups()) for reader, match in found if match), None)
