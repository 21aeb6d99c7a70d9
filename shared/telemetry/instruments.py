"""The instruments: names, units and the only labels they may carry; none holds an id or a name that people choose."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

_SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
_MINUTES = (5.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0, 7200.0, 14400.0, 86400.0)


@dataclass(frozen=True)
class Instrument:
    """One metric.

    Attributes:
        kind: a gauge is the last value of this worker, for a few minutes: another worker may measure next.
        labels: the attributes that a measurement may have.
        buckets: boundaries of a histogram.
    """

    kind: Literal["histogram", "counter", "gauge"]
    unit: str
    description: str
    labels: tuple[str, ...] = ()
    buckets: tuple[float, ...] = ()


INSTRUMENTS: Mapping[str, Instrument] = {
    "appstore.provision.duration": Instrument(
        "histogram",
        "s",
        "Time to provision: from the approval to the last step of an environment.",
        ("appstore.archetype", "appstore.environment", "appstore.outcome"),
        _MINUTES,
    ),
    "appstore.request.duration": Instrument(
        "histogram",
        "s",
        "From the request, or its retry or undo, to the end of the attempt; waiting for people included.",
        ("appstore.archetype", "appstore.run", "appstore.outcome"),
        _MINUTES,
    ),
    "appstore.step.failures": Instrument(
        "counter",
        "{failure}",
        "Failed tries of activities, by the system that failed and the problem's code.",
        ("appstore.system", "appstore.code"),
    ),
    "appstore.queue.age": Instrument(
        "gauge",
        "s",
        "Age of the oldest claim that nobody started, of the running request that changed its state longest ago, and "
        "of the oldest event that the topic did not take.",
        ("appstore.queue",),
    ),
    "appstore.events.settled": Instrument(
        "counter", "{event}", "Events and alerts by what became of them.", ("appstore.outcome",)
    ),
    "appstore.approvals.pending": Instrument("gauge", "{request}", "Requests that wait for an approval."),
    "appstore.secrets.expiring": Instrument(
        "gauge",
        "{secret}",
        "Enabled secrets in the vaults of applications that end within 30 days (near) or have ended (past), and "
        "environments whose vaults could not be read (unknown); measured once a day.",
        ("appstore.environment", "appstore.expiry"),
    ),
    "http.client.request.duration": Instrument(
        "histogram",
        "s",
        "Calls to vendors, each try on its own.",
        ("appstore.system", "appstore.operation", "http.request.method", "http.response.status_code", "error.type"),
        _SECONDS,
    ),
    "appstore.vendor.throttled": Instrument(
        "counter", "{call}", "Calls that a vendor refused because there were too many.", ("appstore.system",)
    ),
    "appstore.telemetry.lost": Instrument(
        "counter",
        "{record}",
        "Spans and logs that were not exported: the queue was full, or the receiver did not take them.",
        ("appstore.signal", "error.type"),
    ),
}
