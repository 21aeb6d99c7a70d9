"""One byte flipped, one row deleted, a chain computed anew: each is named."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.audit_verification import Trail, verify, verify_all
from shared.models.records import AuditHead, AuditRecord
from shared.register import audit
from shared.register._table import Row

LENGTH = 6


def chain(details: list[str], name: str = "payments-api") -> Trail:
    """A trail as the register writes it."""
    head: Row | None = None
    entries = []
    for number, detail in enumerate(details):
        entry = audit.Entry(f"req-1:{number}", f"2026-11-25T10:00:0{number}Z", "me", "act", "req-1", detail)
        added, end = audit.append(head, entry)
        assert added.document
        assert end.document
        entries.append(AuditRecord.model_validate(added.document))
        head = Row(audit.HEAD, dict(end.document), "etag")
    last = AuditHead.model_validate(head.document) if head else None
    return Trail(application=name, entries=entries, before=last, after=last)


def end_of(trail: Trail, number: int) -> AuditHead:
    return AuditHead(sequence=number, hash=trail.entries[number - 1].hash)


WHOLE = chain([f"step {n}" for n in range(LENGTH)])


def changed(number: int, **fields: object) -> Trail:
    """The trail with one entry changed and nothing hashed anew."""
    entries = list(WHOLE.entries)
    entries[number - 1] = entries[number - 1].model_copy(update=fields)
    return WHOLE.model_copy(update={"entries": entries})


def test_what_was_written_is_whole() -> None:
    anchors = [(f"day {n}", end_of(WHOLE, n)) for n in range(1, LENGTH + 1)]
    assert verify(WHOLE, anchors) is None


@pytest.mark.parametrize("number", range(1, LENGTH + 1))
@pytest.mark.parametrize(
    "field", ["detail", "actor", "action", "at", "request_id", "entry_id", "previous_hash", "hash"]
)
def test_a_flipped_byte_is_named(number: int, field: str) -> None:
    value = str(getattr(WHOLE.entries[number - 1], field))
    found = verify(changed(number, **{field: ("1" if value[0] == "0" else "0") + value[1:]}), [])
    assert found
    assert (found.kind, found.sequence) == ("changed", number)


@pytest.mark.parametrize("number", range(1, LENGTH + 1))
def test_a_deleted_row_is_named(number: int) -> None:
    entries = [entry for entry in WHOLE.entries if entry.sequence != number]
    found = verify(WHOLE.model_copy(update={"entries": entries}), [])
    assert found
    assert (found.kind, found.sequence) == ("missing", number)


@pytest.mark.parametrize("number", range(1, LENGTH + 1))
def test_an_entry_that_was_hashed_anew_is_named(number: int) -> None:
    forged = WHOLE.entries[number - 1].model_copy(update={"detail": "forged"})
    found = verify(changed(number, detail="forged", hash=audit.hash_of(forged)), [])
    assert found
    assert (found.kind, found.sequence) == ("changed", number)


@given(st.integers(1, LENGTH), st.integers(1, LENGTH))
def test_a_chain_computed_anew_is_named_by_its_anchor(forged: int, anchored: int) -> None:
    details = [f"step {n}" for n in range(LENGTH)]
    details[forged - 1] = "forged"
    found = verify(chain(details), [("2026-11-24", end_of(WHOLE, anchored))])
    assert (found is not None) == (forged <= anchored)
    assert found is None or (found.kind, found.sequence) == ("recomputed", anchored)


def test_a_trail_cut_together_with_its_end_is_known_by_its_anchor() -> None:
    found = verify(chain(["step 0"]), [("2026-11-24", end_of(WHOLE, 3))])
    assert found
    assert (found.kind, found.detail) == ("missing", "The trail ended at entry 3 on 2026-11-24, and is shorter now.")


def test_a_trail_that_is_gone_is_known_by_its_anchor() -> None:
    found = verify_all({}, [("2026-11-24", {"payments-api": end_of(WHOLE, 3)})])
    assert [(item.application, item.kind, item.sequence) for item in found] == [("payments-api", "missing", 1)]


@pytest.mark.parametrize(
    ("spoil", "kind"),
    [
        (lambda trail: trail.model_copy(update={"before": None, "after": None}), "changed"),
        (lambda trail: trail.model_copy(update={"before": end_of(trail, 2), "after": end_of(trail, 4)}), "changed"),
        (lambda trail: trail.model_copy(update={"before": AuditHead(sequence=9, hash="0" * 64)}), "missing"),
    ],
    ids=["no end", "an entry after the end", "an end beyond"],
)
def test_an_end_that_does_not_fit_is_named(spoil: Callable[[Trail], Trail], kind: str) -> None:
    found = verify(spoil(WHOLE), [])
    assert found
    assert found.kind == kind


def test_what_is_written_while_reading_is_no_finding() -> None:
    assert verify(WHOLE.model_copy(update={"before": end_of(WHOLE, 3)}), []) is None
