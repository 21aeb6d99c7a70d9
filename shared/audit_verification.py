"""Whether an audit trail is what was written: no entry changed, missing, or put in place of another.

A trail is a chain: each entry's hash covers the one before. Whoever can write the table can compute a whole chain anew;
therefore the ends of all trails are kept each day where nobody can change them (the anchors).
"""

from collections.abc import Iterable, Mapping, Sequence

from shared.models import Model
from shared.models.records import AuditHead, AuditRecord
from shared.register.audit import GENESIS, hash_of


class Finding(Model):
    """The first thing that is wrong with an application's trail.

    Attributes:
        kind: changed, missing or recomputed.
        sequence: number of the entry.
    """

    application: str
    kind: str
    sequence: int
    detail: str


class Trail(Model):
    """An application's trail as it was read, while others may have been writing.

    Attributes:
        entries: in their order.
        before, after: its end in the register before and after the entries were read.
    """

    application: str
    entries: list[AuditRecord] = []
    before: AuditHead | None = None
    after: AuditHead | None = None


def verify(trail: Trail, anchors: Iterable[tuple[str, AuditHead]]) -> Finding | None:
    """Return the first thing that is wrong, or None.

    Args:
        trail: what is there now.
        anchors: day and end of the trail on that day.
    """
    return _links(trail) or _end(trail) or _anchored(trail, anchors)


def verify_all(trails: Mapping[str, Trail], anchors: Sequence[tuple[str, Mapping[str, AuditHead]]]) -> list[Finding]:
    """The first thing that is wrong with each trail; a trail that is gone altogether is known by its anchor."""
    names = sorted({*trails, *(name for _, ends in anchors for name in ends)})
    found = (
        verify(
            trails.get(name) or Trail(application=name), [(day, ends[name]) for day, ends in anchors if name in ends]
        )
        for name in names
    )
    return [finding for finding in found if finding]


def _links(trail: Trail) -> Finding | None:
    """Each entry is whole, has its number and follows the one before."""
    previous = GENESIS
    for number, record in enumerate(trail.entries, start=1):
        if record.sequence != number:
            return _finding(trail, "missing", number, f"Entry {number} is missing.")
        if record.hash != hash_of(record):
            return _finding(trail, "changed", number, f"Entry {number} ({record.action}) was changed.")
        if record.previous_hash != previous:
            detail = f"Entry {number - 1} is not the one that entry {number} follows: it was changed and hashed anew."
            return _finding(trail, "changed", number - 1, detail)
        previous = record.hash
    return None


def _end(trail: Trail) -> Finding | None:
    """The trail ends where the register says, give or take what was written meanwhile."""
    count = len(trail.entries)
    before = trail.before or AuditHead(sequence=0, hash=GENESIS)
    if before.sequence > count:
        return _finding(trail, "missing", count + 1, f"Entry {count + 1} is missing at the end.")
    if before.sequence and trail.entries[before.sequence - 1].hash != before.hash:
        detail = f"Entry {before.sequence} is not the end that was recorded: it was changed and hashed anew."
        return _finding(trail, "changed", before.sequence, detail)
    if count > (trail.after.sequence if trail.after else 0):
        return _finding(trail, "changed", count, f"Entry {count} comes after the recorded end.")
    return None


def _anchored(trail: Trail, anchors: Iterable[tuple[str, AuditHead]]) -> Finding | None:
    count = len(trail.entries)
    for day, anchor in anchors:
        if anchor.sequence > count:
            detail = f"The trail ended at entry {anchor.sequence} on {day}, and is shorter now."
            return _finding(trail, "missing", count + 1, detail)
        if trail.entries[anchor.sequence - 1].hash != anchor.hash:
            detail = f"The chain up to entry {anchor.sequence} is not the one of {day}: it was computed anew."
            return _finding(trail, "recomputed", anchor.sequence, detail)
    return None


def _finding(trail: Trail, kind: str, sequence: int, detail: str) -> Finding:
    return Finding(application=trail.application, kind=kind, sequence=sequence, detail=detail)
