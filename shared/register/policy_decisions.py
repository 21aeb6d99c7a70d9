"""The rules' decisions on a request, kept beside it: append-only, one row for the same question to the same rules."""

from collections.abc import Sequence

from shared.canonical import digest
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.policy_decision import PolicyDecision
from shared.register._table import RowConflictError, Write, commit, document_of, read_many, scan

_TRIES = 3


def _key(decision: PolicyDecision) -> str:
    """Row key: the same input, rules and findings are the same decision, whoever asks again."""
    said = [decision.deny, decision.require_approval, decision.warn, decision.engine]
    what = [decision.package, decision.about.environment, decision.revision, decision.input_digest, said]
    return f"policy-decision:{decision.about.request_id}:{digest(what)[:24]}"


def insertion(decision: PolicyDecision) -> Write:
    """The row of a decision that is written together with what was decided about."""
    return Write(_key(decision), document_of(decision))


async def keep(application: str, decisions: Sequence[PolicyDecision]) -> None:
    """Write the decisions that are not there yet; those that are stay as they are.

    Raises:
        TransientIntegrationError: the storage account does not answer.
    """
    writes = {_key(decision): insertion(decision) for decision in decisions}
    for _ in range(_TRIES):
        present = await read_many(application, list(writes)) if writes else {}
        missing = [write for key, write in writes.items() if key not in present]
        if not missing:
            return
        try:
            await commit(application, missing)
        except RowConflictError:  # somebody else wrote one of them in between
            continue
        return
    raise TransientIntegrationError(VendorCall("table storage", "write", 409), "decisions are written too often")


async def of_request(application: str, request_id: str) -> list[PolicyDecision]:
    """The decisions on a request, oldest first."""
    prefix = f"policy-decision:{request_id}:"
    rows = [PolicyDecision.model_validate(row.document) async for row in scan(application, prefix)]
    return sorted(rows, key=lambda decision: (decision.at, decision.package, decision.about.environment))
