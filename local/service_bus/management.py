"""What clients ask a queue's ``$management`` node."""

import uuid
from typing import Any

from local.service_bus.amqp import Array, Timestamp
from local.service_bus.queues import Broker, BrokerError


def answer(broker: Broker, queue: str, operation: str, body: dict[str, Any]) -> tuple[int, dict[str, Any]]:
    """Do what is asked; returns status and body, raises BrokerError."""
    broker.options(queue)
    match operation.removeprefix("com.microsoft:"):
        case "renew-lock":
            until = [broker.renew(queue, token) for token in body["lock-tokens"]]
            return 200, {"expirations": Array(Timestamp, until)}
        case "renew-session-lock":
            return 200, {"expiration": Timestamp(broker.renew_session(queue, body["session-id"]))}
        case "peek-message":
            first, count = body["from-sequence-number"], body["message-count"]
            found = broker.peek(queue, first, count, body.get("session-id"))
            return (200 if found else 204), {"messages": [{"message": message.encode()} for message in found]}
        case "update-disposition":
            for token in body["lock-tokens"]:
                _settle(broker, queue, token, body)
            return 200, {}
    raise BrokerError("amqp:not-implemented", f"This broker does not have {operation}.", 501)


def _settle(broker: Broker, queue: str, token: uuid.UUID, body: dict[str, Any]) -> None:
    match body["disposition-status"]:
        case "completed":
            broker.complete(queue, token)
        case "abandoned":
            broker.abandon(queue, token)
        case "suspended":
            broker.dead_letter(queue, token, body.get("deadletter-reason"), body.get("deadletter-description"))
        case other:
            raise BrokerError("amqp:not-implemented", f"This broker does not have the disposition {other}.", 501)
