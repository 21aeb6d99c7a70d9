"""One run: read the day's input, hold it against the contract, write the day's output.

A run is safe to do again. Everything that it writes is named by its date and replaced as a whole, and its record is
written last: a run that died in between has no record, and the next one writes the same files.
"""

import json
import logging
from collections import defaultdict
from datetime import date
from decimal import Decimal

from app.contract import Contract, ContractBrokenError, Row
from app.store import Store

log = logging.getLogger(__name__)


def totals(rows: list[Row]) -> list[dict[str, str]]:
    """The example output: amount and number of orders for each country."""
    amounts: dict[str, Decimal] = defaultdict(Decimal)
    counts: dict[str, int] = defaultdict(int)
    for row in rows:
        amounts[row["country"]] += row["amount"]
        counts[row["country"]] += 1
    return [{"country": name, "orders": str(counts[name]), "amount": str(amounts[name])} for name in sorted(amounts)]


def run(store: Store, contract: Contract, run_date: date, prefix: str = "") -> dict[str, object]:
    """Run for one day; returns the run's record.

    Raises:
        NoInputError: the day's input is not there.
        ContractBrokenError: it is not what was promised; the violations are written, the output is not.
    """
    content = store.read(f"{prefix}input/{run_date}.csv")
    try:
        rows = contract.read(content, run_date)
    except ContractBrokenError as error:
        violations = [{"line": item.line, "column": item.column, "rule": item.rule} for item in error.violations]
        store.write(
            f"{prefix}rejected/{run_date}.json", _json({"contract": contract.version, "violations": violations})
        )
        raise
    result = totals(rows)
    store.write(f"{prefix}output/{run_date}.json", _json(result))
    record: dict[str, object] = {
        "date": str(run_date),
        "contract": contract.version,
        "rows": len(rows),
        "lines": len(result),
    }
    store.write(f"{prefix}runs/{run_date}.json", _json(record))
    log.info("%s: %d rows, %d lines", run_date, len(rows), len(result))
    return record


def verify(store: Store, contract: Contract, sample: bytes, run_date: date) -> dict[str, object]:
    """A whole run on the sample, beside the real data: identity, network, storage and code work together."""
    prefix = "verification/"
    store.write(f"{prefix}input/{run_date}.csv", sample)
    record = run(store, contract, run_date, prefix)
    if json.loads(store.read(f"{prefix}runs/{run_date}.json")) != record:
        raise RuntimeError("the record that was read is not the one that was written")
    return record


def _json(document: object) -> bytes:
    return json.dumps(document, indent=2, sort_keys=True).encode() + b"\n"
