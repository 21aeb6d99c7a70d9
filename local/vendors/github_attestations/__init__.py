"""GitHub's artifact attestations: who signed what about a digest, and the authority that says who they are.

https://docs.github.com/rest/repos/attestations
"""

import re

from aiohttp import web

from local.vendors.github_evidence.evidence import Evidence
from local.vendors.kernel import Kernel, Vendor
from local.vendors.kernel.vendor import host_of

from .attestations import Attestations

PLACE = "/repos/{owner}/{repo}/attestations"
OURS = re.compile(r"/repos/[^/]+/[^/]+/attestations(/|$)")


def build(kernel: Kernel) -> Vendor:
    """Two paths of GitHub's host; tokens and repositories are those of the GitHub stand-in."""
    evidence, attestations = Evidence(kernel, "github_attestations"), Attestations(kernel)
    return Vendor(
        "github_attestations",
        (),
        [
            web.get(f"{PLACE}/{{digest}}", evidence.handler(attestations.listing)),
            web.post(PLACE, evidence.handler(attestations.create)),
        ],
        public=attestations,
        start=attestations.start,
        takes=lambda request: host_of(request) == "api.github.com" and OURS.match(request.path) is not None,
    )
