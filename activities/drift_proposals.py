"""The pull request that proposes to put an environment right: one at a time, in the application's own repository.

Each step writes what it is about to do, does it so that a repeat finds it done, and writes that it is done. Two at once
see each other by the row, and on the branch by GitHub's fast-forward rule. Whatever slips through is harmless: a merge
counts only if the merged file is exactly what the findings of now would write.
"""

from activities._activity import look
from shared import drift_proposals as texts
from shared import shields
from shared.clients import github, github_issues
from shared.clients.github_identities import find_object_id
from shared.errors import ConflictError, RequestRejectedError, TransientIntegrationError, VendorCall
from shared.guard import Action, Permit
from shared.models.drift import Difference, DriftClass, FindingState
from shared.models.drift_proposals import ProposalRecord, ProposalState
from shared.models.operations import RUNNING_STATES, OperationState
from shared.models.runs import ActivityInput, Effect
from shared.register import drift_proposals as proposals
from shared.register import findings, operations

RULE = "propose-drift"
_S = ProposalState
_STEPS = 12
_MARK = "AppStore-Proposal:"
_REFUSED = frozenset({OperationState.REJECTED, OperationState.CANCELLED})
_GONE = "The findings are gone: nothing is left to put right."
_OTHERS = "Other findings are there than those that were merged: nothing is applied. What differs now is proposed anew."
_UNKNOWN = (
    "Nothing is applied: the single sign-on of this organisation does not say who `{}` is, and whoever asks for a "
    "change must not be able to approve it. Ask by `POST /api/applications/{}/operations/detect-drift` with "
    '`{{"reconcile": "all"}}`.'
)


@look
async def ensure_drift_proposal(data: ActivityInput) -> Effect:
    """Bring the environment's pull request into line with its findings and with what people did with it.

    Idempotency: a row says what is about to be done; branch and pull request are found by their names, comments by
    their mark. A pull request that was closed by a person is not opened again for the same findings.
    """
    try:
        row = await settle(data.run.application, str(data.run.environment))
    except RequestRejectedError as error:  # the guard: the detection goes on, the next one tries again
        return Effect(detail=str(error)[:500])
    return Effect(detail=f"the proposal is {row.state}", link=row.url or None)


async def settle(application: str, environment: str) -> ProposalRecord:
    """Take step after step until nothing is left to do.

    Raises:
        RequestRejectedError: the guard keeps it back.
        NotFoundError: the repository or the pull request is gone.
        TransientIntegrationError: GitHub limits us or does not answer, or others change it all the time.
    """
    for _ in range(_STEPS):
        row = await proposals.find(application, environment)
        new = await _step(row)
        if new == row:
            return row
    raise TransientIntegrationError(VendorCall("github", "propose"), f"the proposal of {environment} does not settle")


async def _step(row: ProposalRecord) -> ProposalRecord | None:
    """The row after the next step; the same row when there is none, None when somebody else was faster."""
    found = await _open_findings(row)
    wanted = any(item.drift_class is DriftClass.PROPOSE for item in found)
    digest = texts.digest_of(found)
    new: ProposalRecord | None = row
    match row.state:
        case _S.OPENING if wanted and row.digest == digest:
            new = await _opened(row, found)
        case _S.OPENING | _S.OPEN:
            new = await _watched(row, found, digest, wanted=wanted)
        case _S.WITHDRAWING:
            new = await _withdrawn(row)
        case _S.ASKED | _S.DECLINED if not wanted:
            new = await proposals.replace(row, state=_S.WITHDRAWING, detail=_GONE)
        case _S.ASKED if row.digest == digest:
            new = await _asked(row)
        case _S.ASKED | _S.DECLINED | _S.CLOSED if wanted and (row.state is _S.CLOSED or row.digest != digest):
            new = await _begun(row, digest)
        case _:  # merged: the sweep asks for the operation; declined for these findings; nothing to propose
            pass
    return new


