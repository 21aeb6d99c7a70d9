"""Stand-in for Azure Static Web Apps: what a pipeline publishes answers under the site's names.

https://learn.microsoft.com/azure/static-web-apps/configuration
"""

import re

from aiohttp import web

from local.vendors.kernel import MUTATING, Kernel, Vendor

from .sites import Sites

SECRETS = re.compile(
    r"(/subscriptions/[^/]+/resourcegroups/[^/]+/providers/microsoft\.web/staticsites/[^/]+)/listsecrets", re.IGNORECASE
)


def build(kernel: Kernel) -> Vendor:
    sites = Sites(kernel)

    async def list_secrets(request: web.Request) -> web.Response:
        """The deployment token, for whoever may change the site.

        https://learn.microsoft.com/rest/api/appservice/static-sites/list-static-site-secrets
        """
        found, token = SECRETS.fullmatch(request.path), request.headers.get("Authorization", "").partition(" ")[2]
        request[MUTATING] = False
        try:
            principal = kernel.vendor("entra").verify(token)["oid"]
        except ValueError as error:
            return _error(401, "InvalidAuthenticationToken", str(error))
        site = kernel.vendor("arm").resource(found[1]) if found else None
        if site is None:
            return _error(404, "ResourceNotFound", f"The Resource '{request.path}' was not found.")
        if not kernel.vendor("arm").assignments(principal, "Website Contributor", site["id"]):
            action = "Microsoft.Web/staticSites/listSecrets/action"
            return _error(403, "AuthorizationFailed", f"The client '{principal}' may not perform '{action}'.")
        return web.json_response({"properties": {"apiKey": sites.token(site["id"])}})

    async def page(request: web.Request) -> web.StreamResponse:
        return await sites.answer(request, request.host.partition(":")[0].lower())

    def takes(request: web.Request) -> bool:
        asked = request.method == "POST" and request.host == "management.azure.com"
        return asked and SECRETS.fullmatch(request.path) is not None

    return Vendor(
        name="static_sites",
        hosts=("*.azurestaticapps.net",),
        routes=[web.post("/subscriptions/{path:.*}", list_secrets), web.route("*", "/{path:.*}", page)],
        takes=takes,
        public=sites,
        secret_fields=frozenset({"apikey"}),
    )


def _error(status: int, code: str, message: str) -> web.Response:
    return web.json_response({"error": {"code": code, "message": message}}, status=status)
