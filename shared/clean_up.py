"""What the policies say about a resource at a moment. Pure: document and row in, judgement out."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from typing import Any

from shared.clean_up_filters import DELETE, Seen
from shared.clean_up_rules import Mark, Policy
from shared.models.clean_up import OrphanRecord, OrphanState, TombstoneRecord, TombstoneState

# The operations, and the rules of rules/guard.yaml that they are under.
MARK, REMOVE, RESTORE = "mark-orphans", "clean-up", "restore-tombstone"


@dataclass(frozen=True)
class Judgement:
    """What the policies say.

    Attributes:
        policy, mark: the first policy that marks it, and how; None when none does.
        removed_by: name of the policy by which it may be removed now; empty when none does.
        tags: tags that policies want it to have.
    """

    policy: Policy | None = None
    mark: Mark | None = None
    removed_by: str = ""
    tags: dict[str, str] = field(default_factory=dict)


def judge(
    policies: Sequence[Policy], document: Mapping[str, Any], at: datetime, orphan: OrphanRecord | None
) -> Judgement:
    """Ask every policy about a resource.

    The tags that mirror our marks are hidden from the filters: they show the row and decide nothing, so that a policy
    that leaves out what is tagged already does not take its own mark back.

    Raises:
        UnreadableResourceError: a filter cannot be asked about it.
    """
    mirrors = {policy.mark.tag.lower() for policy in policies if policy.mark}
    tags = {name: value for name, value in (document.get("tags") or {}).items() if name.lower() not in mirrors}
    group = str(document["id"]).split("/")[4]  # in the casing of the id, as Cloud Custodian has it
    bare = {**document, "tags": tags, "resourceGroup": group}
    marked = next((policy for policy in policies if policy.mark and policy.means(Seen(bare, at))), None)
    wanted: dict[str, str] = {}
    for policy in policies:
        if policy.tags and policy.means(Seen(bare, at)):
            wanted |= policy.tags
    removed_by = _removed_by(policies, Seen(bare, at, lambda tag, skew: is_due(orphan, tag, at, skew)), orphan)
    return Judgement(marked, marked.mark if marked else None, removed_by, wanted)


def _removed_by(policies: Sequence[Policy], seen: Seen, orphan: OrphanRecord | None) -> str:
    if orphan is None or not was_announced(orphan, seen.at.date()):
        return ""
    found = (
        policy.name
        for policy in policies
        if policy.removes and (policy.waits or seen.is_due(orphan.tag, timedelta())) and policy.means(seen)
    )
    return next(found, "")


def is_due(orphan: OrphanRecord | None, tag: str, at: datetime, skew: timedelta) -> bool:
    """Whether it is marked under this tag, and its day, less so much, has come."""
    if orphan is None or orphan.state is not OrphanState.MARKED or orphan.due is None:
        return False
    return orphan.tag.lower() == tag.lower() and (at + skew).date() >= orphan.due


def was_announced(orphan: OrphanRecord, today: date) -> bool:
    """Whether its team was told, and a day has passed since: also after a hold that outlasted the days of grace."""
    return orphan.told_on is not None and orphan.told_on < today


def sighted(orphan: OrphanRecord | None, fresh: OrphanRecord) -> OrphanRecord:
    """The row after a sweep saw it: one sweep counts once, and what is marked keeps its day."""
    if orphan is None:
        return fresh
    if fresh.last_seen <= orphan.last_seen:
        return orphan
    return orphan.model_copy(
        update={"sightings": orphan.sightings + 1, "last_seen": fresh.last_seen, "policy": fresh.policy}
    )


def marked(orphan: OrphanRecord, mark_tag: str, due: date, today: date) -> OrphanRecord:
    """The row with its mark; a second mark changes nothing."""
    if orphan.state is OrphanState.MARKED:
        return orphan
    return orphan.model_copy(
        update={"state": OrphanState.MARKED, "marked_on": today, "due": due, "tag": mark_tag, "told": []}
    )


def mirror(due: date) -> str:
    """What the tag says: in Cloud Custodian's own form, so that its reports understand it."""
    return f"Resource does not meet policy: {DELETE}@{due:%Y/%m/%d}"


def due_notice(orphan: OrphanRecord, today: date, notices: Sequence[int]) -> int | None:
    """The notice that should have been given by now and was not: the latest that is due, as days before the removal."""
    if orphan.state is not OrphanState.MARKED or orphan.due is None:
        return None
    left = (orphan.due - today).days
    rung = min((days for days in notices if left <= days), default=None)
    return None if rung in orphan.told else rung


def why_not_restored(record: TombstoneRecord | None, now: datetime) -> str | None:
    """Why something cannot be brought back, or None when it can."""
    if record is None:
        return "there is no such tombstone"
    if record.state is not TombstoneState.KEPT:
        return f"it is {record.state}"
    return f"its time was over at {record.keep_until}" if datetime.fromisoformat(record.keep_until) <= now else None
