"""Microsoft Teams behind a Workflows webhook: "When a Teams webhook request is received".

https://learn.microsoft.com/connectors/teams/?tabs=text1#microsoft-teams-webhook
https://learn.microsoft.com/microsoftteams/platform/webhooks-and-connectors/how-to/add-incoming-webhook

The answer comes before the work: 202 says that a run was started. A body that the flow cannot work with is a failed
run, which the flow's owner sees in the run history and the caller never: `/_vendors/teams/runs` on localhost. The
channel is at `/_vendors/teams`, as JSON or, for a browser, as a page.
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .flow import HOSTS, Flow

TRIGGER = "/workflows/{id}/triggers/manual/paths/invoke"


def build(kernel: Kernel) -> Vendor:
    """One flow and one channel, behind the old and the new host names of Power Automate."""
    flow = Flow(kernel)
    routes = [web.post(f"/powerautomate/automations/direct{TRIGGER}", flow.invoke), web.post(TRIGGER, flow.invoke)]
    pages = [web.get("/_vendors/teams", flow.channel), web.get("/_vendors/teams/runs", flow.runs)]
    return Vendor("teams", HOSTS, routes, start=flow.resume, pages=pages)
