"""Records of ServiceNow: change requests, configuration items and what they refer to."""

from local.vendors.kernel import Kernel
from local.vendors.servicenow.records import Records, Refused, columns

from .sheet import Link, Sheet

INSTANCE = "https://contoso.service-now.com/nav_to.do?uri="


async def record(kernel: Kernel, table: str, sys_id: str) -> Sheet | None:
    """The fields that have a value, as a screen shows them; a reference is a link when its record is there."""
    records = Records(kernel.store("servicenow"))
    try:
        row = records.get(table, sys_id)
    except Refused:  # 400 for a table that nobody knows, 404 for a row
        return None
    facts: dict[str, object] = {}
    for name in columns(row["sys_class_name"]):
        cell = records.cell(row, name)
        other = records.store.get(f"record/{row[name]}") if "link" in cell else None
        place = f"{INSTANCE}{other['sys_class_name']}.do?sys_id={row[name]}" if other else ""
        facts[name] = Link(cell["display_value"], place) if other else cell["display_value"]
    title = row.get("short_description") or row.get("name") or sys_id
    return Sheet(f"{table} {row.get('number', '')}".strip(), title, facts)
