"""`make undo REQUEST=<id>`: remove everything that a request made, and list what a vendor keeps."""

import argparse
import sys
import time

from local.processes import LocalRunError
from local.run.api import Persona
from local.run.terminal import Terminal
from local.run.timeline import parse
from local.stack import running_stack

SECONDS = 300
ENDED = {"undone", "parked"}


def undo(requester: Persona, terminal: Terminal, number: str) -> bool:
    """Ask for the undo and follow it; return whether everything is gone."""
    answer = requester.post(f"/requests/{number}/undo", {"reason": "make undo"})
    terminal.event(f"undo {number}", answer.status, "" if answer.ok else answer.problem)
    if not answer.ok:
        return False
    deadline = time.monotonic() + SECONDS
    told: set[tuple[str, str]] = set()
    while True:
        request = requester.get(f"/requests/{number}").body
        for step in parse(request.get("undoSteps", [])):
            if step.finished and step.key not in told:
                told.add(step.key)
                terminal.branch(step.name, step.detail or step.problem, step.state, step.finished - step.started)
        if request["state"] in ENDED or time.monotonic() > deadline:
            break
        terminal.moving(f"undo: {request['state']}")
        time.sleep(0.2)
    for kept in request.get("residue") or []:
        terminal.fact("kept", f"{kept['system']} {kept['type']} {kept['name']} (the vendor keeps it)")
    problem = request.get("problem") or {}
    terminal.event(request["state"].upper(), "", problem.get("detail", ""))
    return bool(request["state"] == "undone")


def main() -> int:
    """Run it against the local run that is up, or against one started for this command."""
    parser = argparse.ArgumentParser(prog="make undo", description=__doc__)
    parser.add_argument("--request", required=True)
    number = parser.parse_args().request
    if not number:
        sys.stderr.write("Name the request: make undo REQUEST=req-...; `make run` prints it.\n")
        return 2
    try:
        with running_stack() as stack:
            return 0 if undo(Persona(stack, "requester"), Terminal(), number) else 1
    except LocalRunError as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