async def _open_findings(row: ProposalRecord) -> list[Difference]:
    known = await findings.of_application(row.application, row.environment)
    return [record.difference for record in known if record.state is FindingState.OPEN]


async def _begun(row: ProposalRecord, digest: str) -> ProposalRecord | None:
    """Write down that the next pull request is to be opened."""
    earlier = max(row.earlier, row.number or 0)
    update = {"round": row.round + 1, "earlier": earlier, "number": None, "url": ""}
    gone = {"detail": "", "merged_by": "", "requester": "", "operation": ""}
    return await proposals.replace(row, state=_S.OPENING, digest=digest, **update, **gone)


async def _asked(row: ProposalRecord) -> ProposalRecord | None:
    """What was asked for by the merge is under way, or was refused by a person, or may be proposed again."""
    operation = await operations.find(row.application, row.operation)
    if operation is None or operation.state in RUNNING_STATES:
        return row
    if operation.state in _REFUSED:
        return await proposals.replace(row, state=_S.DECLINED, detail=f"{operation.id} is {operation.state}")
    return await _begun(row, row.digest)


async def _watched(row: ProposalRecord, found: list[Difference], digest: str, *, wanted: bool) -> ProposalRecord | None:
    """Look what people did with it, and whether it still says what is so."""
    pull = await _pull_of(row)
    if pull is not None and pull.state != "open":
        return await _ended(row, pull, found)
    if not wanted:
        return await proposals.replace(row, state=_S.WITHDRAWING, detail=_GONE)
    if row.digest != digest:
        return await proposals.replace(row, state=_S.OPENING, digest=digest)
    return row


async def _ended(row: ProposalRecord, pull: github.PullAnswer, found: list[Difference]) -> ProposalRecord | None:
    """A person closed or merged it."""
    known = {"number": pull.number, "url": pull.html_url}
    seen = pull.merge_commit_sha or "main" if pull.merged_at else pull.head.sha
    text = await github.read_file(row.application, texts.path(row.environment), seen)
    same = text == texts.record(row.environment, row.round, found)
    if pull.merged_at is None:
        digest = (
            row.digest if same or row.state is _S.OPEN else ""
        )  # an update may have been cut off before it was seen
        return await proposals.replace(row, state=_S.DECLINED, digest=digest, detail="closed without a merge", **known)
    if pull.base.ref != "main":  # where no review was needed, perhaps
        detail = f"merged into {pull.base.ref}, not into main"
        return await proposals.replace(row, state=_S.DECLINED, detail=detail, **known)
    if not same:
        await _tell(row, pull.number, "others", _OTHERS)
        return await proposals.replace(row, state=_S.CLOSED, detail=_OTHERS, **known)
    account = pull.merged_by
    requester = await find_object_id(account.login) if account and account.type == "User" else None
    login = account.login if account else "unknown"
    if not account or not requester:
        text = _UNKNOWN.format(login, row.application)
        await _tell(row, pull.number, "unknown", text)
        return await proposals.replace(row, state=_S.DECLINED, detail=text, digest=texts.digest_of(found), **known)
    update = {"digest": texts.digest_of(found), "merged_by": login, "requester": requester, **known}
    return await proposals.replace(row, state=_S.MERGED, detail=f"merged by {login}", **update)


async def _pull_of(row: ProposalRecord) -> github.PullAnswer | None:
    """The pull request of this round."""
    if row.number is not None:
        return await github.read_pull(row.application, row.number)
    newest = await github.find_pull(row.application, texts.branch(row.environment))
    return newest if newest is not None and newest.number > row.earlier else None


