"""What a plan costs a month, by the price book in the repository: offline, the same for everybody, with an age."""

import json
from collections.abc import Iterable
from datetime import UTC, date, datetime
from decimal import ROUND_HALF_UP, Decimal
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, ConfigDict, Field, ValidationError, model_validator

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


class MeterQuery(Model):
    """Which list price an item has: exactly one row of the Azure Retail Prices API must fit.

    Attributes:
        filter: fields of the API and the values that they must have; the region is the book's unless one is named.
        unit: unit of measure that the row must have.
        tier: lower end of the tier of use that counts, in the row's units.
        share: how many of the row's units one unit of the item is.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    filter: dict[str, str] = Field(min_length=2)
    unit: str = Field(min_length=1)
    tier: Quantity = Decimal(0)
    share: Decimal = Field(default=Decimal(1), gt=0)


class Price(Model):
    """An item of the price book.

    Attributes:
        price: of one unit, for an hour or for what the unit says.
        hours: hours of a month; 1 when the price is not per hour.
        query: how its list price is found; None for what costs nothing.
        source: whether a person wrote the price down or the API said it.
        meter_id: the row that said it.
    """

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    unit: str = Field(min_length=1)
    price: Decimal = Field(ge=0)
    hours: int = Field(ge=1, le=744)
    meter: str = Field(min_length=1)
    retrieved: date
    query: MeterQuery | None = None
    source: Literal["by hand", "azure retail prices"] = "by hand"
    meter_id: str = ""

    @model_validator(mode="after")
    def _can_be_refreshed(self) -> Self:
        if self.price and self.query is None:
            raise ValueError("what costs something needs a query")
        return self


class PriceBook(Model):
    """``rules/prices.json``."""

    model_config = ConfigDict(**{**Model.model_config, "extra": "forbid"})

    note: str
    currency: str = Field(pattern=r"^[A-Z]{3}$")
    region: str
    items: dict[str, Price] = Field(min_length=1)


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
    # What costs nothing has no list price that could have changed.
    retrieved = min(price.retrieved for price in [price for price in used if price.query] or used)
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


def read_book(path: Path = FILE) -> PriceBook:
    """The price book as it is now.

    Raises:
        ConfigurationError: it is not valid.
    """
    return _read(path, stamp(path))[0]


def _item(item: PricedItem | dict[str, object]) -> PricedItem:
    if isinstance(item, PricedItem):
        return item
    try:
        return PricedItem.model_validate(item)
    except ValidationError as error:
        raise ConfigurationError(str(item.get("key", "price item")), error.errors()[0]["msg"]) from error


def _price(book: PriceBook, key: str, path: Path) -> Price:
    if key not in book.items:
        raise ConfigurationError(path.name, f"there is no price for {key}")
    return book.items[key]


def _line(item: PricedItem, price: Price) -> EstimateLine:
    monthly = (price.price * price.hours * item.quantity).quantize(_CENT, ROUND_HALF_UP)
    quantity = format(item.quantity.normalize(), "f")
    return EstimateLine(
        key=item.key, environment=item.environment, quantity=quantity, unit=price.unit, monthly=str(monthly)
    )


@lru_cache(maxsize=8)
def _read(path: Path, _stamp: Stamp) -> tuple[PriceBook, str]:
    """Read and check the price book; its stamp is part of the cache's key."""
    content = path.read_bytes()
    try:
        return PriceBook.model_validate(json.loads(content)), sha256_hex(content)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(path.name, f"{'.'.join(map(str, first['loc']))}: {first['msg']}") from error
    except ValueError as error:
        raise ConfigurationError(path.name, f"not JSON: {error}") from error
