"""What a restore to a place apart needs to know of a kind of data resource."""

from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol, Self

from shared.guard import Permit
from shared.models.backups import DataKind
from shared.models.day2_backups import Check
from shared.models.operations import OperationRecord, PlannedAction, PlannedCall


@dataclass(frozen=True)
class Wish:
    """What is to be restored, and where to.

    Attributes:
        record: the operation that wants it.
        source: ARM id of the resource group of the stage.
        place: ARM id of the group that only this operation uses.
        moment: as it was then.
    """

    record: OperationRecord
    environment: str
    source: str
    place: str
    moment: datetime


@dataclass
class Found:
    """What a stage has of one kind.

    Attributes:
        actions: a restore for each resource.
        scanned: how many there are.
        unreadable: those that cannot be restored, named with the reason.
        afterwards: what a drill calls when the group is gone.
    """

    actions: list[PlannedAction] = field(default_factory=list)
    scanned: int = 0
    unreadable: list[str] = field(default_factory=list)
    afterwards: list[PlannedCall] = field(default_factory=list)

    def add(self, other: Self) -> None:
        """Take what is of another kind, too."""
        self.actions += other.actions
        self.scanned += other.scanned
        self.unreadable += other.unreadable
        self.afterwards += other.afterwards


class Restorable(Protocol):
    """Restores one kind of data resource, and holds what came of it against what it was made from.

    Attributes:
        kind: also the kind of its planned actions.
    """

    kind: DataKind

    async def plan(self, wish: Wish) -> Found:
        """A restore for each resource of the stage; reads only."""
        ...

    async def restore(self, action: PlannedAction, permit: Permit) -> str:
        """Make what was planned, what is there already left as it is; returns what is there, in a few words.

        Raises:
            UnderWayError: it takes longer; a repeat goes on.
        """
        ...

    async def check(self, action: PlannedAction) -> list[Check]:
        """What was restored beside its source; the name of each check begins with that of what was restored."""
        ...
