"""Work asked for several times at once."""

import asyncio

import pytest

from shared.single_flight import SingleFlight


async def test_it_is_done_once_and_a_new_one_begins_after_its_end() -> None:
    flights: SingleFlight[int] = SingleFlight()
    gate, begun = asyncio.Event(), 0

    async def work() -> int:
        nonlocal begun
        begun = number = begun + 1
        await gate.wait()
        return number

    waiting = [asyncio.ensure_future(flights.join("a", work)) for _ in range(3)]
    other = asyncio.ensure_future(flights.join("b", work))
    await asyncio.sleep(0)
    waiting[0].cancel()  # whoever came first and left takes nobody with him
    gate.set()
    assert await asyncio.gather(*waiting[1:], other) == [1, 1, 2]
    assert await flights.join("a", work) == 3


async def test_its_failure_is_everybodys_and_is_not_remembered() -> None:
    flights: SingleFlight[int] = SingleFlight()

    async def fail() -> int:
        raise OSError("down")

    async def succeed() -> int:
        return 1

    results = await asyncio.gather(*(flights.join("a", fail) for _ in range(2)), return_exceptions=True)
    assert [str(result) for result in results] == ["down", "down"]
    assert await flights.join("a", succeed) == 1
    with pytest.raises(OSError, match="down"):
        await flights.join("a", fail)
