"""The issues of drift, in the application's own repository: one for each finding, closed when it is gone."""

from activities._activity import look
from shared.clients import github_issues
from shared.drift_proposals import LABEL, code
from shared.models.drift import Difference, FindingItem, FindingRecord, FindingState
from shared.models.runs import ActivityInput, Effect
from shared.register import findings

_O, _C = FindingState.OPEN, FindingState.CLOSED


@look
async def ensure_drift_items(data: ActivityInput) -> Effect:
    """Bring the issues of an environment into the state of their findings.

    Idempotency: an issue carries its finding's id and is looked for by it, before and after opening; of two that were
    opened at once the younger one is closed. A finding that comes back opens its issue again.
    """
    run = data.run
    waiting = [
        record
        for record in await findings.of_application(run.application, str(run.environment))
        if (record.item.state if record.item else _C) is not record.state
    ]
    for record in waiting:
        item = await _settled(record)
        await findings.write(record, lambda old, item=item: old.model_copy(update={"item": item}))  # type: ignore[misc]
    return Effect(detail=f"{len(waiting)} issues changed")


async def _settled(record: FindingRecord) -> FindingItem:
    """The finding's one issue, open or closed as the finding is."""
    name, marker = record.application, _marker(record)
    found = await github_issues.find_issues(name, LABEL, marker)
    if not found:
        await github_issues.create_issue(
            name, title=_title(record), body=_body(record), labels=[LABEL, _severity(record)]
        )
        found = await github_issues.find_issues(name, LABEL, marker)
    first, *younger = found
    for issue in younger:
        if issue.state == _O:
            await github_issues.set_issue_state(name, issue.number, _C, "not_planned")
    if first.state != record.state:
        reason = "completed" if record.state is _C else "reopened"
        first = await github_issues.set_issue_state(name, first.number, record.state, reason)
    return FindingItem(number=first.number, url=first.html_url, state=FindingState(first.state))


def _marker(record: FindingRecord) -> str:
    return f"<!-- appstore-finding: {record.id} -->"


def _severity(record: FindingRecord) -> str:
    return f"drift-{record.difference.severity}"


def _title(record: FindingRecord) -> str:
    difference = record.difference
    what = difference.attribute or difference.kind
    return f"Drift in {record.environment}: {difference.address}: {what}"[:250]


def _body(record: FindingRecord) -> str:
    difference = record.difference
    place = f"applications/{record.application}/operations/detect-drift"
    return f"""{_told(difference)}

| | |
| --- | --- |
| severity | {difference.severity} |
| object | {code(difference.address)} |
| attribute | {code(difference.attribute or "the whole object")} |
| the code says | {code(difference.expected)} |
| there is | {code(difference.actual)} |

If the code is right: `POST /api/{place}` with
`{{"environment": "{record.environment}", "parameters": {{"reconcile": "all"}}}}` makes a plan that puts it right, for a
person to approve. If what is there is right, change the code by a request. This issue closes by itself when they agree.

{_marker(record)}
"""


def _told(difference: Difference) -> str:
    if difference.kind == "unapplied":
        return "The code says something that was never applied."
    return "It was changed past the pipeline."
