"""Fetching what the guard must know: what stands above every rule, how far this rule may go, and how it fares."""

from datetime import UTC, datetime, timedelta
from functools import partial

from shared import freezes
from shared.clock import utc_now
from shared.guard import UNDO, Action, Facts, Permit, permit
from shared.guard_rules import GuardRule, guard_rule
from shared.models.controls import Breaker, Scope
from shared.register import controls
from shared.register.controls import Controls

EVERY_STAGE = freezes.EVERYWHERE  # what belongs to no stage is frozen when all of them are


async def facts(
    action: Action, *, application: str, owned_by: str | None, locked: bool = False, approved: bool = False
) -> Facts:
    """What is known about a change at this moment; the rows are read anew for each one."""
    standing = await controls.read_controls()
    rule = guard_rule(action.rule)
    paused = action.rule != UNDO and is_paused(rule, await controls.breaker(action.rule), action.target)
    return facts_of(
        action, standing, rule, application=application, owned_by=owned_by, locked=locked, approved=approved,
        paused=paused,
    )  # fmt: skip


def facts_of(
    action: Action,
    standing: Controls,
    rule: GuardRule,
    *,
    application: str,
    owned_by: str | None,
    locked: bool = False,
    approved: bool = False,
    paused: bool = False,
) -> Facts:
    """What the controls and the rule say about a change."""
    at = utc_now()
    covers = partial(
        Scope.covers, application=application, environment=action.environment, resource=action.target, rule=action.rule
    )
    return Facts(
        mode=rule.mode,
        owned_by=owned_by,
        locked=locked,
        frozen=_frozen(action.environment) or any(f.holds(at) and covers(f.scope) for f in standing.freezes),
        held=any(covers(hold.scope) for hold in standing.holds),
        exempt=any(item.holds(at) and covers(item.scope) for item in standing.exemptions),
        kill_switch=standing.kill_switch.on,
        paused=paused,
        approved=approved,
        approve=frozenset(rule.approve),
    )


def _frozen(environment: str | None) -> bool:
    return freezes.in_force(environment or EVERY_STAGE, datetime.now(UTC)) is not None


async def allow(action: Action, *, application: str, owned_by: str | None, locked: bool = False) -> Permit:
    """Permission for one change, everything that stands above it asked.

    Raises:
        RequestRejectedError: the guard refuses; the sentence says why.
    """
    return permit(action, await facts(action, application=application, owned_by=owned_by, locked=locked))


def is_paused(rule: GuardRule, breaker: Breaker, probe: str) -> bool:
    """Whether the rule's breaker keeps this change back; after the pause one probe may try."""
    if breaker.opened_at is None:
        return False
    until = datetime.fromisoformat(breaker.opened_at) + timedelta(minutes=rule.breaker.minutes)
    return datetime.now(UTC) < until or breaker.probe not in (None, probe)


async def tell_success(rule: str) -> None:
    """A change of the rule succeeded: its failures are forgotten, its breaker closes."""
    await controls.change_breaker(rule, lambda _: Breaker())


async def tell_failure(rule: str) -> Breaker:
    """A change of the rule failed: after so many in a row it pauses; a probe that fails begins the pause again."""
    limit, at = guard_rule(rule).breaker.failures, utc_now()

    def failed(old: Breaker) -> Breaker:
        failures = old.failures + 1
        return Breaker(failures=failures, opened_at=at if failures >= limit else None)

    return await controls.change_breaker(rule, failed)
