"""ServiceNow: OAuth, Table API, Change Management API and CMDB Instance API of one instance.

https://www.servicenow.com/docs/r/api-reference/rest-apis/api-rest.html
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .api import Api

ROWS = r"/api/now{version:(/v\d+)?}/{api:table|cmdb/instance}/{table}"
CHANGES = r"/api/sn_chg_rest{version:(/v\d+)?}/change"
ONE = CHANGES + r"{type:(/normal|/standard)?}/{sys_id:[0-9a-f]+}"


def build(kernel: Kernel) -> Vendor:
    """The instance contoso; paths with and without a version are the same."""
    api = Api(kernel.store("servicenow"))
    calls = [
        ("GET", ROWS, api.list),
        ("POST", ROWS, api.write),
        ("GET", ROWS + "/{sys_id}", api.read),
        ("PATCH", ROWS + "/{sys_id}", api.write),
        ("DELETE", ROWS.replace("|cmdb/instance", "") + "/{sys_id}", api.delete),
        ("POST", CHANGES + "/normal", api.write),
        ("POST", CHANGES + "/standard/{template}", api.write),
        ("GET", ONE, api.read),
        ("PATCH", ONE, api.write),
        ("GET", CHANGES + "/{sys_id}/nextstates", api.next_states),
        ("POST", CHANGES + "/{sys_id}/conflict", api.start_check),
        ("GET", CHANGES + "/{sys_id}/conflict", api.read_check),
        ("PATCH", CHANGES + "/{sys_id}/approvals", api.approve),
    ]
    routes = [web.route(method, path, api.guarded(handler)) for method, path, handler in calls]
    routes.append(web.post("/oauth_token.do", api.token))
    return Vendor("servicenow", ("contoso.service-now.com",), routes, start=api.seed)
