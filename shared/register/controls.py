"""What stands above every rule, and how each rule fares: kill switch, holds, exemptions, freezes, budgets, breakers."""

from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from shared.models import Model
from shared.models.controls import Breaker, Control, Exemption, FreezeRecord, KillSwitch, LegalHold
from shared.register import audit
from shared.register._records import TRIES, busy, step_back
from shared.register._table import Row, RowConflictError, Write, commit, document_of, query, read, read_many, scan

PARTITION = "control"
_KILL_SWITCH = "kill-switch"


@dataclass(frozen=True)
class Controls:
    """Everything that stands above the rules, at one moment."""

    kill_switch: KillSwitch
    holds: tuple[LegalHold, ...]
    exemptions: tuple[Exemption, ...]
    freezes: tuple[FreezeRecord, ...]


async def read_controls() -> Controls:
    """Read kill switch, holds, exemptions and freezes in one question."""
    switch, holds, exemptions, freezes = KillSwitch(on=False), [], [], []
    async for row in query(f"PartitionKey eq '{PARTITION}' and RowKey ge 'exemption:' and RowKey lt '{_KILL_SWITCH}~'"):
        kind = row.key.partition(":")[0]
        if row.key == _KILL_SWITCH:
            switch = KillSwitch.model_validate(row.document)
        elif kind == "hold":
            holds.append(LegalHold.model_validate(row.document))
        elif kind == "exemption":
            exemptions.append(Exemption.model_validate(row.document))
        elif kind == "freeze":
            freezes.append(FreezeRecord.model_validate(row.document))
    return Controls(switch, tuple(holds), tuple(exemptions), tuple(freezes))


async def kill_switch() -> KillSwitch:
    """How the kill switch stands."""
    row = await read(PARTITION, _KILL_SWITCH)
    return KillSwitch.model_validate(row.document) if row else KillSwitch(on=False)


async def set_kill_switch(switch: KillSwitch) -> KillSwitch:
    """Turn the kill switch; turning it to where it is changes nothing."""
    entry = audit.Entry(
        f"kill-switch:{switch.at}", switch.at, switch.actor, "kill-switch", _KILL_SWITCH, _turned(switch)
    )

    def change(row: Row | None) -> Mapping[str, Any] | None:
        standing = KillSwitch.model_validate(row.document) if row else KillSwitch(on=False)
        return None if standing.on == switch.on else document_of(switch)

    return KillSwitch.model_validate(await _change(_KILL_SWITCH, change, entry) or document_of(switch))


def _turned(switch: KillSwitch) -> str:
    return f"{'on' if switch.on else 'off'}: {switch.reason}"


async def controls[C: Control](kind: type[C]) -> list[C]:
    """All controls of a kind, oldest first."""
    found = [kind.model_validate(row.document) async for row in scan(PARTITION, f"{kind.kind}:")]
    return sorted(found, key=lambda item: (item.at, item.id))


async def control[C: Control](kind: type[C], identifier: str) -> C | None:
    """One control, or None."""
    row = await read(PARTITION, f"{kind.kind}:{identifier}")
    return kind.model_validate(row.document) if row else None


async def declare[C: Control](record: C, entry: audit.Entry) -> C:
    """Record a control with its audit entry; a repeat returns what is there."""
    kind = type(record)
    written = await _change(_key(record), lambda row: None if row else document_of(record), entry)
    return kind.model_validate(written) if written else record


async def change_control[C: Control](record: C, change: Callable[[C], C], entry: audit.Entry) -> C:
    """Change a control that is there with its audit entry; one that is gone stays gone."""
    kind = type(record)

    def work(row: Row | None) -> Mapping[str, Any] | None:
        return document_of(change(kind.model_validate(row.document))) if row else None

    written = await _change(_key(record), work, entry)
    return kind.model_validate(written) if written else record


async def lift(record: Control, entry: audit.Entry) -> None:
    """Take a control away; absent is success."""
    await _change(_key(record), lambda row: {} if row else None, entry)


def _key(record: Control) -> str:
    return f"{record.kind}:{record.id}"


async def _change(
    key: str, work: Callable[[Row | None], Mapping[str, Any] | None], entry: audit.Entry
) -> dict[str, Any] | None:
    """Write what ``work`` makes of the row (empty: remove it; None: leave it) together with its audit entry.

    Returns:
        The document as it is now, None when there is none.
    """
    for tries in range(TRIES):
        await step_back(tries)
        rows = await read_many(PARTITION, [key, audit.HEAD, audit.entry_key(entry)])
        row = rows.get(key)
        new = work(row)
        if new is None or audit.entry_key(entry) in rows:
            return row.document if row else None
        write = Write(key, new or None, etag=row.etag if row else None)
        try:
            await commit(PARTITION, [write, *audit.append(rows.get(audit.HEAD), entry)])
        except RowConflictError:
            continue
        return dict(new) or None
    raise busy(PARTITION)


class Spending(Model):
    """How often a rule has changed something, by hour (``2026-11-26T10``)."""

    hours: dict[str, int] = {}


async def spend(rule: str, count: int, *, hour: int, day: int, now: str) -> int:
    """Take so many changes from a rule's budget of this hour and day; returns how many it gave, at most ``count``.

    A process that dies before it used them has spent them: the budget errs on the careful side.
    """
    key = f"budget:{rule}"
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(PARTITION, key)
        spending = Spending.model_validate(row.document) if row else Spending()
        this_hour = spending.hours.get(now[:13], 0)
        today = sum(value for name, value in spending.hours.items() if name[:10] == now[:10])
        given = max(0, min(count, hour - this_hour, day - today))
        if given == 0:
            return 0
        hours = {name: value for name, value in spending.hours.items() if name[:10] >= now[:10]}
        hours[now[:13]] = this_hour + given
        write = Write(key, document_of(Spending(hours=hours)), etag=row.etag if row else None)
        try:
            await commit(PARTITION, [write])
        except RowConflictError:
            continue
        return given
    raise busy(PARTITION)


async def breaker(rule: str) -> Breaker:
    """How a rule fares."""
    row = await read(PARTITION, f"breaker:{rule}")
    return Breaker.model_validate(row.document) if row else Breaker()


async def change_breaker(rule: str, change: Callable[[Breaker], Breaker]) -> Breaker:
    """Change how a rule fares."""
    key = f"breaker:{rule}"
    for tries in range(TRIES):
        await step_back(tries)
        row = await read(PARTITION, key)
        old = Breaker.model_validate(row.document) if row else Breaker()
        new = change(old)
        if new == old:
            return old
        try:
            await commit(PARTITION, [Write(key, document_of(new), etag=row.etag if row else None)])
        except RowConflictError:
            continue
        return new
    raise busy(PARTITION)


async def breakers() -> AsyncIterator[tuple[str, Breaker]]:
    """Every rule that failed lately."""
    async for row in scan(PARTITION, "breaker:"):
        yield row.key.partition(":")[2], Breaker.model_validate(row.document)
