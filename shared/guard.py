"""The guard: every removal, and every change of a Day-2 operation, asks here first.

``decide`` is pure; ``shared/shields.py`` and the activity fetch the facts. A client's removing call takes a ``Permit``,
and a ``Permit`` can only be had from ``permit``, so that an unguarded removal does not type-check.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.errors import RequestRejectedError

UNDO: Final = "undo"  # taking back what a request made: a person asked for exactly that
REMOVE_DRILL: Final = "remove-drill"  # taking away what a drill restored: nothing of the application changes


class Mode(StrEnum):
    """How far a rule may go."""

    OFF = "off"
    OBSERVE = "observe"
    PROPOSE = "propose"
    ACT = "act"


class Verdict(StrEnum):
    """What the guard says."""

    ALLOW = "allow"
    PROPOSE = "propose"
    REFUSE = "refuse"


@dataclass(frozen=True)
class Action:
    """A change that somebody wants.

    Attributes:
        rule: the reason it is wanted: ``undo``, or a rule of ``rules/guard.yaml``.
        kind: kind of object, for example ``github repository``.
        target: natural key of the object.
        owner: on whose behalf: a request id, or an application.
        environment: stage that the object belongs to; None for the application as a whole.
        destructive: whether something is taken away.
        reversible: whether it can be undone.
    """

    rule: str
    kind: str
    target: str
    owner: str
    environment: str | None = None
    destructive: bool = True
    reversible: bool = True


@dataclass(frozen=True)
class Facts:
    """What was found out about the target just before the change.

    Attributes:
        mode: how far the rule may go.
        owned_by: the owner that the object carries; None when it carries none.
        locked: a lock lies on the object.
        frozen: a change freeze is in force.
        held: a legal hold lies on the object.
        exempt: an exemption takes the object from the rule.
        kill_switch: an operator stopped all changes.
        paused: the rule's breaker is open.
        spent: the rule's budget for this hour or day is used up.
        approved: a person decided that exactly this is done.
        approve: environments in which a person decides even in mode act.
    """

    mode: Mode = Mode.ACT
    owned_by: str | None = None
    locked: bool = False
    frozen: bool = False
    held: bool = False
    exempt: bool = False
    kill_switch: bool = False
    paused: bool = False
    spent: bool = False
    approved: bool = False
    approve: frozenset[str] = frozenset()


@dataclass(frozen=True)
class GuardDecision:
    """The verdict, and why."""

    verdict: Verdict
    reason: str


_SHIELDS: Final = (
    ("kill_switch", "the kill switch is on"),
    ("held", "a legal hold lies on it"),
    ("locked", "it is locked"),
    ("frozen", "a change freeze is in force"),
    ("exempt", "an exemption takes it from the rule"),
)
_UNFROZEN: Final = frozenset({REMOVE_DRILL})  # a freeze holds changes of applications back, and this is none
_LIMITS: Final = (
    ("paused", "the rule pauses after failures in a row"),
    ("spent", "the rule's budget is used up"),
)
_FINAL_WORD: Final = "prod"  # what cannot be undone there is decided by a person, whatever the mode
_SEAL: Final = object()


@dataclass(frozen=True)
class Permit:
    """Proof that the guard allowed one removal; only ``permit`` makes one."""

    action: Action
    seal: object

    def __post_init__(self) -> None:
        """Refuse a permit that was not made by the guard."""
        if self.seal is not _SEAL:
            raise TypeError("a Permit comes from guard.permit only")


def decide(action: Action, facts: Facts) -> GuardDecision:
    """Whether the change may happen. Shields always win, then ownership, then limits, then mode and people."""
    refusal = _refusal(action, facts)
    if refusal:
        return GuardDecision(Verdict.REFUSE, f"{action.kind} {action.target} {refusal}")
    if facts.approved:
        return GuardDecision(Verdict.ALLOW, "a person decided so")
    question = _question(action, facts)
    return (
        GuardDecision(Verdict.PROPOSE, question) if question else GuardDecision(Verdict.ALLOW, "nothing is against it")
    )


def _refusal(action: Action, facts: Facts) -> str | None:
    """Why it must not happen, whoever wants it; None when it may."""
    shield = next((reason for name, reason in _SHIELDS if getattr(facts, name) and not _passes(action, name)), None)
    if shield:
        return f"stays: {shield}"
    if facts.owned_by != action.owner:
        return f"stays: it belongs to {facts.owned_by or 'nobody we know'}, not to {action.owner}"
    if facts.mode in (Mode.OFF, Mode.OBSERVE):
        return f"stays: the rule's mode is {facts.mode}"
    limit = next((reason for name, reason in _LIMITS if getattr(facts, name)), None)
    return f"waits: {limit}" if limit else None


def _passes(action: Action, shield: str) -> bool:
    """Whether the action is not what the shield is there for."""
    return shield == "frozen" and action.rule in _UNFROZEN


def _question(action: Action, facts: Facts) -> str | None:
    """Why a person has to decide; None when nobody has to."""
    if facts.mode is Mode.PROPOSE:
        return "the rule may only propose"
    if action.environment in facts.approve:
        return f"the rule leaves {action.environment} to a person"
    lost = action.destructive and not action.reversible and action.rule != UNDO
    return "it cannot be undone, and it is production" if lost and action.environment == _FINAL_WORD else None


def permit(action: Action, facts: Facts) -> Permit:
    """Permission for one change.

    Raises:
        RequestRejectedError: the guard refuses; the sentence says why.
    """
    decision = decide(action, facts)
    if decision.verdict is not Verdict.ALLOW:
        raise RequestRejectedError("guard-refused", decision.reason, status=409)
    return Permit(action, _SEAL)
