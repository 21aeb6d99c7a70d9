from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from local.run import timeline


def _row(name: str, branch: str, start: float, end: float | None, **more: object) -> dict[str, object]:
    def text(at: float) -> str:
        return datetime.fromtimestamp(at, UTC).isoformat().replace("+00:00", "Z")

    times = {"startedAt": text(start), "finishedAt": None if end is None else text(end)}
    return {"name": name, "branch": branch, "environment": None, "state": "done", "attempts": 1} | times | more


def test_the_critical_path_is_the_chain_that_had_to_wait() -> None:
    steps = timeline.parse(
        [
            _row("plan", "plan", 0, 4),
            _row("repository", "source", 4, 5),
            _row("apply", "environment", 4.5, 9),
            _row("deploy", "deployment", 10, 16),
        ]
    )
    seconds, chain = timeline.critical_path(steps)
    assert [step.name for step in chain] == ["plan", "apply", "deploy"]
    assert seconds == pytest.approx(4 + 4.5 + 6)
    assert timeline.wall(steps) == pytest.approx(16)


def test_the_time_of_a_pipeline_belongs_to_the_step_that_started_it() -> None:
    steps = timeline.parse([_row("start_plan", "plan", 0, 1), _row("read_plan_result", "plan", 9, 10)])
    assert timeline.critical_path(steps)[0] == pytest.approx(10)


def test_a_running_step_has_no_end_and_is_on_no_path() -> None:
    steps = timeline.parse([_row("plan", "plan", 0, 2), _row("apply", "environment", 2, None, state="running")])
    assert [step.finished for step in steps] == [2, None]
    assert [step.name for step in timeline.critical_path(steps)[1]] == ["plan"]


def test_branches_come_in_the_order_of_the_story() -> None:
    rows = [_row("x", "deployment", 1, 2), _row("y", "other", 0, 1), _row("z", "source", 3, 4)]
    assert list(timeline.by_branch(timeline.parse(rows))) == ["source", "deployment", "other"]


@given(st.lists(st.tuples(st.integers(0, 50), st.integers(0, 20)), max_size=12))
def test_the_critical_path_is_never_longer_than_the_wall_time(spans: list[tuple[int, int]]) -> None:
    rows = [_row(f"s{n}", "source", start, start + length) for n, (start, length) in enumerate(spans)]
    steps = timeline.parse(rows)
    assert timeline.critical_path(steps)[0] <= timeline.wall(steps) + 1e-6


def test_no_steps_take_no_time() -> None:
    assert timeline.wall([]) == 0
    assert timeline.critical_path([]) == (0, [])
