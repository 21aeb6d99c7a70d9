"""`make audit-verify`: follow every audit trail and name the first changed or missing entry of each."""

import sys

import httpx

from local.processes import LocalRunError
from local.run.api import Persona
from local.run.terminal import Terminal
from local.stack import Stack, running_stack


def report(stack: Stack, terminal: Terminal) -> bool:
    """Print what was found; return whether every trail is what was written."""
    answer = Persona(stack, "auditor").get("/audit/verification")
    if not answer.ok:
        raise LocalRunError(f"The trails could not be verified: {answer.problem}")
    checked = answer.body
    counted = f"{checked['entries']} entries of {checked['applications']} applications, {checked['anchors']} anchors"
    terminal.event("audit", "", f"{counted}: {len(checked['findings'])} findings")
    for finding in checked["findings"]:
        terminal.fact("", f"       {finding['application']}: {finding['detail']}")
    return not checked["findings"]


def main() -> int:
    """0 when every trail is what was written, 1 when one is not."""
    try:
        with running_stack() as stack:
            return 0 if report(stack, Terminal()) else 1
    except (LocalRunError, httpx.HTTPError) as error:
        sys.stderr.write(f"{error}\n")
        return 1


if __name__ == "__main__":
    sys.exit(main())
