"""Azure Boards: what dev.azure.com answers about the teams, areas, boards and work items of one project.

https://learn.microsoft.com/rest/api/azure/devops/
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .api import guarded
from .work_items import WorkItems

TEAM = "/{organization}/_apis/projects/{project}/teams"
WIT = "/{organization}/{project}/_apis/wit"
NODES = f"{WIT}/classificationnodes/{{group}}"
WORK = "/{organization}/{project}/{team}/_apis"
BOARD = f"{WORK}/work/boards/{{board}}"


def build(kernel: Kernel) -> Vendor:
    """One organization with one project of the process Agile."""
    items = WorkItems(kernel)
    calls = [
        ("POST", TEAM, items.create_team),
        ("GET", f"{TEAM}/{{team}}", items.read_team),
        ("PATCH", f"{TEAM}/{{team}}", items.update_team),
        ("DELETE", f"{TEAM}/{{team}}", items.delete_team),
        ("GET", NODES, items.read_node),
        ("POST", NODES, items.create_area),
        ("GET", f"{NODES}/{{name}}", items.read_node),
        ("DELETE", f"{NODES}/{{name}}", items.delete_area),
        ("PATCH", f"{WORK}/work/teamsettings/teamfieldvalues", items.set_field_values),
        ("PATCH", f"{WORK}/work/teamsettings", items.set_settings),
        ("GET", BOARD, items.read_board),
        ("PUT", f"{BOARD}/columns", items.set_columns),
        ("POST", f"{WORK}/wit/wiql", items.query),
        ("GET", f"{WIT}/workitems", items.read),
        ("POST", f"{WIT}/workitems/${{type}}", items.create),
        ("PATCH", f"{WIT}/workitems/{{id}}", items.update),
        ("DELETE", f"{WIT}/workitems/{{id}}", items.delete),
    ]
    routes = [web.route(method, path, guarded(kernel, handler)) for method, path, handler in calls]
    return Vendor("azure_boards", ("dev.azure.com",), routes)
