"""The guard: every removal asks here first.

``decide`` is pure; the activity fetches the facts. A client's removing call takes a ``Permit``, and a ``Permit`` can
only be had from ``permit``, so that an unguarded removal does not type-check.
"""

from dataclasses import dataclass
from enum import StrEnum
from typing import Final

from shared.errors import RequestRejectedError


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
    """A removal that somebody wants.

    Attributes:
        rule: the reason it is wanted, for example ``undo``.
        kind: kind of object, for example ``github repository``.
        target: natural key of the object.
        owner: request id on whose behalf it is removed.
    """

    rule: str
    kind: str
    target: str
    owner: str


@dataclass(frozen=True)
class Facts:
    """What was found out about the target just before the removal.

    Attributes:
        mode: how far the rule may go.
        owned_by: request id that the object carries; None when it carries none.
        locked: a lock lies on the object.
        frozen: a change freeze is in force.
        held: a legal hold lies on the object.
        kill_switch: an operator stopped all mutations.
    """

    mode: Mode = Mode.ACT
    owned_by: str | None = None
    locked: bool = False
    frozen: bool = False
    held: bool = False
    kill_switch: bool = False


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
)
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
    """Whether the removal may happen. Shields always win, then ownership, then the mode."""
    for name, reason in _SHIELDS:
        if getattr(facts, name):
            return GuardDecision(Verdict.REFUSE, f"{action.kind} {action.target} stays: {reason}")
    if facts.owned_by != action.owner:
        owner = facts.owned_by or "nobody we know"
        return GuardDecision(
            Verdict.REFUSE, f"{action.kind} {action.target} stays: it belongs to {owner}, not to {action.owner}"
        )
    if facts.mode is Mode.ACT:
        return GuardDecision(Verdict.ALLOW, "made by this request")
    if facts.mode is Mode.PROPOSE:
        return GuardDecision(Verdict.PROPOSE, "the rule may only propose")
    return GuardDecision(Verdict.REFUSE, f"the rule's mode is {facts.mode}")


def permit(action: Action, facts: Facts) -> Permit:
    """Permission for one removal.

    Raises:
        RequestRejectedError: the guard refuses; the sentence says why.
    """
    decision = decide(action, facts)
    if decision.verdict is not Verdict.ALLOW:
        raise RequestRejectedError("guard-refused", decision.reason, status=409)
    return Permit(action, _SEAL)
