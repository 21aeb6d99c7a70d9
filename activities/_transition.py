"""Changing a request's state on behalf of one attempt of its orchestration."""

from collections.abc import Callable, Sequence

from shared.errors import StateConflictError
from shared.models.records import RequestRecord, RequestState
from shared.models.runs import ActivityInput
from shared.register import requests
from shared.register._table import Row, Write
from shared.register.audit import Entry


async def advance(
    data: ActivityInput,
    change: Callable[[RequestRecord], RequestRecord],
    entry: Entry,
    expect: Sequence[RequestState],
    extra: Callable[[RequestRecord, dict[str, Row]], Sequence[Write]] | None = None,
) -> RequestRecord:
    """A transition on behalf of one attempt; a later attempt makes it a conflict."""

    def fenced(old: RequestRecord) -> RequestRecord:
        if old.attempt != data.run.attempt:
            raise StateConflictError(old.state, f"attempt {data.run.attempt} is over, this is attempt {old.attempt}")
        return change(old)

    return await requests.transition(
        data.run.application, data.run.request_id, fenced, entry, expect=expect, extra=extra
    )


def entry_of(data: ActivityInput, action: str, detail: str, *, at: str, key: str = "") -> Entry:
    entry_id = ":".join(part for part in (data.run.request_id, action, key) if part)
    return Entry(entry_id, at, "appstore", action, data.run.request_id, detail)
