"""Azure Monitor's metric alerts: rules are evaluated over the metrics that Resource Manager serves.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-types#metric-alerts
"""

from aiohttp import web

from local.vendors.kernel import Kernel, Vendor

from .notices import Notices
from .rules import Rules


def build(kernel: Kernel) -> Vendor:
    """No host of its own: rules and action groups are Resource Manager's; what became of alerts is a page."""
    notices = Notices(kernel)
    rules = Rules(kernel, notices)

    async def start() -> None:
        kernel.spawn(rules.run(), "metric alerts")
        kernel.spawn(notices.run(), "action groups")

    pages = [web.get("/_vendors/monitor_alerts", notices.account)]
    return Vendor(name="monitor_alerts", hosts=(), routes=[], public=rules, start=start, pages=pages)
