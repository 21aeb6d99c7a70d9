"""host.json and local.settings.json as the Functions host reads them."""

import json
import logging
import os
import re
from collections.abc import Mapping, MutableMapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from local.host.errors import HostError

_log = logging.getLogger("local.host.settings")
_OVERRIDE = "AzureFunctionsJobHost__"
_DEFAULT_TIMEOUT = "00:30:00"
_TOKENS = re.compile(r'"(?:\\.|[^"\\])*"|//[^\n]*|/\*.*?\*/', re.DOTALL)
_SPAN = re.compile(r"(?:(\d+)\.)?(\d{1,2}):(\d{2}):(\d{2}(?:\.\d+)?)")

_KNOWN = {
    "": "version functionTimeout extensions extensionBundle logging aggregator concurrency customHandler functions "
    "healthMonitor managedDependency retry singleton watchDirectories watchFiles telemetryMode $schema",
    "extensions": "http durableTask queues eventHubs serviceBus blobs cosmosDB sendGrid signalR kafka eventGrid",
    "extensions.http": "routePrefix maxConcurrentRequests maxOutstandingRequests dynamicThrottlesEnabled hsts "
    "customHeaders",
    "extensions.durableTask": "hubName defaultVersion maxConcurrentActivityFunctions storageProvider tracing "
    "maxConcurrentOrchestratorFunctions maxConcurrentEntityFunctions notifications httpSettings grpcEnabled "
    "storeInputsInOrchestrationHistory extendedSessionsEnabled extendedSessionIdleTimeoutInSeconds "
    "useGracefulShutdown maxEntityOperationBatchSize",
    "extensions.serviceBus": "maxAutoLockRenewalDuration maxConcurrentCalls maxConcurrentSessions sessionIdleTimeout "
    "prefetchCount autoCompleteMessages clientRetryOptions",
}
_REFUSED = ("versionMatchStrategy", "versionFailureStrategy", "overridableExistingInstanceStates")


@dataclass(frozen=True)
class DurableSettings:
    hub: str = "TestHubName"
    default_version: str = ""
    activities: int = 10 * (os.cpu_count() or 1)
    orchestrators: int = 10 * (os.cpu_count() or 1)
    store_inputs: bool = False


@dataclass(frozen=True)
class ServiceBusSettings:
    """Names and defaults of extension 5.x; times in seconds."""

    calls: int = 16 * (os.cpu_count() or 1)
    sessions: int = 8
    idle: float = 60.0
    renewal: float = 300.0


@dataclass(frozen=True)
class HostSettings:
    """The part of host.json this host honours."""

    timeout: float | None = 1800.0
    route_prefix: str = "api"
    durable: DurableSettings = field(default_factory=DurableSettings)
    service_bus: ServiceBusSettings = field(default_factory=ServiceBusSettings)


def seconds(span: str) -> float:
    """Read a .NET TimeSpan such as `00:10:00` or `1.00:00:00`; raises ValueError."""
    match = _SPAN.fullmatch(span.strip())
    if match is None:
        raise ValueError(f"'{span}' is not a time span such as 00:10:00")
    days, hours, minutes, secs = match.groups()
    return int(days or 0) * 86400 + int(hours) * 3600 + int(minutes) * 60 + float(secs)


def _read_json(path: Path) -> dict[str, Any]:
    """JSON with comments, as Newtonsoft reads it."""
    text = _TOKENS.sub(lambda m: m[0] if m[0].startswith('"') else " ", path.read_text(encoding="utf-8-sig"))
    try:
        document = json.loads(text)
    except ValueError as error:
        raise HostError(f"{path} is not valid JSON: {error}.") from None
    if not isinstance(document, dict):
        raise HostError(f"{path} must hold a JSON object.")
    return document


def load_app_settings(root: Path, environment: MutableMapping[str, str]) -> None:
    """Put `Values` of local.settings.json into the environment; what is already set wins, as in Core Tools."""
    path = root / "local.settings.json"
    if path.exists():
        for name, value in _read_json(path).get("Values", {}).items():
            environment.setdefault(name, str(value))


