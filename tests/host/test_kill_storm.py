"""SIGKILL at random moments: nothing lost, nothing wrong, nothing stuck."""

import random
import threading
from collections.abc import Callable
from typing import Any

import httpx
import pytest

DURABLE = "/runtime/webhooks/durabletask"


def expected(number: int, name: str) -> dict[str, Any]:
    rest = [2 * number, 2 * (number + 1), 8, 2 * (number + 2)]
    return {"first": 2 * number, "rest": rest, "name": name, "expired": True}


class Starter:
    """Starts instances one after another, repeating what no host acknowledged."""

    def __init__(self, host: Any, count: int) -> None:
        self.pending = {f"req-{n}:storm:1": n for n in range(count)}
        self.started: dict[str, int] = {}
        self._host = host

    def go(self, until: int) -> None:
        """Start until so many are acknowledged; a host that dies ends the round."""
        while self.pending and len(self.started) < until:
            instance, number = next(iter(self.pending.items()))
            try:
                answer = self._host.post(f"{DURABLE}/orchestrators/storm/{instance}", json=str(number))
            except httpx.TransportError:
                return
            # 500: the start was committed, the answer was lost in the kill.
            assert answer.status_code == 202 or "already exists" in answer.text
            self.started[instance] = self.pending.pop(instance)


def rage(host: Any, count: int, kills: int, seed: int) -> dict[str, int]:
    """Start `count` instances while the host is killed `kills` times."""
    moments = random.Random(seed)  # noqa: S311 - repeatable moments
    starter = Starter(host, count)
    for kill in range(1, kills + 1):
        host.start()
        starting = threading.Thread(target=starter.go, args=(count * kill // kills,))
        starting.start()
        threading.Event().wait(moments.uniform(0.15, 1.2))
        host.kill()
        starting.join(10)
    host.start()
    starter.go(count)
    return starter.started


def judge(host: Any, started: dict[str, int], eventually: Callable[..., None], within: float) -> None:
    def unfinished() -> list[Any]:
        states = "Pending,Running,ContinuedAsNew,Suspended"
        found: list[Any] = host.get(f"{DURABLE}/instances?runtimeStatus={states}&top=5&showInput=false").json()
        return found

    eventually(lambda: not unfinished(), within, "no instance is stuck")
    everything = host.get(f"{DURABLE}/instances?top=100000").json()
    by_id = {item["instanceId"]: item for item in everything}
    wrong = {
        instance: by_id.get(instance, "lost")
        for instance, number in started.items()
        if by_id.get(instance, {}).get("output") != expected(number, instance.replace(":", "_"))
    }
    assert wrong == {}
    assert {item["runtimeStatus"] for item in everything} == {"Completed"}
    assert len(everything) == 4 * len(started)  # each with its three sub-orchestrations
    assert host.stop() == 0
    with host.database() as database:
        assert database.execute("pragma integrity_check").fetchone() == ("ok",)
        assert database.execute("select count(*) from activities").fetchone() == (0,)
        assert database.execute("select count(*) from messages").fetchone() == (0,)


def test_sample(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("storm", "--log", "WARNING")
    judge(host, rage(host, count=24, kills=3, seed=20261125), eventually, within=60)


@pytest.mark.long
def test_full_storm(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("storm", "--log", "WARNING")
    judge(host, rage(host, count=220, kills=12, seed=7), eventually, within=240)
