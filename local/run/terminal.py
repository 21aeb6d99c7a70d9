"""Lines on the terminal: what stays, and one line that moves while something is under way."""

import sys
import time
from dataclasses import dataclass, field
from typing import TextIO

LABEL = 10
WORDS = 37


def short(text: str, width: int) -> str:
    """Cut a text to a width, with an ellipsis when something is missing."""
    return text if len(text) <= width else f"{text[: width - 1]}…"


@dataclass
class Terminal:
    """Writes the story. `out` may be a pipe: then nothing moves and nothing is overwritten."""

    out: TextIO = field(default_factory=lambda: sys.stdout)
    started: float = field(default_factory=time.monotonic)
    _moving: bool = field(default=False, init=False)

    @property
    def elapsed(self) -> float:
        return time.monotonic() - self.started

    def restart_clock(self) -> None:
        self.started = time.monotonic()

    def fact(self, label: str, text: str) -> None:
        """Write a line without time: `host      http://localhost:7071`."""
        self._line(f"{label:<{LABEL}}{text}")

    def event(self, what: str, status: object = "", text: str = "", *, at: float | None = None) -> None:
        """Write a timed line: ` 0.3  request as requester            202  req-7f3a`."""
        clock = self.elapsed if at is None else at
        self._line(f"{clock:5.1f}  {what:<{WORDS - 7}} {status!s:<4} {text}".rstrip())

    def branch(self, name: str, text: str, state: str, seconds: float | None) -> None:
        """Write how one branch of the run ended."""
        took = "" if seconds is None else f"{seconds:5.1f} s"
        self._line(f"       {name:<12} {text:<64} {state:<8} {took}".rstrip())

    def moving(self, text: str) -> None:
        """Show what is under way in a line that the next one overwrites; nothing on a pipe."""
        if self.out.isatty():
            self.out.write(f"\r\x1b[2K{self.elapsed:5.1f}  {short(text, 110)}")
            self.out.flush()
            self._moving = True

    def blank(self) -> None:
        self._line("")

    def _line(self, text: str) -> None:
        if self._moving:
            self.out.write("\r\x1b[2K")
            self._moving = False
        self.out.write(f"{text}\n")
        self.out.flush()
