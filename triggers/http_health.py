"""Whether the App Store is alive, configured, and on good terms with its vendors."""

from typing import Any

from shared.authorisation import ANYONE
from shared.clients._http import health
from shared.configuration import settings_classes
from shared.errors import ConfigurationError
from shared.models import Model
from shared.rule_set import rules_revision
from shared.settings import load
from shared.telemetry.pipeline import pipeline
from shared.telemetry.settings import telemetry_settings
from triggers._http import Answer, Call, endpoint


class HealthView(Model):
    """State of the App Store."""

    status: str
    rules: str
    configuration: list[str]
    integrations: dict[str, Any]
    telemetry: dict[str, Any]


@endpoint("GET", "health/live", summary="The process answers.", answers={200: "Alive."}, action=ANYONE)
async def get_live(call: Call) -> Answer:
    """Answer without looking at anything."""
    return Answer(200, {"status": "alive", "path": call.path})


@endpoint(
    "GET",
    "health",
    summary="Configuration and vendors.",
    answers={200: HealthView, 503: "A setting is missing; it is named."},
    action=ANYONE,
)
async def get_health(_call: Call) -> Answer:
    """Check every setting and report how each vendor has been doing since this worker started."""
    problems = []
    for settings in settings_classes():
        try:
            load(settings)
        except ConfigurationError as error:
            problems.append(str(error))
    vendors = {
        name: {"lastSuccess": state.last_success, "lastFailure": state.last_failure, "latencyMs": state.latency_ms}
        for name, state in health().items()
    }
    document = HealthView(
        status="misconfigured" if problems else "healthy",
        rules=rules_revision()[:12],
        configuration=problems,
        integrations=vendors,
        telemetry=_telemetry(),
    )
    return Answer(503 if problems else 200, document.document())


def _telemetry() -> dict[str, Any]:
    """Where telemetry goes, and how much of it was lost since this worker started."""
    way = pipeline()
    lost = way.losses.counts() if way else {}
    return {
        "exporter": telemetry_settings()[0].appstore_telemetry_exporter,
        "lost": {f"{signal}: {reason}": number for (signal, reason), number in lost.items()},
    }
