"""The queues of a namespace, read from the configuration of Microsoft's emulator (Config.json)."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

_DURATION = re.compile(r"P(?:(\d+)D)?(?:T(?:(\d+)H)?(?:(\d+)M)?(?:(\d+(?:\.\d+)?)S)?)?")
_HONOURED = {
    *("LockDuration", "MaxDeliveryCount", "RequiresSession", "RequiresDuplicateDetection"),
    *("DuplicateDetectionHistoryTimeWindow", "DefaultMessageTimeToLive", "DeadLetteringOnMessageExpiration"),
}


class ConfigurationError(ValueError):
    """The configuration asks for something that this broker does not have."""


@dataclass(frozen=True)
class QueueOptions:
    """A queue's properties; times in milliseconds.

    Attributes:
        deliveries: after so many failed ones a message is dead; None in a dead-letter queue.
        window: how long message ids are remembered; 0 without duplicate detection.
        time_to_live: of a message that does not say; None for ever.
        keep_expired: whether an expired message goes to the dead letters.
    """

    name: str
    lock: int = 60_000
    deliveries: int | None = 10
    sessions: bool = False
    window: int = 0
    time_to_live: int | None = None
    keep_expired: bool = False


def milliseconds(text: str) -> int:
    """Read an ISO 8601 duration such as PT1M; raises ConfigurationError."""
    match = _DURATION.fullmatch(text)
    if match is None:
        raise ConfigurationError(f"'{text}' is not an ISO 8601 duration such as PT1M.")
    days, hours, minutes, seconds = (float(group or 0) for group in match.groups())
    return int(1000 * (days * 86_400 + hours * 3_600 + minutes * 60 + seconds))


def queues(path: Path) -> list[QueueOptions]:
    """The queues of the file; raises ConfigurationError for what would silently be missing."""
    document = json.loads(path.read_text(encoding="utf-8"))
    found: list[QueueOptions] = []
    for namespace in document["UserConfig"]["Namespaces"]:
        if namespace.get("Topics"):
            raise ConfigurationError(f"{path}: this broker has no topics; use Microsoft's emulator.")
        found += [_options(queue["Name"], queue.get("Properties", {})) for queue in namespace["Queues"]]
    return found


def _options(name: str, given: dict[str, Any]) -> QueueOptions:
    asked = {key for key in set(given) - _HONOURED if given[key]}
    if asked:
        raise ConfigurationError(f"Queue {name}: this broker does not have {', '.join(sorted(asked))}.")
    lasting = given.get("DefaultMessageTimeToLive")
    window = given.get("DuplicateDetectionHistoryTimeWindow", "PT10M")
    return QueueOptions(
        name,
        lock=milliseconds(given.get("LockDuration", "PT1M")),
        deliveries=int(given.get("MaxDeliveryCount", 10)),
        sessions=bool(given.get("RequiresSession")),
        window=milliseconds(window) if given.get("RequiresDuplicateDetection") else 0,
        time_to_live=milliseconds(lasting) if lasting else None,
        keep_expired=bool(given.get("DeadLetteringOnMessageExpiration")),
    )
