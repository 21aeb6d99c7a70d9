"""Rows of the instance's tables, what a screen shows of them, and encoded queries.

https://www.servicenow.com/docs/r/api-reference/rest-apis/c_TableAPI.html

`tables.json` has the columns: default, choices on screen, longest text, table that is referred to, type.
"""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

from local.vendors.kernel import Store

DOCUMENT: dict[str, Any] = json.loads(Path(__file__).with_name("tables.json").read_text())

NUMBERED = {"change_request": "CHG", "incident": "INC"}

type Row = dict[str, str]


class Refused(Exception):  # noqa: N818 -- an answer to the caller, not an error of the stand-in
    """Status, message and detail of an answer in the vendor's error shape."""


class Records:
    """The rows by sys_id. The table cmdb_ci shows the rows of the classes that extend it too."""

    def __init__(self, store: Store) -> None:
        self.store = store

    async def seed(self) -> None:
        """What an administrator has made: an assignment group and a standard change template."""
        for row in DOCUMENT["rows"]:
            self.store.insert(f"record/{row['sys_id']}", row)

    def find(self, table: str, query: str = "") -> list[Row]:
        """The rows that an encoded query selects. As on the instance, an invalid field name is no condition at all."""
        known, kept = columns(table), [row for _, row in self.store.list("record/")]
        classes = {name for name in DOCUMENT["tables"] if name == table or (table == "cmdb_ci" and table in name)}
        rows = [blank(row["sys_class_name"]) | row for row in kept if row["sys_class_name"] in classes]
        terms = [term.replace("\0", "^") for term in query.replace("^^", "\0").split("^") if term]
        for name, equal, wanted in [term.partition("=") for term in terms if not term.startswith("ORDERBY")]:
            if not (equal and name.isidentifier() and name.islower()):
                raise Refused(
                    501, "Not implemented by the stand-in", f"a query with more than =, ^ and ORDERBY: {name}"
                )
            rows = [row for row in rows if name not in known or row[name] == wanted]
        for order in reversed([term.removeprefix("ORDERBY") for term in terms if term.startswith("ORDERBY")]):
            name = order.removeprefix("DESC")
            rows.sort(key=lambda row, name=name: row.get(name, ""), reverse=order != name)  # type: ignore[misc]
        return rows

    def get(self, table: str, sys_id: str) -> Row:
        """One row. Raises Refused 404."""
        if rows := self.find(table, f"sys_id={sys_id}"):
            return rows[0]
        raise Refused(404, "No Record found", "Record doesn't exist or ACL restricts record retrieval")

    def put(self, row: Row) -> None:
        """Keep a row; a new one gets a sys_id, a change the next number. A journal keeps every entry."""
        with self.store.transaction():
            if not row["sys_id"]:
                row |= {"sys_id": uuid4().hex, "sys_created_on": now(), "sys_created_by": "appstore"}
                self.store.put("number", number := (self.store.get("number") or 30000) + 1)
                row["number"] = f"{NUMBERED.get(row['sys_class_name'], 'REC')}{number:07}"
            row |= {"sys_updated_on": now(), "sys_mod_count": str(int(row["sys_mod_count"]) + 1)}
            if note := row.get("work_notes"):
                key = f"journal/{row['sys_id']}"
                self.store.put(key, f"App Store (Work notes)\n{note}\n\n{self.store.get(key) or ''}")
                row["work_notes"] = ""
            self.store.put(f"record/{row['sys_id']}", row)

    def cell(self, row: Row, name: str) -> dict[str, Any]:
        """A field as `display_value` and typed `value`, with `link` when it refers to another record."""
        column, text = columns(row["sys_class_name"])[name], row[name]
        if column.get("type") == "journal":
            return {"display_value": self.store.get(f"journal/{row['sys_id']}") or "", "value": ""}
        value = json.loads(text) if text and column.get("type") in {"number", "boolean"} else text
        if not text or "reference" not in column:
            return {"display_value": column.get("choices", {}).get(text, text), "value": value}
        link = f"https://contoso.service-now.com/api/now/table/{column['reference']}/{text}"
        shown = (self.store.get(f"record/{text}") or {}).get("name", text)
        return {"display_value": shown, "link": link, "value": value}


def columns(table: str) -> dict[str, dict[str, Any]]:
    """The columns of a table. Raises Refused 400."""
    known: dict[str, dict[str, Any]] = DOCUMENT["tables"].get(table, {})
    if not known:
        raise Refused(400, f"Invalid table {table}", "")
    return known


def blank(table: str) -> Row:
    """A row with the default values."""
    return {name: column.get("default", "") for name, column in columns(table).items()} | {"sys_class_name": table}


def assign(row: Row, values: dict[str, Any], locked: list[str]) -> list[str]:
    """Set the fields that exist and can be written, cut to their length; returns the names that were ignored."""
    known = {name: column for name, column in columns(row["sys_class_name"]).items() if "read_only" not in column}
    for name in values.keys() & (known.keys() - set(locked)):
        value = values[name]
        text = value if isinstance(value, str) else "" if value is None else json.dumps(value)
        row[name] = text[: known[name].get("max", 4000)]
    return [name for name in values if name in locked or name not in known]


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%d %H:%M:%S")
