"""The evaluation of rules: fired when the criteria are met, resolved when they are not for three times.

https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-overview#alerts-and-state
"""

import asyncio
import operator
import re
import time
from collections.abc import Callable
from typing import Any

from local.vendors.kernel import Kernel

from .alerts import Measured, Resource, new_alert, notice_of
from .notices import Notices

PAUSE_SECONDS = 3.0  # Azure evaluates every `evaluationFrequency`: one to sixty minutes
CALM = 3
KIND = "Microsoft.Insights/metricAlerts"
SPAN = re.compile(r"P(?:(?P<days>\d+)D)?(?:T(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?)?")
COMPARE: dict[str, Callable[[float, float], bool]] = {
    "greaterthan": operator.gt,
    "greaterthanorequal": operator.ge,
    "lessthan": operator.lt,
    "lessthanorequal": operator.le,
    "equals": operator.eq,
}
AGGREGATE: dict[str, Callable[[list[float]], float]] = {
    "average": lambda values: sum(values) / len(values),
    "minimum": min,
    "maximum": max,
    "total": sum,
    "count": lambda values: float(len(values)),
}


class Rules:
    """Every rule with its state for each target: an alert that goes on is one alert, also after a kill."""

    def __init__(self, kernel: Kernel, notices: Notices) -> None:
        self._kernel = kernel
        self._store = kernel.store("monitor_alerts")
        self._notices = notices

    async def run(self) -> None:
        """Evaluate until the stand-ins end."""
        while True:
            self.evaluate()
            await asyncio.sleep(PAUSE_SECONDS)

    def evaluate(self) -> None:
        """Look at every rule that is on, for each resource that it watches."""
        for rule in self._kernel.vendor("arm").resources(kind=KIND):
            for target in rule["properties"]["scopes"] if rule["properties"].get("enabled", True) else []:
                self._judge(rule, target)

    def _judge(self, rule: Resource, target: str) -> None:
        seconds = seconds_of(rule["properties"]["windowSize"])
        measured = [self._measure(target, one, seconds) for one in rule["properties"]["criteria"]["allOf"]]
        if not measured or any(one is None for one in measured):
            return  # without a value the state stays as it is
        known = [one for one in measured if one is not None]
        self._remember(rule, target, known, met=all(one.met for one in known))

    def _remember(self, rule: Resource, target: str, measured: list[Measured], *, met: bool) -> None:
        key = f"alert/{rule['id'].lower()}|{target.lower()}"
        alert = self._store.get(key)
        if alert is None and not met:
            return
        change = "Fired" if alert is None else ""
        alert = {**(alert or new_alert(rule)), "calm": 0 if alert is None or met else alert["calm"] + 1}
        if alert["calm"] >= CALM and rule["properties"].get("autoMitigate", True):
            change = "Resolved"
        with self._store.transaction():
            if change:
                self._notices.tell(rule, notice_of(rule, target, alert, change, measured))
            if change == "Resolved":
                self._store.delete(key)
            else:
                self._store.put(key, alert)

    def _measure(self, target: str, criterion: dict[str, Any], seconds: int) -> Measured | None:
        """The criterion over the window that ends now; None when there is no value in it."""
        values = self._kernel.vendor("arm").metric(target, criterion["metricName"])
        begin, end = (time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() - back)) for back in (seconds, 0))
        found = [value for minute, value in values.items() if begin <= minute <= end]
        if not found:
            return None
        value = AGGREGATE[criterion["timeAggregation"].lower()](found)
        met = COMPARE[criterion["operator"].lower()](value, float(criterion["threshold"]))
        return Measured(criterion, value, met, begin, end)


def seconds_of(span: str) -> int:
    """Seconds of a duration such as PT15M, PT1H or P1D."""
    found = SPAN.fullmatch(span)
    days, hours, minutes = (int(part or 0) for part in found.groups()) if found else (0, 0, 0)
    return ((days * 24 + hours) * 60 + minutes) * 60
