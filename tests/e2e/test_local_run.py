"""The process tree of the local run, with the smallest app there is."""

import os
import signal
import socket
from pathlib import Path

import pytest

from local.processes import LocalRunError, wait_until
from local.stack import CHECKOUT, Stack

APP = """
import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)


@app.route("hello")
async def hello(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("hello")
"""


@pytest.fixture
def small_app(tmp_path: Path) -> Path:
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "function_app.py").write_text(APP)
    (folder / "host.json").write_text((CHECKOUT / "host.json").read_text())
    return folder


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def _pids(stack: Stack) -> list[int]:
    return [process.pid for process in stack._processes.values()]


def test_everything_starts_answers_survives_a_kill_of_the_host_and_ends(tmp_path: Path, small_app: Path) -> None:
    with Stack(tmp_path / "run", root=small_app) as stack:
        assert stack.api.get("/api/hello").text == "hello"
        assert stack.vendors_admin("GET", "health").json()["status"] == "healthy"
        stack.kill_host()
        ended = stack.ended()
        assert ended is not None
        assert (ended.name, ended.return_code) == ("host", -signal.SIGKILL)
        stack.start_host()
        assert stack.api.get("/api/hello").text == "hello"
        pids = _pids(stack)
        assert len(pids) == 4, "Azurite, the vendors, the Service Bus broker, the host"
    assert not [pid for pid in pids if _alive(pid)]


def test_a_second_run_in_the_same_directory_is_refused_with_a_sentence(tmp_path: Path, small_app: Path) -> None:
    with Stack(tmp_path / "run", root=small_app) as first:
        with pytest.raises(LocalRunError, match="Another run uses"):
            Stack(tmp_path / "run", root=small_app).start()
        attached = Stack(tmp_path / "run")
        assert attached.attach()
        assert attached.host_port == first.host_port
        assert first.api.get("/api/hello").text == "hello"
    assert not Stack(tmp_path / "run").attach()


def test_a_port_in_use_is_replaced_by_a_free_one(tmp_path: Path, small_app: Path) -> None:
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        taken = other.getsockname()[1]
        with Stack(tmp_path / "run", root=small_app, host_port=taken) as stack:
            assert stack.host_port != taken
            assert stack.api.get("/api/hello").text == "hello"


@pytest.mark.long
def test_the_processes_of_a_run_that_was_killed_itself_are_ended_first(tmp_path: Path, small_app: Path) -> None:
    orphaned = Stack(tmp_path / "run", root=small_app)
    orphaned.start()
    pids = _pids(orphaned)
    assert orphaned._lock is not None
    orphaned._lock.close()  # as the kernel does when the parent dies
    with Stack(tmp_path / "run", root=small_app) as stack:
        assert wait_until(lambda: not any(_alive(pid) for pid in pids), 10)
        assert stack.api.get("/api/hello").text == "hello"
    for process in orphaned._processes.values():
        assert process.child is not None
        process.child.wait(5)
    orphaned.vendors.close()  # its connections: nothing else of it may be stopped, all of it has ended


def test_an_app_that_cannot_be_loaded_is_reported_with_the_end_of_the_log(tmp_path: Path, small_app: Path) -> None:
    (small_app / "function_app.py").write_text("raise RuntimeError('broken on purpose')\n")
    with pytest.raises(LocalRunError, match="broken on purpose"):
        Stack(tmp_path / "run", root=small_app).start()
