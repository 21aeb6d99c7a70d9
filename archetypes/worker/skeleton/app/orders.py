"""The example message. Replace it with the first real one; keep the shape: parse, check, do.

A message can be delivered twice: when an instance dies after the work and before it has said so. What is done here has
to be safe to do again, for example because it writes under the message's own id.
"""

import json
import logging
from dataclasses import dataclass

from app.messages import InvalidMessageError, Message

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Order:
    """What a producer sends: ``{"order": "A-1", "quantity": 2}``."""

    order: str
    quantity: int


def parse(message: Message) -> Order:
    """Read a message. Raises InvalidMessageError."""
    try:
        document = json.loads(message.body)
    except ValueError as error:
        raise InvalidMessageError("the body is not JSON") from error
    if not isinstance(document, dict) or set(document) != {"order", "quantity"}:
        raise InvalidMessageError("exactly the fields order and quantity are expected")
    order, quantity = document["order"], document["quantity"]
    if not isinstance(order, str) or not order:
        raise InvalidMessageError("order: a text")
    if not isinstance(quantity, int) or isinstance(quantity, bool) or quantity < 1:
        raise InvalidMessageError("quantity: a whole number from 1")
    return Order(order, quantity)


def handle(message: Message) -> None:
    """Do the work."""
    order = parse(message)
    log.info("message %s, delivery %d: quantity %d", message.id, message.delivery, order.quantity)
