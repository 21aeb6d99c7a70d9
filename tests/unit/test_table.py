"""What the emulator takes and Table Storage does not."""

import re
from collections.abc import AsyncIterator

import pytest

from shared.register import _table


@pytest.mark.parametrize("count", [0, 1, 14, 15, 100])
async def test_no_question_has_more_comparisons_than_the_service_allows(
    count: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = list[str]()

    async def query(condition: str) -> AsyncIterator[_table.Row]:
        asked.append(condition)
        for key in re.findall(r"RowKey eq '([^']+)'", condition):
            yield _table.Row(key, {}, "etag", "payments-api")

    monkeypatch.setattr(_table, "query", query)
    keys = [f"event:{number}" for number in range(count)]
    assert list(await _table.read_many("payments-api", keys)) == keys
    assert max((condition.count(" eq ") for condition in asked), default=0) <= 15
    assert len(asked) == -(-count // 14)
