"""The pull request that proposes to put an environment right, and what became of it."""

from enum import StrEnum

from shared.models import Model


class ProposalState(StrEnum):
    """Where a proposal is.

    ``opening`` and ``withdrawing`` are intents, written before the first call, so that whoever comes after a crash
    finishes them. ``declined``: closed by a person, not proposed again for the same findings. ``closed``: nothing is
    proposed.
    """

    OPENING = "opening"
    OPEN = "open"
    MERGED = "merged"
    ASKED = "asked"
    DECLINED = "declined"
    WITHDRAWING = "withdrawing"
    CLOSED = "closed"


class ProposalRecord(Model):
    """The row of an environment's proposal; there is one at a time, whatever happens to it.

    Attributes:
        round: how many pull requests there have been; it is in the file that the pull request changes, so that the same
            findings can be proposed again.
        digest: of the findings that are shown.
        number, url: of the pull request; None while it is not known.
        earlier: number of the newest pull request of the rounds before.
        detail: a sentence on how it ended.
        merged_by: GitHub login of who merged it, and ``requester`` that person's object id in Entra ID.
        operation: the operation that was asked for by the merge.
    """

    schema_version: int = 1
    application: str
    environment: str
    state: ProposalState = ProposalState.CLOSED
    round: int = 0
    digest: str = ""
    number: int | None = None
    url: str = ""
    earlier: int = 0
    detail: str = ""
    merged_by: str = ""
    requester: str = ""
    operation: str = ""
    updated_at: str = ""
