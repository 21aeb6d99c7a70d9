"""What can go wrong in a run, in words for the person who reads the request's timeline."""

import os
import re
from collections.abc import Mapping
from dataclasses import dataclass

_LONGEST_DETAIL = 1500
_SHORTEST_SECRET = 8
_SECRET_NAMES = re.compile(r"(TOKEN|SECRET|PASSWORD|ACCESS_KEY|SAS)", re.IGNORECASE)
_SECRET_TEXT = re.compile(
    r"""
    eyJ[\w-]{10,}\.[\w-]+(\.[\w-]*)?            # a JSON web token
    | (?<=[?&]sig=)[^&\s"']+                    # signature of a shared access signature
    | (?i:(?<=AccountKey=)|(?<=SharedAccessKey=)|(?<=Bearer\s)|(?<=password=))[^;\s"']+
    """,
    re.VERBOSE,
)


@dataclass(frozen=True)
class Problem:
    """Why a run failed.

    Attributes:
        title: a few words.
        detail: what to know to act; short and without secrets.
        stale: the saved plan no longer fits the state, nothing was changed: plan again.
    """

    title: str
    detail: str
    stale: bool = False


class RunError(Exception):
    """The run cannot go on.

    Attributes:
        problem: what the result reports.
        exit_code: of Terraform, when it was Terraform that failed.
    """

    def __init__(self, title: str, detail: str, *, stale: bool = False, exit_code: int = 1) -> None:
        super().__init__(f"{title}: {detail}")
        self.problem = Problem(title, shorten(scrub(detail)), stale)
        self.exit_code = exit_code


class RunRefusedError(RunError):
    """The run must not leave a result: the run id belongs to another run, whose artefacts stay as they are."""


def scrub(text: str, environment: Mapping[str, str] = os.environ) -> str:
    """Mask credentials: values of variables that hold some, and whatever looks like one."""
    for name, value in environment.items():
        if _SECRET_NAMES.search(name) and len(value) >= _SHORTEST_SECRET and "://" not in value:
            text = text.replace(value, "***")
    return _SECRET_TEXT.sub("***", text)


def shorten(text: str) -> str:
    """Cut a text to what fits on a screen."""
    text = text.strip()
    return text if len(text) <= _LONGEST_DETAIL else text[: _LONGEST_DETAIL - 1] + "…"
