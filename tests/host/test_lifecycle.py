"""Stopping, crashing, and carrying on."""

import asyncio
import json
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

from local.host.listeners import Listeners

DURABLE = "/runtime/webhooks/durabletask"


def begun(host: Any, name: str) -> int:
    path: Path = host.folder / f"{name}.began"
    return len(path.read_text()) if path.exists() else 0


def test_graceful_stop_lets_running_work_finish(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("patterns").start()
    instance = host.orchestrate("gated", "door", "one:two")
    eventually(lambda: begun(host, "door") == 1)
    answers: list[str] = []
    caller = threading.Thread(target=lambda: answers.append(host.get("/api/wait/1").text))
    caller.start()
    eventually(lambda: "Executing 'Functions.wait'" in host.log())
    host.process.send_signal(signal.SIGTERM)
    eventually(lambda: "Stopping: no new work" in host.log())
    assert host.process.poll() is None
    (host.folder / "door.open").touch()
    assert host.process.wait(10) == 0
    caller.join(5)
    assert answers == ["waited"]  # a request in flight is answered before the stop
    with host.database() as database:
        assert database.execute("select count(*) from activities").fetchone() == (0,)
        assert database.execute("select status from instances").fetchone() == ("Running",)
    host.start()
    assert host.outcome(instance)["output"] == "door"
    assert begun(host, "door") == 1  # its result was kept, it did not run again
    assert "resumed   1 instance, 0 activities run again" in host.log()
    assert host.get("/admin/host/status").json()["resumed"] == {"instances": 1, "activities": 0}


def test_stop_does_not_wait_longer_than_the_grace(
    new_host: Callable[..., Any], eventually: Callable[..., None]
) -> None:
    host = new_host("patterns", "--grace", "0.2").start()
    instance = host.orchestrate("gated", "door")
    eventually(lambda: begun(host, "door") == 1)
    assert host.stop() == 0
    (host.folder / "door.open").touch()
    host.start()
    assert "resumed   1 instance, 1 activity runs again" in host.log()
    assert host.outcome(instance)["output"] == "door"
    assert begun(host, "door") == 2


def test_second_host_on_the_same_data_is_refused(new_host: Callable[..., Any], web: Any) -> None:
    first, second = web, new_host("web")
    second.data = first.data
    assert second.launch().wait(20) == 1
    assert second.log() == (
        f"Another host (pid {first.process.pid}) uses {first.data}: stop it or choose another --data.\n"
    )
    assert first.get("/admin/host/ping").status_code == 200


def test_ready_file_and_ready_line(web: Any) -> None:
    host = web
    ready = json.loads((host.folder / "ready.json").read_text())
    assert ready == {"url": f"http://localhost:{ready['port']}", "pid": host.process.pid, "port": ready["port"]}
    line = next(line for line in host.log().splitlines() if line.startswith("ready"))
    assert f"{ready['url']}   pid {ready['pid']}" in line
    assert line.endswith(" ms")


def test_worker_crash_runs_durable_work_again(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("patterns").start()
    assert host.outcome(host.orchestrate("mortal", "victim"))["output"] == "survived"
    assert host.get("/admin/host/status").json()["worker"]["restarts"] == 1
    assert host.get("/api/crash").status_code in (500, 502)
    assert host.outcome(host.orchestrate("chain", 1))["output"] == 4
    # Killed from outside while an activity runs.
    instance = host.orchestrate("gated", "door")
    eventually(lambda: begun(host, "door") == 1)
    os.kill(host.get("/admin/host/status").json()["worker"]["pid"], signal.SIGKILL)
    (host.folder / "door.open").touch()
    assert host.outcome(instance)["output"] == "door"
    assert begun(host, "door") == 2


def test_changed_code_is_found_out(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("patterns").start()
    for instance in ("changed", "unchanged"):
        host.orchestrate("changing", None, instance)
        eventually(lambda name=instance: begun(host, name) == 1)
    (host.folder / "unchanged.open").touch()
    assert host.outcome("unchanged")["output"] == "done"
    host.kill()
    (host.folder / "changed.open").touch()
    host.environment["CODE_VERSION"] = "2"
    host.start()
    done = host.outcome("changed")
    assert done["runtimeStatus"] == "Failed"
    assert "Non-Deterministic workflow detected" in done["output"]
    assert "'gate' with sequence ID 0, but the current replay scheduled the activity 'add_one'" in done["output"]


def test_timers_and_events_survive_a_kill(new_host: Callable[..., Any], eventually: Callable[..., None]) -> None:
    host = new_host("patterns").start()
    worker = host.get("/admin/host/status").json()["worker"]["pid"]
    waiting, expiring = host.orchestrate("approval", 600), host.orchestrate("approval", 1)
    twice = host.orchestrate("two_timers", 1)
    eventually(lambda: host.status(waiting)["customStatus"] and host.status(expiring)["customStatus"])
    eventually(lambda: host.status(twice)["runtimeStatus"] == "Running")
    host.orchestrate("blocked_once", 20)
    eventually(lambda: "Executing 'Functions.block'" in host.log())
    assert host.control(waiting, "raiseEvent/decision", json="before the kill") == 202
    host.kill()
    eventually(lambda: gone(worker), what="the worker dies with its host, even while a function blocks it")
    host.start()
    assert host.outcome(waiting)["output"] == "before the kill"
    assert host.outcome(expiring)["output"] == "expired"
    assert host.outcome(twice)["output"] == "both"


def gone(pid: int) -> bool:
    try:
        return Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z"
    except FileNotFoundError:
        return True


async def test_a_dead_listener_is_logged_restarted_and_shown(caplog: Any) -> None:
    listeners = Listeners(first_back_off=0.01, longest_back_off=0.02)
    runs = 0
    healthy = asyncio.Event()

    async def dies_twice(stopping: asyncio.Event) -> None:
        nonlocal runs
        runs += 1
        if runs < 3:
            raise KeyError("AzureWebJobsStorage")
        healthy.set()
        await stopping.wait()

    listeners.start({"queue orders": dies_twice})
    await asyncio.wait_for(healthy.wait(), 5)
    state = listeners.states["queue orders"]
    assert (state.state, state.restarts, state.error) == ("running", 2, "KeyError: 'AzureWebJobsStorage'")
    assert "The listener of queue orders died" in caplog.text
    await asyncio.wait_for(listeners.stop(1), 5)
