"""What a plan costs a month, by the price book in the repository: offline, the same for everybody, with an age."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError

from shared.canonical import sha256_hex
from shared.errors import ConfigurationError
from shared.models import Model
from shared.rule_set import RULES, Stamp, stamp

FILE = RULES / "prices.json"
STALE_AFTER_DAYS = 90

_CENT = Decimal("0.01")


def _decimal_text(value: object) -> object:
    """Money never passes through a binary fraction."""
    return str(value) if isinstance(value, float) else value


Quantity = Annotated[Decimal, BeforeValidator(_decimal_text), Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class PricedItem(Model):
    """So many of one item of the price book, in one environment."""

    key: str
    quantity: Quantity = Decimal(1)
    environment: str | None = None


class EstimateLine(Model):
    """One line of an estimate; ``monthly`` is rounded to the cent."""

    key: str
    environment: str | None
    quantity: str
    unit: str
    monthly: str


class Estimate(Model):
    """An estimate, the sum of its rounded lines.

    Attributes:
        monthly: decimal text, two places.
        revision: SHA-256 of the price book.
        retrieved: day of the oldest price used.
        stale_days: days since then. It grows by itself, so it does not belong into anything with a digest.
        notice: a sentence when the prices are older than 90 days.
    """

    monthly: str
    currency: str
    lines: tuple[EstimateLine, ...]
    revision: str
    retrieved: date
    stale_days: int
    notice: str | None = None


class _Price(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    unit: str = Field(min_length=1)
    price: Decimal = Field(ge=0)
    hours: int = Field(ge=1, le=744)
    meter: str = Field(min_length=1)
    retrieved: date


class _PriceBook(Model):
    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    note: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    region: str
    items: dict[str, _Price] = Field(min_length=1)


def estimate(items: Iterable[PricedItem | dict[str, object]], today: date | None = None, path: Path = FILE) -> Estimate:
    """Estimate what some items cost a month.

    Args:
        items: ``PricedItem`` or its document: key, quantity, environment.
        today: the day against which the age of the prices is told.
        path: the price book.

    Raises:
        ConfigurationError: an item has no price, or has no sensible quantity; or the price book is not valid.
    """
    book, revision = _read(path, stamp(path))
    wanted = [_item(item) for item in items]
    lines = tuple(_line(item, _price(book, item.key, path)) for item in wanted)
    used = [book.items[item.key] for item in wanted] or list(book.items.values())
    retrieved = min(price.retrieved for price in used)
    age = ((today or datetime.now(UTC).date()) - retrieved).days
    return Estimate(
        monthly=str(sum((Decimal(line.monthly) for line in lines), Decimal("0.00"))),
        currency=book.currency,
        lines=lines,
        revision=revision,
        retrieved=retrieved,
        stale_days=age,
        notice=f"The prices are {age} days old; they may have changed." if age > STALE_AFTER_DAYS else None,
    )


def price_revision(path: Path = FILE) -> str:
    """SHA-256 of the price book as it is now.

    Raises:
        ConfigurationError: the price book is not valid.
    """
    return _read(path, stamp(path))[1]


def _item(item: PricedItem | dict[str, object]) -> PricedItem:
    if isinstance(item, PricedItem):
        return item
    try:
        return PricedItem.model_validate(item)
    except ValidationError as error:
        raise ConfigurationError(str(item.get("key", "price item")), error.errors()[0]["msg"]) from error


def _price(book: _PriceBook, key: str, path: Path) -> _Price:
    if key not in book.items:
        raise ConfigurationError(path.name, f"there is no price for {key}")
    return book.items[key]


def _line(item: PricedItem, price: _Price) -> EstimateLine:
    monthly = (price.price * price.hours * item.quantity).quantize(_CENT, ROUND_HALF_UP)
    quantity = format(item.quantity, "f")
    return EstimateLine(
        key=item.key, environment=item.environment, quantity=quantity, unit=price.unit, monthly=str(monthly)
    )


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> tuple[_PriceBook, str]:
    """Read and check the price book; its stamp is part of the cache's key."""
    content = path.read_bytes()
    try:
        return _PriceBook.model_validate(json.loads(content)), sha256_hex(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise ConfigurationError(path.name, f"not JSON: {error}") from error
