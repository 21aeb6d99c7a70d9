"""What Azure Resource Manager allows, shared by several processes: never passed, never wasted, persons first."""

import asyncio
import random
from collections.abc import Callable
from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shared.clients._arm import place_of
from shared.clients._arm_budget import Budget, PausedError
from shared.errors import TransientIntegrationError, VendorCall
from shared.models.token_bucket import EVERYTHING, LIMITS, Bucket, Limit, lease
from tests import virtual_time

WRITES = LIMITS["writes"]
LONGEST = 20.0
PROVIDER = "microsoft.resources"


@dataclass
class Row:
    """The row that the processes share; each look and each write takes its time, and the faster one wins."""

    seconds: float = 0.01
    down: bool = False
    bucket: Bucket | None = None
    version: int = 0
    asked: int = 0
    chance: random.Random = field(default_factory=lambda: random.Random(1))  # noqa: S311 - no secret

    async def change(self, to: Callable[[Bucket | None], Bucket]) -> Bucket:
        for _ in range(50):
            self.asked += 1
            await asyncio.sleep(self.seconds)
            if self.down:
                raise TransientIntegrationError(VendorCall("table storage", "read"), "down")
            seen, new = self.version, to(self.bucket)
            await asyncio.sleep(self.seconds)
            if seen == self.version:
                self.bucket, self.version = new, seen + 1
                return new
            await asyncio.sleep(self.chance.uniform(0, 5 * self.seconds))  # as the register's own loop does
        raise AssertionError("nobody gets through")


@dataclass
class Azure:
    """Azure's own bucket: what it refuses is the proof that we asked for too much."""

    limit: Limit = WRITES
    level: float = field(init=False)
    at: float = virtual_time.START
    done: list[tuple[float, str]] = field(default_factory=list)
    refused: int = 0

    def __post_init__(self) -> None:
        self.level = self.limit.capacity

    def call(self, who: str) -> None:
        now = virtual_time.now()
        self.level = min(self.limit.capacity, self.level + (now - self.at) * self.limit.refill)
        self.at = now
        if self.level < 1 - 1e-6:
            self.refused += 1
            return
        self.level -= 1
        self.done.append((now, who))


def process(row: Row, limit: Limit = WRITES) -> Budget:
    return Budget(limit, row.change, LONGEST, virtual_time.now)


async def many(budget: Budget, azure: Azure, count: int, who: str, *, person: bool) -> None:
    """Calls all at once."""

    async def one() -> None:
        await budget.admit(PROVIDER, person=person)
        azure.call(who)

    await asyncio.gather(*(one() for _ in range(count)))


async def one_by_one(budget: Budget, azure: Azure, count: int, who: str, *, person: bool, seconds: float) -> None:
    """Calls one after the other, each of which takes its time."""
    for _ in range(count):
        await budget.admit(PROVIDER, person=person)
        azure.call(who)
        await asyncio.sleep(seconds)


@pytest.mark.parametrize(("processes", "person"), [(1, True), (1, False), (2, True), (2, False), (6, False)])
def test_600_writes_take_what_they_must_and_none_is_refused(processes: int, person: bool) -> None:
    row, azure = Row(), Azure()

    async def main() -> float:
        began = virtual_time.now()
        each = 600 // processes
        await asyncio.gather(*(many(process(row), azure, each, "x", person=person) for _ in range(processes)))
        return virtual_time.now() - began

    took = virtual_time.run(main())
    assert (azure.refused, len(azure.done)) == (0, 600)
    assert took <= 41.5


def test_a_sequence_asks_the_register_once_for_many_calls_and_a_crowd_in_chunks() -> None:
    row, azure = Row(), Azure()
    virtual_time.run(one_by_one(process(row), azure, 100, "x", person=False, seconds=0.05))
    assert (azure.refused, row.asked) == (0, 5)
    row, azure = Row(), Azure()
    virtual_time.run(many(process(row), azure, 600, "x", person=False))
    assert row.asked < 200


