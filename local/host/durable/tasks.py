"""Awaitable results and coroutines of the mirror: a tiny, deterministic stand-in for .NET tasks."""

from collections.abc import Callable, Generator, Sequence
from typing import Any

type Steps = Generator[Task, Task, Any]


class TaskFailedError(Exception):
    """What a step awaited has failed for good."""


class Task:
    """Settled once, in event order."""

    def __init__(self) -> None:
        self.done = False
        self.succeeded = False
        self.value: Any = None
        self._callbacks: list[Callable[[Task], None]] = []

    def settle(self, value: Any = None, *, succeeded: bool = True) -> None:
        if self.done:
            return
        self.done, self.succeeded, self.value = True, succeeded, value
        for callback in self._callbacks:
            callback(self)

    def then(self, callback: Callable[["Task"], None]) -> None:
        if self.done:
            callback(self)
        else:
            self._callbacks.append(callback)


def settled() -> Task:
    task = Task()
    task.settle()
    return task


def run(steps: Steps) -> Task:
    """Drive a generator that yields tasks; the result settles when it returns or raises TaskFailedError."""
    result = Task()

    def advance(awaited: Task | None) -> None:
        while True:
            try:
                following = next(steps) if awaited is None else steps.send(awaited)
            except StopIteration as stop:
                result.settle(stop.value)
                return
            except TaskFailedError as failure:
                result.settle(str(failure), succeeded=False)
                return
            if not following.done:
                following.then(advance)
                return
            awaited = following

    advance(None)
    return result


def gather(children: Sequence[Task], *, wait_for_all: bool) -> Task:
    """WhenAll (also when some fail) or WhenAny."""
    result = Task()
    remaining = len(children)
    if wait_for_all and not children:
        result.settle()

    def count(_child: Task) -> None:
        nonlocal remaining
        remaining -= 1
        if remaining == 0 or not wait_for_all:
            result.settle()

    for child in children:
        child.then(count)
    return result
