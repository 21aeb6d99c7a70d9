"""Events and alerts as they come in, and the row that is kept of each."""

from enum import StrEnum
from typing import Any

from pydantic import ConfigDict, Field, field_validator

from shared.models import Model
from shared.models.day2_alerts import Condition


class EventState(StrEnum):
    """What became of an event."""

    CLAIMED = "claimed"
    HANDED_OVER = "handed_over"
    IGNORED = "ignored"
    DEAD = "dead"
    DISCARDED = "discarded"


class ReceivedEvent(Model):
    """An event without what must not be kept of it.

    Attributes:
        source: who sends it: ``event-grid`` or ``azure-monitor``.
        id: the sender's own id of the event; together with ``topic``, ``kind`` and ``time`` it is unique.
        principal: object id of whoever caused it; empty when the event does not say.
    """

    source: str
    id: str
    topic: str = ""
    subject: str = ""
    kind: str = ""
    time: str = ""
    principal: str = ""
    data: dict[str, Any] = {}


class EventRecord(Model):
    """The row of an event.

    Attributes:
        id: derived from the event: the same event twice is one row.
        operation: the operation that it was handed over to.
        reason: why it is ignored or dead.
        tries: how often it was tried to hand it over, and ``replays`` how often a person had it tried again.
    """

    schema_version: int = 1
    id: str
    event: ReceivedEvent
    state: EventState = EventState.CLAIMED
    application: str = ""
    operation: str = ""
    reason: str = ""
    tries: int = 0
    replays: int = 0
    received_at: str
    updated_at: str


class _Tolerant(Model):
    """What Azure leaves out it may also send as null."""

    @field_validator("*", mode="before")
    @classmethod
    def _null_is_missing(cls, value: Any, info: Any) -> Any:
        field = cls.model_fields[info.field_name]
        return field.get_default(call_default_factory=True) if value is None and not field.is_required() else value


class _Text(_Tolerant):
    model_config = ConfigDict(**{**Model.model_config, "coerce_numbers_to_str": True})


class Essentials(_Text):
    """The part of the common alert schema that every kind of alert has.

    Documentation: https://learn.microsoft.com/azure/azure-monitor/alerts/alerts-common-schema
    """

    alert_id: str = Field(min_length=1)
    alert_rule: str = ""
    severity: str = ""
    signal_type: str = ""
    monitor_condition: str = "Fired"
    monitoring_service: str = ""
    alert_target_ids: list[str] = Field(default=[], alias="alertTargetIDs")
    origin_alert_id: str = ""
    fired_date_time: str = ""
    resolved_date_time: str = ""
    description: str = ""


class Dimension(_Text):
    """One dimension of a metric or of a query."""

    name: str = ""
    value: str = ""


class _Compared(_Text):
    metric_name: str = ""
    metric_namespace: str = ""
    operator: str = ""
    threshold: str = ""
    time_aggregation: str = "Average"
    dimensions: list[Dimension] = []

    def condition(self) -> Condition | None:
        """What is compared; None for what is no metric."""
        fields = self.model_dump(include=set(Condition.model_fields))
        return Condition(**fields) if self.metric_name and self.operator else None


class _Conditions(_Tolerant):
    all_of: list[_Compared] = []


class AlertContext(_Text):
    """What is known of the context; each kind of alert has another one, and what it means by its fields differs."""

    condition: _Conditions = _Conditions()
    correlation_id: str = ""
    event_data_id: str = ""

    @field_validator("condition", mode="before")
    @classmethod
    def _other_kinds(cls, value: Any) -> Any:
        """Only metrics and queries have conditions of this form; what has another one is not compared."""
        rows = value.get("allOf") if isinstance(value, dict) else None
        return {"allOf": [row for row in rows if isinstance(row, dict)]} if isinstance(rows, list) else {}


class AlertData(_Tolerant):
    """Essentials and context of an alert."""

    essentials: Essentials
    alert_context: AlertContext = AlertContext()

    @field_validator("alert_context", mode="before")
    @classmethod
    def _anything(cls, value: Any) -> Any:
        """What is no object tells nothing that is needed."""
        return value if isinstance(value, dict) else {}
