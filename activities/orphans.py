"""Orphans: seen, marked when they were seen often enough, announced. The register decides, a tag only shows it."""

from collections.abc import AsyncIterator, Sequence
from datetime import date, timedelta
from itertools import batched

from activities._activity import activity, look
from activities._guarded import Done, action_of, carry_out, keep_survey
from shared import clean_up, notices, shields, tagging
from shared.canonical import sha256_hex
from shared.clean_up_filters import UnreadableResourceError
from shared.clients import resources
from shared.clients.resource_graph import InventoryItem, Unreadable, read_inventory
from shared.errors import TransientIntegrationError, VendorCall
from shared.guard import Permit, Verdict, decide
from shared.guard_rules import guard_rule
from shared.models.clean_up import OrphanRecord, OrphanState
from shared.models.messages import IntentRecord
from shared.models.operations import ActionRecord, PlannedAction, PlannedCall, Survey, Wave, WaveResult
from shared.models.runs import ActivityInput, Effect
from shared.register import controls, orphans
from shared.settings import AppStoreSettings, load
from shared.sweeps import Sweep, sweep_of

_MARK, _UNMARK, _TAG = "mark", "unmark", "tag"
_IN_ONE_MESSAGE = 30


@look
async def list_orphans(data: ActivityInput) -> Effect:
    """Look at every resource of the application's groups, count what nothing uses, and plan the marks that follow.

    Idempotency: a sighting counts once for each day; the planned actions are written over those of an earlier survey.
    """
    sweep = await sweep_of(data)
    known = await sweep.orphans()
    actions, unreadable, seen, scanned = list[PlannedAction](), list[str](), set[str](), 0
    async for item in _inventory(sweep):
        scanned += 1
        if isinstance(item, Unreadable):
            unreadable.append(item.why)
            seen.add(item.id.lower())
            continue
        seen.add(item.id.lower())
        try:
            actions += await _judged(sweep, item, known.get(item.id.lower()))
        except UnreadableResourceError as error:
            unreadable.append(f"{item.id}: {error}")
    for resource in known.keys() - seen:
        await _forget(sweep, known[resource])
    marks = [action for action in actions if action.facts["do"] == _MARK]
    locked = [action.target for action in marks if await resources.is_locked(action.target)]
    survey = Survey(
        actions=[action for action in actions if action not in marks or action.target not in locked],
        scanned=scanned,
        unreadable=unreadable,
        summary=f"{len(marks) - len(locked)} of {scanned} resources to mark, {len(actions) - len(marks)} other changes",
        facts={"locked": locked},
    )
    return await keep_survey(data, survey)


async def _inventory(sweep: Sweep) -> AsyncIterator[InventoryItem | Unreadable]:
    """The resources of these groups that any policy is about."""
    types = sorted({policy.kind.type for policy in sweep.policies})
    subscriptions = sorted({group.split("/")[2] for group in sweep.groups.values()})
    names = sorted({group.rpartition("/")[2] for group in sweep.groups.values()})
    async for item in read_inventory(subscriptions, types, names):
        if isinstance(item, Unreadable) or sweep.stage_of(item.id):
            yield item


async def _judged(sweep: Sweep, item: InventoryItem, orphan: OrphanRecord | None) -> list[PlannedAction]:
    """Count a sighting, and what follows from it; raises UnreadableResourceError."""
    said = clean_up.judge(sweep.policies, item.document(), sweep.at, orphan)
    stage = str(sweep.stage_of(item.id))
    actions = _tags(sweep, item, stage, said.tags)
    if said.policy is None or said.mark is None:
        return [*actions, *(await _not_any_more(sweep, item, orphan))]
    today = sweep.at.date()
    fresh = OrphanRecord(
        application=sweep.application.name,
        environment=stage,
        resource=item.id,
        kind=item.type,
        policy=said.policy.name,
        first_seen=today,
        last_seen=today,
    )
    counted = clean_up.sighted(orphan, fresh)
    if not sweep.operation.dry_run:
        counted = await _count(counted, fresh)
    if counted.state is OrphanState.MARKED and counted.due:
        return [*actions, *_mirrored(sweep, item, counted, counted.tag, counted.due)]
    if counted.sightings < said.policy.sightings:
        return actions
    return [*actions, *_mirrored(sweep, item, counted, said.mark.tag, today + timedelta(days=said.mark.days))]


async def _count(counted: OrphanRecord, fresh: OrphanRecord) -> OrphanRecord:
    written = await orphans.change(fresh.application, fresh.resource, lambda old: clean_up.sighted(old, fresh))
    return written or counted


async def _not_any_more(sweep: Sweep, item: InventoryItem, orphan: OrphanRecord | None) -> list[PlannedAction]:
    """Something uses it again: what was counted is forgotten, a mark is taken back."""
    if orphan is None:
        return []
    shown = {name: value for name, value in (item.tags or {}).items() if name.lower() == orphan.tag.lower()}
    if orphan.state is OrphanState.WATCHED or not shown:
        await _forget(sweep, orphan)
        return []
    call = PlannedCall(method="PATCH", target=f"{item.id}{resources.TAGS_SUFFIX}", body=resources.deletion_of(shown))
    words = "in use again: take the mark back"
    return [_planned(sweep, item, orphan.environment, call, words, do=_UNMARK, tags=shown)]


async def _forget(sweep: Sweep, orphan: OrphanRecord) -> None:
    if not sweep.operation.dry_run:
        await orphans.change(orphan.application, orphan.resource, lambda _: None)