def load_host_settings(root: Path, environment: Mapping[str, str]) -> HostSettings:
    """Read host.json with its overrides from app settings; raises HostError as the real host refuses to start."""
    path = root / "host.json"
    if not path.exists():
        raise HostError(f"{root} is no function app: host.json is missing.")
    document = _read_json(path)
    if document.get("version") != "2.0":
        raise HostError(f'{path} must say "version": "2.0".')
    _override(document, environment)
    _check_names(document)
    try:
        return _typed(document, environment)
    except (TypeError, ValueError) as error:
        raise HostError(f"{path}: {error}.") from None


def _override(document: dict[str, Any], environment: Mapping[str, str]) -> None:
    for name, text in environment.items():
        if name.startswith(_OVERRIDE):
            *parents, leaf = name.removeprefix(_OVERRIDE).split("__")
            target = document
            for parent in parents:
                target = target.setdefault(parent, {})
            try:
                target[leaf] = json.loads(text)
            except ValueError:
                target[leaf] = text


def _check_names(document: dict[str, Any]) -> None:
    for section, names in _KNOWN.items():
        part: Any = document
        for step in filter(None, section.split(".")):
            part = part.get(step, {})
        for name in part:
            if section == "extensions.durableTask" and name in _REFUSED:
                raise HostError(f"host.json: durableTask.{name} is not implemented by this local host.")
            if name not in names.split():
                _log.warning("host.json: unknown setting '%s' is ignored.", ".".join(filter(None, (section, name))))


def _typed(document: dict[str, Any], environment: Mapping[str, str]) -> HostSettings:
    span = str(document.get("functionTimeout") or _DEFAULT_TIMEOUT)
    extensions = document.get("extensions", {})
    durable = extensions.get("durableTask", {})
    default = DurableSettings()
    return HostSettings(
        timeout=None if span == "-1" else seconds(span),
        route_prefix=str(extensions.get("http", {}).get("routePrefix", "api")).strip("/"),
        durable=DurableSettings(
            hub=str(durable.get("hubName") or environment.get("WEBSITE_SITE_NAME") or default.hub),
            default_version=str(durable.get("defaultVersion") or ""),
            activities=int(durable.get("maxConcurrentActivityFunctions") or default.activities),
            orchestrators=int(durable.get("maxConcurrentOrchestratorFunctions") or default.orchestrators),
            store_inputs=bool(durable.get("storeInputsInOrchestrationHistory", False)),
        ),
        service_bus=_service_bus(extensions.get("serviceBus", {})),
    )


def _service_bus(given: Mapping[str, Any]) -> ServiceBusSettings:
    default = ServiceBusSettings()
    return ServiceBusSettings(
        calls=int(given.get("maxConcurrentCalls", default.calls)),
        sessions=int(given.get("maxConcurrentSessions", default.sessions)),
        idle=seconds(str(given.get("sessionIdleTimeout", "00:01:00"))),
        renewal=seconds(str(given.get("maxAutoLockRenewalDuration", "00:05:00"))),
    )


def expand(text: str, environment: Mapping[str, str]) -> str:
    """Replace %SETTING% by the app setting; raises HostError naming a missing one."""

    def setting(match: re.Match[str]) -> str:
        if match[1] not in environment:
            raise HostError(f"The app setting '{match[1]}' used in '{text}' is missing (local.settings.json).")
        return environment[match[1]]

    return re.sub(r"%([^%]+)%", setting, text)


def disabled(function: str, environment: Mapping[str, str]) -> bool:
    """Whether AzureWebJobs.<function>.Disabled switches the function off."""
    names = (f"AzureWebJobs.{function}.Disabled", f"AzureWebJobs_{function}_Disabled")
    return any(environment.get(name, "").lower() in ("true", "1") for name in names)
