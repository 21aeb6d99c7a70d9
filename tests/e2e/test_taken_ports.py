"""Somebody else has the port: one sentence that names who, and no traceback."""

import os
import re
import subprocess
import sys
from argparse import ArgumentTypeError
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import PIPE

import pytest

from local.azurite import Azurite
from local.ports import free_port, holder
from local.processes import LocalRunError, Process
from local.run.__main__ import port, taken
from local.stack import CHECKOUT, HOST_PORT, VENDORS_PORT, Stack

LISTENER = """
import socket, sys
with socket.create_server((sys.argv[1], 0)) as server:
    print(server.getsockname()[1], flush=True)
    sys.stdin.read()
"""


ANYWHERE = "0.0.0.0"  # noqa: S104 - what the tests are about


@pytest.fixture
def squatter(request: pytest.FixtureRequest) -> Iterator[tuple[int, int]]:
    """Pid and port of a program that listens."""
    command = [sys.executable, "-c", LISTENER, getattr(request, "param", ANYWHERE)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdin is not None
        yield process.pid, int(process.stdout.readline())
        process.stdin.close()


@pytest.mark.parametrize("squatter", ["127.0.0.1", ANYWHERE], indirect=True)
def test_the_holder_of_a_port_is_named(squatter: tuple[int, int]) -> None:
    pid, number = squatter
    assert re.fullmatch(rf"python[0-9.]* \(pid {pid}\)", holder(number))
    assert holder(free_port()) == "another program"


def test_no_two_processes_get_the_same_free_port_and_no_outgoing_connection_takes_it() -> None:
    ask = (
        "import sys; from local.ports import free_port; "
        "print(*(free_port() for _ in range(200)), flush=True); sys.stdin.read()"
    )
    with ExitStack() as both:
        asked = [
            both.enter_context(subprocess.Popen([sys.executable, "-c", ask], cwd=CHECKOUT, stdin=PIPE, stdout=PIPE))
            for _ in range(2)
        ]
        told = [process.stdout.readline().split() for process in asked if process.stdout]
        for process in asked:
            process.communicate(b"")
    given = [int(number) for numbers in told for number in numbers]
    assert len(set(given)) == 400
    assert max(given) < 32768, "what the system gives to connections begins there"


def test_make_run_says_who_has_7071_and_7443_and_where_it_listens_instead(
    tmp_path: Path, squatter: tuple[int, int]
) -> None:
    pid, number = squatter
    stack = Stack(tmp_path, host_port=HOST_PORT, vendors_port=VENDORS_PORT)
    assert list(taken(stack)) == []
    stack.host_port = free_port(number)
    assert stack.host_port != number
    (sentence,) = taken(stack)
    assert sentence.startswith(f"{HOST_PORT} is in use by ")
    rest = f"stop that program to have {HOST_PORT}, or choose another one with PORT="
    assert sentence.endswith(f": host listens on {stack.host_port}; {rest}")
    assert list(taken(stack, stack.host_port)) == [], "it was wished for"
    stack.vendors_port = 1
    assert len(list(taken(stack))) == 2
    assert pid


@pytest.mark.parametrize("target", ["run", "once"])
def test_make_hands_the_port_on(target: str) -> None:
    told = subprocess.run(
        ["make", "-n", target, "PORT=7099"], cwd=CHECKOUT, capture_output=True, text=True, check=True
    ).stdout
    assert "local.run --name 'payments-api' --port '7099'" in told


@pytest.mark.parametrize("text", ["", "80", "65536", "seven", "-7071", "\uff17\uff10\uff17\uff11"])
def test_what_is_no_port_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ArgumentTypeError, match=f"{text!r} is no port: a number from 1024 to 65535"):
        port(text)
    assert port("7072") == 7072


@pytest.mark.parametrize("module", ["local.host", "local.vendors"])
def test_a_part_that_loses_the_race_for_its_port_ends_with_a_sentence(
    tmp_path: Path, squatter: tuple[int, int], module: str
) -> None:
    """Between the look at the port and its use somebody else may take it."""
    _, number = squatter
    command = [sys.executable, "-m", module, "--port", str(number), "--data", str(tmp_path)]
    command += ["--root", str(CHECKOUT)] if module == "local.host" else []
    process = Process(module, command, os.environ, CHECKOUT, tmp_path / "log")
    process.start()
    with pytest.raises(LocalRunError) as told:
        process.require_ready(lambda: False, 60)
    process.stop()
    assert str(number) in str(told.value)
    assert "Traceback" not in str(told.value)


def test_azurite_takes_other_ports_when_its_own_are_in_use(tmp_path: Path, squatter: tuple[int, int]) -> None:
    _, number = squatter
    service = Azurite(tmp_path / "azurite", tmp_path / "log", ports=(number, number, number))
    assert number not in service.ports.values()
    assert len(set(service.ports.values())) == 3