def _mirrored(sweep: Sweep, item: InventoryItem, orphan: OrphanRecord, tag: str, due: date) -> list[PlannedAction]:
    """The mark, if the resource does not show it yet."""
    wanted = {tag: clean_up.mirror(due)}
    if not tagging.lacking(item.tags or {}, wanted) and orphan.state is OrphanState.MARKED:
        return []
    words = f"unused since {orphan.first_seen} ({orphan.policy}): mark for removal on {due}"
    facts = {"do": _MARK, "tag": tag, "due": due.isoformat(), "today": sweep.at.date().isoformat()}
    call = PlannedCall(method="PATCH", target=f"{item.id}{resources.TAGS_SUFFIX}", body=resources.merge_of(wanted))
    return [_planned(sweep, item, orphan.environment, call, words, **facts)]


def _tags(sweep: Sweep, item: InventoryItem, stage: str, wanted: dict[str, str]) -> list[PlannedAction]:
    lacks = tagging.lacking(item.tags or {}, wanted)
    if not lacks:
        return []
    call = PlannedCall(method="PATCH", target=f"{item.id}{resources.TAGS_SUFFIX}", body=resources.merge_of(lacks))
    return [_planned(sweep, item, stage, call, f"set {', '.join(sorted(lacks))}", do=_TAG, tags=lacks)]


def _planned(
    sweep: Sweep, item: InventoryItem, stage: str, call: PlannedCall, summary: str, **facts: object
) -> PlannedAction:
    return PlannedAction(
        key=f"{facts['do']}:{item.id.lower()}",
        rule=clean_up.MARK,
        kind=str(facts["do"]),
        target=item.id,
        environment=stage,
        owned_by=tagging.owner_of(item.tags) or sweep.application.name,  # it lies in a group made for the application
        summary=summary,
        calls=[call],
        facts=facts,
    )


@activity
async def set_marks(data: Wave) -> WaveResult:
    """Mark what was seen often enough, take back the marks of what is used again, set the tags of policies.

    Idempotency: the row keeps its first day, and tags are merged or taken away one by one: the same twice is the same.
    """
    return await carry_out(data, _set)


async def _set(row: ActionRecord, permit: Permit) -> Done:
    action, facts = row.action, row.action.facts
    application = permit.action.owner
    if facts["do"] == _UNMARK:
        await resources.delete_tags(action.target, facts["tags"], permit)
        await orphans.change(application, action.target, lambda _: None)
    elif facts["do"] == _MARK:
        due, today = date.fromisoformat(facts["due"]), date.fromisoformat(facts["today"])

        def marked(old: OrphanRecord | None) -> OrphanRecord | None:
            return clean_up.marked(old, facts["tag"], due, today) if old else None

        written = await orphans.change(application, action.target, marked)
        if written is None or written.due is None:
            return Done(detail="it is used again", gone=True)
        await resources.merge_tags(action.target, {written.tag: clean_up.mirror(written.due)}, permit)
    else:
        await resources.merge_tags(action.target, facts["tags"], permit)
    return Done(detail=action.summary)


@look
async def send_removal_notices(data: ActivityInput) -> Effect:
    """Tell the team's channel what will be removed, at each of the days before it that the settings name.

    What a shield keeps is not announced.

    Idempotency: the rows say what was told, and are written together with the message.
    """
    sweep = await sweep_of(data)
    today, told = sweep.at.date(), 0
    due: dict[int, list[OrphanRecord]] = {}
    for orphan in await _not_kept(sweep):
        rung = clean_up.due_notice(orphan, today, sweep.settings.notices)
        if rung is not None:
            due.setdefault(rung, []).append(orphan)
    for rung, found in sorted(due.items()):
        for part in batched(sorted(found, key=lambda orphan: orphan.resource), _IN_ONE_MESSAGE, strict=False):
            await _tell(sweep, part, rung)
            told += len(part)
    return Effect(detail=f"{told} announced")


async def _not_kept(sweep: Sweep) -> list[OrphanRecord]:
    """What the rule of removals may remove, as things stand."""
    standing, rule, found = await controls.read_controls(), guard_rule(clean_up.REMOVE), list[OrphanRecord]()
    for orphan in (await sweep.orphans()).values():
        wanted = PlannedAction(
            key=orphan.resource,
            rule=clean_up.REMOVE,
            kind=orphan.kind,
            target=orphan.resource,
            environment=orphan.environment,
            owned_by=orphan.application,
            summary="",
            destructive=True,
        )
        action = action_of(wanted, orphan.application)
        facts = shields.facts_of(action, standing, rule, application=orphan.application, owned_by=orphan.application)
        if decide(action, facts).verdict is not Verdict.REFUSE:
            found.append(orphan)
    return found


async def _tell(sweep: Sweep, part: Sequence[OrphanRecord], rung: int) -> None:
    today = sweep.at.date()
    told = [(orphan, orphan.model_copy(update={"told": [*orphan.told, rung], "told_on": today})) for orphan in part]
    if not await orphans.announce(sweep.application.name, told, _messages(sweep, part, rung)):
        call = VendorCall("table storage", "transaction", 412)
        raise TransientIntegrationError(call, "somebody else writes these orphans")


def _messages(sweep: Sweep, part: Sequence[OrphanRecord], rung: int) -> list[IntentRecord]:
    base = f"{load(AppStoreSettings).public_url.rstrip('/')}/api"
    message = notices.removal(sweep.request, part, rung, base=base)
    what = [f"{orphan.resource.lower()} {orphan.due} {rung}" for orphan in part]
    occasion = int(sha256_hex("\n".join(what).encode())[:12], 16)
    return notices.due(sweep.request, message, occasion, sweep.operation.created_at)