async def _opened(row: ProposalRecord, found: list[Difference]) -> ProposalRecord | None:
    """Open the pull request, or bring it up to date."""
    name = row.application
    pull = await _pull_of(row)
    if pull is not None and pull.state != "open":
        return await _ended(row, pull, found)
    await _allowed(row)
    title, body = texts.title(row.environment, found), texts.body(row.environment, found)
    text = texts.record(row.environment, row.round, found)
    try:
        if pull is None:
            await _branched(row, text)
            pull = await github.create_pull(name, branch=texts.branch(row.environment), title=title, body=body)
        else:
            await _committed(row, text)
            if (pull.title, pull.body) != (title, body):
                await github.edit_pull(name, pull.number, title=title, body=body)
    except ConflictError as error:
        if await _lost(row, error):
            return None
        raise
    await github_issues.add_labels(name, pull.number, [texts.LABEL])
    return await proposals.replace(row, state=_S.OPEN, number=pull.number, url=pull.html_url)


async def _lost(row: ProposalRecord, error: ConflictError) -> bool:
    """Whether somebody else opened the pull request or moved the branch at the same moment."""
    return error.call.operation != "begin branch" and await _pull_of(row) is not None


async def _branched(row: ProposalRecord, text: str) -> None:
    """Begin the branch at ``main``; one that is left of an earlier round begins anew.

    Raises:
        ConflictError: a person has a branch of this name.
    """
    name, branch = row.application, texts.branch(row.environment)
    main = await github.read_head(name, "main") or ""
    commit = await _commit(row, text, main)
    try:
        await github.create_branch(name, branch, commit)
    except ConflictError:
        head = await github.read_head(name, branch)
        if head is None:
            raise
        if row.round == 1 and _MARK not in (await github.read_commit(name, head)).message:
            place = VendorCall("github", "begin branch", 422)
            raise ConflictError(place, f"{name} has a branch {branch} that is not ours") from None
        if head != commit:
            await github.move_branch(name, branch, commit, force=True)


async def _committed(row: ProposalRecord, text: str) -> None:
    """Put the file on top of what is on the branch; GitHub refuses when somebody has moved it meanwhile."""
    name, branch = row.application, texts.branch(row.environment)
    if await github.read_file(name, texts.path(row.environment), branch) == text:
        return
    head = await github.read_head(name, branch)
    if head is None:
        await _branched(row, text)
        return
    await github.move_branch(name, branch, await _commit(row, text, head))


async def _commit(row: ProposalRecord, text: str, parent: str) -> str:
    """The file on top of a commit; dated by the row, so that a repeat makes the very same one."""
    name = row.application
    base = (await github.read_commit(name, parent)).tree.sha
    tree = await github.create_tree(name, [github.File(texts.path(row.environment), text)], base=base)
    message = f"Propose to put {row.environment} right\n\n{_MARK} {row.round}"
    return await github.create_commit(name, message=message, tree=tree, parents=[parent], at=row.updated_at)


async def _withdrawn(row: ProposalRecord) -> ProposalRecord | None:
    """Say why, close it, take the branch away."""
    name, permit = row.application, await _allowed(row)
    pull = await _pull_of(row)
    if pull is not None:
        await _tell(row, pull.number, "gone", row.detail)
        await github.close_pull(name, pull.number, permit)
        row_number = {"number": pull.number, "url": pull.html_url}
    else:
        row_number = {}
    await github.delete_branch(name, texts.branch(row.environment), permit)
    return await proposals.replace(row, state=_S.CLOSED, **row_number)


async def _tell(row: ProposalRecord, number: int, occasion: str, text: str) -> None:
    """Comment once; of two that were written at once the younger one goes."""
    permit = await _allowed(row)
    mark = f"<!-- appstore-proposal: {row.environment} {row.round} {occasion} -->"
    if not await github_issues.find_comments(row.application, number, mark):
        await github_issues.create_comment(row.application, number, f"{text}\n\n{mark}")
        _, *younger = await github_issues.find_comments(row.application, number, mark)
        for comment in younger:
            await github_issues.delete_comment(row.application, comment.id, permit)


async def _allowed(row: ProposalRecord) -> Permit:
    name = row.application
    action = Action(RULE, "pull request", f"{name}/{texts.branch(row.environment)}", name, destructive=False)
    return await shields.allow(action, application=name, owned_by=name)
