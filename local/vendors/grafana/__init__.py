"""Azure Managed Grafana: folders, dashboards and search of Grafana's HTTP API (the routes below /api).

https://learn.microsoft.com/azure/managed-grafana/how-to-authenticate-data-plane-api
https://grafana.com/docs/grafana/latest/developer-resources/api-reference/http-api/
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .api import Api

FOLDER, DASHBOARD = "/api/{kind:folders}/{uid}", "/api/{kind:dashboards}/uid/{uid}"


def build(kernel: Kernel) -> Vendor:
    """One workspace, whatever its name."""
    api = Api(kernel)
    calls = [
        ("GET", "/api/health", api.health),
        ("GET", "/api/folders", api.list_folders),
        ("POST", "/api/folders", api.create_folder),
        ("GET", FOLDER, api.read_folder),
        ("PUT", FOLDER, api.update_folder),
        ("DELETE", FOLDER, api.delete),
        ("POST", "/api/dashboards/db", api.save_dashboard),
        ("GET", DASHBOARD, api.read_dashboard),
        ("DELETE", DASHBOARD, api.delete),
        ("GET", "/api/search", api.search),
    ]
    routes = [web.route(method, path, api.guarded(handler)) for method, path, handler in calls]
    return Vendor("grafana", ("*.grafana.azure.com",), routes)