def test_a_person_does_not_wait_for_sweeps() -> None:
    row, azure = Row(), Azure()

    async def main() -> list[float]:
        sweeps = [asyncio.create_task(many(process(row), azure, 400, "sweep", person=False)) for _ in range(3)]
        await asyncio.sleep(30)
        waits = []
        person = process(row)
        for _ in range(30):
            began = virtual_time.now()
            await person.admit(PROVIDER, person=True)
            azure.call("person")
            waits.append(virtual_time.now() - began)
        await asyncio.gather(*sweeps)
        return waits

    waits = virtual_time.run(main())
    assert azure.refused == 0
    assert max(waits[:8]) < 0.1, "the reserve is there at once"
    assert sum(waits) < 3, "after that all that comes is a person's"


def test_sweeps_are_not_starved_by_each_other() -> None:
    row, azure = Row(), Azure()

    async def main() -> None:
        crowd = many(process(row), azure, 400, "crowd", person=False)
        await asyncio.gather(crowd, one_by_one(process(row), azure, 200, "single", person=False, seconds=0.01))

    virtual_time.run(main())
    ends = {who: at - virtual_time.START for at, who in azure.done}
    assert azure.refused == 0
    assert abs(ends["crowd"] - ends["single"]) < 30


def test_what_azure_says_is_left_corrects_every_process() -> None:
    row, azure = Row(), Azure()
    azure.level = 30.0  # somebody else has our identity

    async def main() -> None:
        first, second = process(row), process(row)
        await first.admit(PROVIDER, person=False)
        azure.call("x")
        await first.remaining(int(azure.level), virtual_time.now())
        first._lanes[False].ready.clear()
        await many(second, azure, 100, "x", person=False)

    virtual_time.run(main())
    assert azure.refused == 0


def test_an_old_answer_does_not_slow_anybody_down() -> None:
    row = Row()

    async def main() -> float:
        budget = process(row)
        await budget.admit(PROVIDER, person=False)
        await budget.remaining(0, virtual_time.now() - 30)
        began = virtual_time.now()
        await many(budget, Azure(), 100, "x", person=False)
        return virtual_time.now() - began

    assert virtual_time.run(main()) < 1


def test_a_pause_holds_for_all_processes_and_no_call_is_made_before_its_end() -> None:
    row, azure = Row(), Azure()

    async def main() -> float:
        first, second = process(row), process(row)
        await first.admit(PROVIDER, person=False)
        await first.throttled(EVERYTHING, 12)
        azure.level, azure.at = 0.0, virtual_time.now()
        began = virtual_time.now()
        await asyncio.gather(many(first, azure, 5, "x", person=True), many(second, azure, 5, "x", person=False))
        return min(at for at, _ in azure.done) - began

    assert virtual_time.run(main()) >= 12 - 0.05
    assert azure.refused == 0


def test_a_long_pause_is_told_and_costs_azure_no_call() -> None:
    row = Row()

    async def main() -> None:
        first, second = process(row), process(row)
        await first.throttled(EVERYTHING, 300)
        for budget in (first, second):
            with pytest.raises(PausedError) as raised:
                await budget.admit(PROVIDER, person=True)
            assert 299 < raised.value.wait <= 300
        await asyncio.sleep(300)
        await second.admit(PROVIDER, person=True)

    virtual_time.run(main())


def test_a_pause_of_one_provider_is_none_of_another() -> None:
    async def main() -> float:
        budget = process(Row())
        await budget.throttled("microsoft.compute", 300)
        began = virtual_time.now()
        await budget.admit(PROVIDER, person=False)
        with pytest.raises(PausedError):
            await budget.admit("microsoft.compute", person=False)
        return virtual_time.now() - began

    assert virtual_time.run(main()) < 1


