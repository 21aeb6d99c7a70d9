"""What GitHub keeps of a release: deployments, code scanning alerts.

https://docs.github.com/rest
"""

import re

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.vendor import host_of

from . import deployments
from .evidence import Evidence
from .scanning import Scanning

REPO = "/repos/{owner}/{repo}"
OURS = re.compile(r"/repos/[^/]+/[^/]+/(deployments|code-scanning)(/|$)")


def build(kernel: Kernel) -> Vendor:
    """Some paths of GitHub's host; tokens and repositories are those of the GitHub stand-in."""
    evidence, scanning = Evidence(kernel, "github_evidence"), Scanning(kernel.store("github_evidence"))
    deployment = f"{REPO}/deployments/{{deployment:[0-9]+}}"
    table = {
        ("GET", f"{REPO}/deployments"): deployments.listing,
        ("POST", f"{REPO}/deployments"): deployments.create,
        ("GET", deployment): deployments.get,
        ("GET", f"{deployment}/statuses"): deployments.statuses,
        ("POST", f"{deployment}/statuses"): deployments.set_status,
        ("GET", f"{REPO}/code-scanning/alerts"): scanning.alerts,
    }
    routes = [web.route(method, path, evidence.handler(work)) for (method, path), work in table.items()]
    return Vendor(
        "github_evidence",
        (),
        routes,
        public=scanning,
        takes=lambda request: host_of(request) == "api.github.com" and OURS.match(request.path) is not None,
    )
