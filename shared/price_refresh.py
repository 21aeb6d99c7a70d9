"""Refreshes the price book from Azure's list prices: ``python -m shared.price_refresh``, or ``make prices``.

An operator's tool: it changes ``rules/prices.json`` in a checkout, and the change goes through review like any other
rule. An item whose meter is missing or ambiguous keeps its old price and its old date.
"""

import argparse
import asyncio
import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from tempfile import NamedTemporaryFile

from shared.clients.retail_prices import ListPrice, list_prices
from shared.errors import AppStoreError, IntegrationError
from shared.prices import FILE, MeterQuery, Price, PriceBook, read_book

_CONSUMPTION = "Consumption"
_PLACES = Decimal("0.0000000001")
_NAMED = 3


@dataclass(frozen=True)
class Refreshed:
    """What became of one item; ``problem`` says why it kept its price."""

    key: str
    before: Decimal
    after: Decimal
    problem: str = ""


class NoPriceError(Exception):
    """No list price, or more than one, fits a query."""


async def refresh(book: PriceBook, now: datetime) -> tuple[PriceBook, list[Refreshed]]:
    """Ask for the list price of every item that has a query.

    Returns:
        The new book, and what became of each item, by key.
    """
    answers: dict[tuple[tuple[str, str], ...], list[ListPrice] | str] = {}
    items, told = dict(book.items), []
    for key, item in sorted(book.items.items()):
        if item.query is None:
            continue
        fields = _fields(item.query, book)
        place = tuple(sorted(fields.items()))
        if place not in answers:
            answers[place] = await _rows(fields, book.currency)
        try:
            items[key] = _renewed(item, item.query, select(answers[place], item.query, book.currency, now), now)
            told.append(Refreshed(key, item.price, items[key].price))
        except NoPriceError as error:
            told.append(Refreshed(key, item.price, item.price, str(error)))
    return book.model_copy(update={"items": items}), told


def _fields(query: MeterQuery, book: PriceBook) -> dict[str, str]:
    somewhere = {"armRegionName", "location"} & set(query.filter)
    region = {} if somewhere else {"armRegionName": book.region}
    return {"priceType": _CONSUMPTION, **region, **query.filter}


async def _rows(fields: dict[str, str], currency: str) -> list[ListPrice] | str:
    """The rows, or why there are none: other items are still worth asking for."""
    try:
        return await list_prices(fields, currency)
    except IntegrationError as error:
        return str(error)


def _renewed(item: Price, query: MeterQuery, row: ListPrice, now: datetime) -> Price:
    price = (row.retail_price * query.share).quantize(_PLACES).normalize()
    update = {"price": price, "retrieved": now.date(), "source": "azure retail prices", "meter_id": row.meter_id}
    return item.model_copy(update=update)


def select(rows: Sequence[ListPrice] | str, query: MeterQuery, currency: str, now: datetime) -> ListPrice:
    """The one row that a query means.

    Args:
        rows: what the API listed, or why it did not.
        query: the query.
        currency: of the book.
        now: prices of the future and of the past do not count.

    Raises:
        NoPriceError: none fits, or several do; names what there is.
    """
    if isinstance(rows, str):
        raise NoPriceError(rows)
    current = [
        row
        for row in rows
        if row.type == _CONSUMPTION
        and row.effective_start_date <= now
        and (row.effective_end_date is None or row.effective_end_date > now)
    ]
    fitting = [row for row in current if (row.unit_of_measure, row.tier_minimum_units) == (query.unit, query.tier)]
    if not fitting:
        offered = _named(current) if current else "nothing"
        raise NoPriceError(f"no meter per {query.unit} from {query.tier} on; there is {offered}")
    if len(fitting) > 1:
        raise NoPriceError(f"{len(fitting)} meters fit: {_named(fitting)}")
    row = fitting[0]
    if row.currency_code != currency:
        raise NoPriceError(f"the answer is in {row.currency_code}, not in {currency}")
    if row.retail_price <= 0:
        raise NoPriceError(f"{_named(fitting)} has the price {row.retail_price}")
    return row


def _named(rows: Sequence[ListPrice]) -> str:
    names = [
        f"{row.product_name} / {row.sku_name} / {row.meter_name} "
        f"per {row.unit_of_measure} from {row.tier_minimum_units}"
        for row in rows
    ]
    more = f" and {len(names) - _NAMED} more" if len(names) > _NAMED else ""
    return ", ".join(names[:_NAMED]) + more


def write_book(book: PriceBook, path: Path) -> None:
    """Replace the file by the book: all of it or nothing."""
    document = book.model_dump(mode="json", by_alias=True, exclude_defaults=True)
    for key, item in document["items"].items():
        item["price"] = format(book.items[key].price, "f")
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    with NamedTemporaryFile("w", dir=path.parent, prefix=".prices-", delete=False, encoding="utf-8") as draft:
        try:
            draft.write(text)
            draft.flush()
            os.fsync(draft.fileno())
            Path(draft.name).chmod(path.stat().st_mode & 0o777)
            Path(draft.name).replace(path)
        except BaseException:
            with suppress(FileNotFoundError):
                Path(draft.name).unlink()
            raise


def table(lines: Sequence[Refreshed]) -> str:
    """What changed, line by line, and what did not and why."""
    width = max((len(line.key) for line in lines), default=0)
    text = "".join(f"{line.key:<{width}}  {_words(line)}\n" for line in lines)
    kept = sum(bool(line.problem) for line in lines)
    changed = sum(line.after != line.before for line in lines)
    verdict = "partial: " if 0 < kept < len(lines) else ""
    done = f"{verdict}{len(lines) - kept} of {len(lines)} refreshed, {changed} changed, {kept} kept their old price\n"
    return text + done


def _words(line: Refreshed) -> str:
    before = format(line.before, "f")
    if line.problem:
        return f"{before:>14}  {'KEPT':>14}  {line.problem}"
    change = (line.after / line.before - 1) * 100 if line.before else Decimal(100)
    return f"{before:>14}  {format(line.after, 'f'):>14}  {f'{change:+.2f} %' if line.after != line.before else 'same'}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Refresh the file and print what changed.

    Returns:
        0 when every item was refreshed; 1 when some or all kept their old price; 2 when nothing could be done.
    """
    parser = argparse.ArgumentParser(prog="python -m shared.price_refresh", description=__doc__)
    parser.add_argument("--file", type=Path, default=FILE, help="the price book")
    path: Path = parser.parse_args(arguments).file
    try:
        book, lines = asyncio.run(refresh(read_book(path), datetime.now(UTC)))
    except AppStoreError as error:
        sys.stderr.write(f"{error}\n")
        return 2
    if any(not line.problem for line in lines):
        write_book(book, path)
    sys.stdout.write(table(lines))
    return 1 if any(line.problem for line in lines) else 0


if __name__ == "__main__":
    sys.exit(main())
