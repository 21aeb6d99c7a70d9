"""The data contract: what the input promises, and every way in which a file breaks it.

The promise is data (`contracts/*.yaml`); this module is the only reader of it.
"""

import csv
import io
import re
from collections import Counter
from dataclasses import dataclass
from datetime import date
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Any

import yaml

MOST_VIOLATIONS = 50

type Row = dict[str, Any]


@dataclass(frozen=True)
class Violation:
    """One broken promise. `line` is that of the file, 1 being the column names; 0 for the file as a whole."""

    line: int
    column: str
    rule: str


class ContractBrokenError(Exception):
    """The input is not what was promised; nothing was written."""

    def __init__(self, violations: list[Violation]) -> None:
        shown = "; ".join(f"line {item.line}, {item.column}: {item.rule}" for item in violations[:5])
        super().__init__(f"{len(violations)} broken promises: {shown}")
        self.violations = violations


class Contract:
    """One contract file."""

    def __init__(self, path: Path) -> None:
        document = yaml.safe_load(path.read_text(encoding="utf-8"))
        self.name: str = document["name"]
        self.version: str = document["version"]
        self._columns: list[dict[str, Any]] = document["columns"]
        self._expectations: list[dict[str, Any]] = document["expectations"]

    def read(self, content: bytes, run_date: date) -> list[Row]:
        """The rows of a file, typed. Raises ContractBrokenError with at most fifty violations."""
        try:
            lines = list(csv.DictReader(io.StringIO(content.decode("utf-8-sig"), newline="")))
        except (UnicodeDecodeError, csv.Error) as error:
            raise ContractBrokenError([Violation(0, "", f"not a CSV file in UTF-8: {error}")]) from error
        found = list(self._headings(lines[0] if lines else {})) if lines else []
        if found:
            raise ContractBrokenError(found)
        rows, found = self._typed(lines)
        found += [item for rule in self._expectations for item in _expect(rule, rows, run_date)]
        if found:
            raise ContractBrokenError(found[:MOST_VIOLATIONS])
        return rows

    def _headings(self, line: dict[Any, Any]) -> list[Violation]:
        names = {column["name"] for column in self._columns}
        there = {str(name) for name in line if name is not None}
        return [
            *(Violation(1, name, "the column is missing") for name in sorted(names - there)),
            *(Violation(1, name, "the column is not in the contract") for name in sorted(there - names)),
        ]

    def _typed(self, lines: list[dict[Any, Any]]) -> tuple[list[Row], list[Violation]]:
        rows, found = [], []
        for number, line in enumerate(lines, start=2):
            row: Row = {}
            rows.append(row)  # a bad one as well: the place in this list is the line of the file
            if None in line or None in line.values():
                found.append(Violation(number, "", "another number of values than columns"))
                continue
            for column in self._columns:
                try:
                    row[column["name"]] = _value(column, line[column["name"]])
                except ValueError as error:
                    found.append(Violation(number, column["name"], str(error)))
        return rows, found


def _value(column: dict[str, Any], text: str) -> Any:
    """A value of a column. Raises ValueError with the rule in words."""
    if not text:
        if column["required"]:
            raise ValueError("is required")
        return None
    match column["type"]:
        case "date":
            return date.fromisoformat(text)
        case "decimal":
            return _decimal(column, text)
        case _:
            if "pattern" in column and not re.fullmatch(column["pattern"], text):
                raise ValueError(f"is not {column['pattern']}")
            return text


def _decimal(column: dict[str, Any], text: str) -> Decimal:
    try:
        value = Decimal(text)
    except InvalidOperation as error:
        raise ValueError("is not a number") from error
    if not value.is_finite():
        raise ValueError("is not a number")
    if "minimum" in column and value < column["minimum"]:
        raise ValueError(f"is less than {column['minimum']}")
    return value


def _expect(rule: dict[str, Any], rows: list[Row], run_date: date) -> list[Violation]:
    column = rule.get("column", "")
    match rule["kind"]:
        case "unique":
            counts = Counter(row[column] for row in rows if row.get(column) is not None)
            return [Violation(0, column, f"{value} is there {n} times") for value, n in counts.items() if n > 1]
        case "rows":
            fits = rule["minimum"] <= len(rows) <= rule["maximum"]
            return [] if fits else [Violation(0, "", f"{len(rows)} rows, not {rule['minimum']} to {rule['maximum']}")]
        case "on_run_date":
            days = [(number, row.get(column)) for number, row in enumerate(rows, start=2)]
            return [
                Violation(number, column, f"is not {run_date}") for number, day in days if day not in (None, run_date)
            ]
        case "filled":
            filled = 100 * sum(row.get(column) is not None for row in rows) / max(len(rows), 1)
            return [] if filled >= rule["percent"] else [Violation(0, column, f"only {filled:.0f} % are filled")]
        case kind:
            raise ValueError(f"the contract has an unknown expectation {kind}")
