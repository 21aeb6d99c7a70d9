"""How the data of an application is protected beside what is demanded. Pure: rows and rule in, sentences out."""

from collections.abc import Iterable, Sequence
from datetime import date, datetime, timedelta

from shared.backup_rules import BackupRule
from shared.canonical import sha256_hex
from shared.models.backups import Coverage, DataResource, DrillRecord, LastDrill

_SPREAD = 6  # drills begin up to a sixth of their interval early, so that not all of them are due on one day
_FIRST_WEEK = 7  # a new application's first drill


def coverage(
    resource: DataResource, rule: BackupRule, drills: Iterable[DrillRecord], now: datetime, made: date
) -> Coverage:
    """What protects a resource, and what is wrong with it.

    Args:
        resource: as Azure describes it.
        rule: what its stage demands.
        drills: those of the application, newest first.
        now: the moment.
        made: day on which the application was ordered.
    """
    mine = [item for item in drills if item.resource.lower() == resource.id.lower() and item.ended_at]
    last = _last(mine)
    due = _latest_day(mine, rule, made) if resource.kind in rule.drilled else None
    kept = (*_retention(resource, rule), *_points(resource, rule, now))
    said = (*kept, *_drilled(last, rule), *_overdue(due, mine, now), *_left(mine))
    return Coverage(
        resource=resource,
        demanded_days=rule.retention_days,
        last_drill=last,
        drill_due=due.isoformat() if due else None,
        violations=[f"{resource.name}: {sentence}." for sentence in said],
    )


def _last(drills: Sequence[DrillRecord]) -> LastDrill | None:
    if not drills:
        return None
    newest = drills[0]
    return LastDrill(
        operation=newest.operation,
        at=newest.ended_at or newest.begun_at,
        passed=bool(newest.passed),
        failed=[check.name for check in newest.checks if not check.passed],
        rto_seconds=newest.rto_seconds,
        rpo_seconds=newest.rpo_seconds,
        residue=newest.residue,
    )


def _retention(resource: DataResource, rule: BackupRule) -> list[str]:
    found = list(resource.gaps)
    if not resource.policy:
        found.append("it has no backup policy")
    elif resource.retention_days < rule.retention_days:
        found.append(f"it can be brought back for {resource.retention_days} days; {rule.retention_days} are demanded")
    return found


def _points(resource: DataResource, rule: BackupRule, now: datetime) -> list[str]:
    if resource.latest is None:
        return ["it has no good recovery point"]
    age = (now - datetime.fromisoformat(resource.latest)).total_seconds() / 60
    if age > rule.rpo_minutes:
        return [f"its last good recovery point is {age:.0f} minutes old; {rule.rpo_minutes:g} are allowed"]
    return []


def _drilled(last: LastDrill | None, rule: BackupRule) -> list[str]:
    if last is None:
        return []
    if not last.passed:
        failed = f": {', '.join(last.failed)}" if last.failed else ""
        return [f"its last drill ({last.operation}) failed{failed}"]
    return [
        f"its last drill took {seconds / 60:.0f} minutes to {what}; {limit:g} are allowed"
        for what, seconds, limit in (
            ("restore it", last.rto_seconds, rule.rto_minutes),
            ("reach the present again", last.rpo_seconds, rule.rpo_minutes),
        )
        if seconds is not None and seconds > limit * 60
    ]


def _overdue(due: date | None, drills: Sequence[DrillRecord], now: datetime) -> list[str]:
    if due is None or now.date() <= due:
        return []
    proven = any(item.passed for item in drills)
    return [f"its {'next' if proven else 'first'} drill was due by {due}"]


def _left(drills: Sequence[DrillRecord]) -> list[str]:
    """Copies of the data that should be gone."""
    return [
        f"what its drill ({drill.operation}) restored is still there: {drill.kept}"
        for drill in drills
        if drill.kept and drill.removed_at is None
    ]


def _latest_day(drills: Sequence[DrillRecord], rule: BackupRule, made: date) -> date | None:
    """The last day on which the next drill is in time."""
    if not rule.drill_days:
        return None
    passed = next((item for item in drills if item.passed), None)
    if passed is None:
        return made + timedelta(days=min(_FIRST_WEEK, rule.drill_days))
    return _day_of(passed) + timedelta(days=rule.drill_days)


def _day_of(drill: DrillRecord) -> date:
    """The day on which a drill ended."""
    return datetime.fromisoformat(drill.ended_at or drill.begun_at).date()


def due_on(
    stage: tuple[str, str], resources: Iterable[str], drills: Sequence[DrillRecord], rule: BackupRule, made: date
) -> date | None:
    """The day on which a stage's next drill begins: that of the resource whose turn is first; None: never.

    The day is early by a share of the interval that only the name decides: asked again, it is the same day.

    Args:
        stage: application and environment.
        resources: ARM ids of what has to be drilled there; without any there is nothing to ask for.
        drills: those of the application, newest first.
        rule: what the stage demands.
        made: day on which the application was ordered.
    """
    days = list[tuple[date, bool]]()
    for resource in resources:
        mine = [item for item in drills if item.ended_at and item.resource.lower() == resource.lower()]
        latest = _latest_day(mine, rule, made)
        if latest is not None:
            days.append((latest, any(item.passed for item in mine)))
    if not days:
        return None
    latest, proven = min(days)
    interval = rule.drill_days if proven else min(_FIRST_WEEK, rule.drill_days)
    number = int(sha256_hex("\x00".join(stage).encode())[:8], 16)
    return latest - timedelta(days=number % (interval // _SPREAD + 1))
