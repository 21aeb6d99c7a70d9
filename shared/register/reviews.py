"""Reviews of broken glass: opened together with the grant, closed once by somebody else."""

from collections.abc import Callable

from shared.models.break_glass import Review
from shared.register._table import Row, Write, document_of, query, read, scan


def _key(request_id: str, number: int) -> str:
    return f"review:{request_id}:{number}"


def _review(row: Row) -> Review:
    return Review.model_validate(row.document)


def insertion(review: Review) -> Write:
    """The write of a review that must not exist yet, for a transaction."""
    return Write(_key(review.request_id, review.number), document_of(review))


async def of_request(application: str, request_id: str) -> list[Review]:
    """The reviews of a request in their order."""
    found = [_review(row) async for row in scan(application, f"review:{request_id}:")]
    return sorted(found, key=lambda review: review.number)


async def every(state: str | None) -> list[Review]:
    """The reviews of all applications, the oldest first; of one state, or all."""
    condition = f" and state eq '{state}'" if state else ""
    found = [_review(row) async for row in query(f"kind eq 'review'{condition}")]
    return sorted(found, key=lambda review: review.grant.granted_at)


async def find_for_update(
    application: str, request_id: str, number: int
) -> tuple[Review, Callable[[Review], Write]] | None:
    """One review, and the write that replaces it in a transaction if it is unchanged until then."""
    row = await read(application, _key(request_id, number))
    return (_review(row), lambda new: Write(row.key, document_of(new), etag=row.etag)) if row else None
