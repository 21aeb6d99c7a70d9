"""Which Day-2 operation an event asks for (``rules/events.yaml``), and whose event it is."""

import hashlib
import re
from functools import lru_cache
from pathlib import Path
from typing import Any

import yaml
from pydantic import ConfigDict, Field, ValidationError

from shared.errors import ConfigurationError
from shared.models import Model
from shared.models.day2_alerts import RespondToAlert
from shared.models.events import AlertData, ReceivedEvent
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "events.yaml"
_GROUP = re.compile(r"/resourceGroups/rg-(?P<application>[a-z0-9-]+)-(?P<stage>dev|qa|prod)(?:/|$)", re.IGNORECASE)


class EventRule(Model):
    """What one kind of event asks for; texts have fields of the event in braces.

    Attributes:
        together: whether such an operation that has not begun yet stands for this event too, whatever its key.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    kinds: list[str] = Field(min_length=1)
    operation: str
    resource: str
    parameters: dict[str, str]
    key: str
    together: bool = False
    when: dict[str, str] = {}


class Wish(Model):
    """What an event asks for."""

    operation: str
    resource: str
    parameters: dict[str, Any]
    business_key: str
    together: bool = False


class UnreadableEventError(Exception):
    """The event does not have what its kind must have; the message says what."""


def wish_of(event: ReceivedEvent, file: Path = FILE) -> Wish | None:
    """What the event asks for; None when nothing has to be done.

    Raises:
        UnreadableEventError: the event lacks what it must have.
        ConfigurationError: the file is malformed.
    """
    if event.source == "azure-monitor":
        return _answer(event)
    rule = next((rule for rule in _read(file, stamp(file)) if event.kind in rule.kinds), None)
    if rule is None or any(str(event.data.get(name)) != value for name, value in rule.when.items()):
        return None
    fields = {**_scalars(event.data), "topic": event.topic, "subject": event.subject}
    try:
        wish = Wish(
            operation=rule.operation,
            resource=rule.resource.format_map(fields),
            parameters={name: text.format_map(fields) for name, text in rule.parameters.items()},
            business_key=rule.key.format_map(fields),
            together=rule.together,
        )
    except KeyError as error:
        raise UnreadableEventError(f"{event.kind} has no {error.args[0]}") from error
    vault = fields.get("VaultName")
    if vault and event.topic.rpartition("/")[2].lower() != vault.lower():
        raise UnreadableEventError(f"the event of the vault {vault} has another topic")
    return wish


def owner_of(resource: str) -> tuple[str, str] | None:
    """Application and stage of a resource by its resource group; None when it cannot be one of ours."""
    found = _GROUP.search(resource)
    return (found["application"].lower(), found["stage"].lower()) if found else None


def _answer(event: ReceivedEvent) -> Wish | None:
    try:
        alert = AlertData.model_validate(event.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise UnreadableEventError(
            f"it is not in the common alert schema: {'.'.join(map(str, first['loc']))}: {first['msg']}"
        ) from error
    essentials, context = alert.essentials, alert.alert_context
    targets = [target for target in essentials.alert_target_ids if owner_of(target)]
    if not targets:
        return None
    resolved = essentials.monitor_condition.lower() == "resolved"
    dimensions = sorted(f"{item.name}={item.value}" for row in context.condition.all_of for item in row.dimensions)
    mark = "\x00".join((essentials.alert_rule.lower(), targets[0].lower(), *dimensions))
    # The alert's id of an activity log alert is the id of its rule.
    once = (essentials.alert_id, context.event_data_id or context.correlation_id, "Resolved" if resolved else "Fired")
    parameters = RespondToAlert(
        alert_id=essentials.alert_id[:1000],
        rule=essentials.alert_rule[:300],
        condition="Resolved" if resolved else "Fired",
        severity=essentials.severity[:20],
        target=targets[0][:1000],
        fingerprint=hashlib.sha256(mark.encode()).hexdigest()[:32],
        fired_at=essentials.fired_date_time[:40],
        description=essentials.description[:1000],
        conditions=[found for row in context.condition.all_of if (found := row.condition())],
    )
    return Wish(
        operation="respond-to-alert",
        resource=targets[0],
        parameters=dict(parameters.document()),
        business_key="/".join(filter(None, once))[:2000],
    )


def _scalars(data: dict[str, Any]) -> dict[str, str]:
    return {name: str(value) for name, value in data.items() if isinstance(value, str | int | float)}


@lru_cache(maxsize=4)
def _read(path: Path, _stamp: Stamp) -> tuple[EventRule, ...]:
    try:
        rows = yaml.safe_load(path.read_text(encoding="utf-8"))["events"]
        return tuple(EventRule.model_validate(row) for row in rows)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except (yaml.YAMLError, UnicodeDecodeError, OSError, TypeError, KeyError) as error:
        raise ConfigurationError(path.name, f"not a list of events: {error}") from error