def test_without_the_register_it_goes_on_alone_and_tells_afterwards_what_it_took() -> None:
    row, azure = Row(seconds=0.0, down=True), Azure()

    async def main() -> float:
        budget = process(row)
        began = virtual_time.now()
        await many(budget, azure, 150, "x", person=False)
        took = virtual_time.now() - began
        row.down = False
        await asyncio.sleep(15)
        await budget.admit(PROVIDER, person=True)
        return took

    assert virtual_time.run(main()) < 1
    assert azure.refused == 0
    assert row.bucket is not None
    assert row.bucket.level < WRITES.capacity - 40


def test_a_register_that_hangs_holds_nobody_up_for_long() -> None:
    async def main() -> float:
        budget, began = process(Row(seconds=1000)), virtual_time.now()
        await many(budget, Azure(), 100, "x", person=True)
        return virtual_time.now() - began

    assert virtual_time.run(main()) < 4


CROWDS = st.lists(
    st.tuples(
        st.booleans(),  # for a person
        st.integers(1, 120),  # calls
        st.floats(0, 30),  # when it begins
        st.sampled_from([0.0, 0.02, 0.3]),  # seconds of each call; 0: all at once
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=60, deadline=None)
@given(crowds=CROWDS, kind=st.sampled_from(sorted(LIMITS)), seconds=st.sampled_from([0.001, 0.01, 0.03]))
def test_never_is_more_asked_than_azure_allows(
    crowds: list[tuple[bool, int, float, float]], kind: str, seconds: float
) -> None:
    row, azure = Row(seconds=seconds), Azure(LIMITS[kind])

    async def one(person: bool, count: int, begins: float, pace: float) -> None:
        await asyncio.sleep(begins)
        budget = process(row, LIMITS[kind])
        if pace:
            await one_by_one(budget, azure, count, "x", person=person, seconds=pace)
        else:
            await many(budget, azure, count, "x", person=person)

    async def main() -> None:
        await asyncio.gather(*(one(*crowd) for crowd in crowds))

    virtual_time.run(main())
    assert azure.refused == 0
    assert len(azure.done) == sum(crowd[1] for crowd in crowds)


def test_what_was_taken_ahead_is_not_gained_again_while_it_may_still_be_used() -> None:
    """One takes calls ahead and uses them late; meanwhile the bucket must not be full again."""
    now = virtual_time.START
    bucket = Bucket.full(WRITES, now)
    first = lease(bucket, WRITES, now, wanted=1, most=20, person=False)
    later = first.bucket.refilled(WRITES, now + 4)
    assert later.level + 19 <= WRITES.capacity
    assert later.refilled(WRITES, now + 7).level == WRITES.usable


def test_a_clock_that_is_behind_gains_nothing_and_loses_nothing() -> None:
    bucket = Bucket(level=10, at=virtual_time.START)
    behind = bucket.refilled(WRITES, virtual_time.START - 3)
    assert (behind.level, behind.at) == (10, virtual_time.START)


@pytest.mark.parametrize(
    ("method", "path", "place"),
    [
        ("GET", "/subscriptions/AB/resourceGroups/rg/resources", ("ab", "reads", "microsoft.resources")),
        ("HEAD", "/subscriptions/ab", ("ab", "reads", "microsoft.resources")),
        ("DELETE", "/subscriptions/ab/resourceGroups/rg", ("ab", "deletes", "microsoft.resources")),
        (
            "PATCH",
            "/subscriptions/ab/resourceGroups/rg/providers/Microsoft.Web/sites/x/providers/Microsoft.Resources/tags/default",
            ("ab", "writes", "microsoft.resources"),
        ),
        ("POST", "/subscriptions/ab/providers/Microsoft.Compute/x/y/start", ("ab", "writes", "microsoft.compute")),
    ],
)
def test_what_a_call_counts_against(method: str, path: str, place: tuple[str, str, str]) -> None:
    found = place_of(method, path)
    assert found is not None
    assert (found.subscription, found.kind, found.provider) == place


def test_a_call_outside_of_subscriptions_counts_against_none() -> None:
    assert place_of("GET", "/providers/Microsoft.Management/managementGroups/x") is None
