"""Slack's Web API: chat.postMessage, chat.getPermalink, conversations.history, auth.test.

https://docs.slack.dev/apis/web-api/

Everything is answered with 200; `ok` tells. The channel is at `/_vendors/slack` on host localhost, as JSON.
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .api import Api


def build(kernel: Kernel) -> Vendor:
    """One workspace, one bot, three channels."""
    api = Api(kernel.store("slack"))
    calls = {
        "auth.test": api.test,
        "chat.postMessage": api.post_message,
        "chat.getPermalink": api.get_permalink,
        "conversations.history": api.history,
    }
    both = [(method, name) for name in calls for method in ("GET", "POST")]
    routes = [web.route(method, f"/api/{name}", api.guarded(calls[name])) for method, name in both]
    return Vendor("slack", ("slack.com",), routes, pages=[web.get("/_vendors/slack", api.channels)])
