"""GitHub Projects: what api.github.com/graphql answers about the projects of one organisation.

https://docs.github.com/graphql
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .endpoint import Endpoint


def build(kernel: Kernel) -> Vendor:
    """One path of GitHub's host; the tokens are those of the GitHub stand-in."""
    route = web.post("/graphql", Endpoint(kernel).answer)
    return Vendor("github_projects", ("api.github.com/graphql",), [route])
