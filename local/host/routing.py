"""ASP.NET Core route templates: constraints, optional and default values, catch-all, precedence."""

import re
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import unquote

from local.host.errors import HostError

_PARAMETER = re.compile(r"\{(\*{0,2})(\w+)((?::\w+(?:\((?:[^()]|\([^()]*\))*\))?)*)(=[^{}?]*)?(\?)?\}")
_CONSTRAINT = re.compile(r":(\w+)(?:\(((?:[^()]|\([^()]*\))*)\))?")

type Check = Callable[[str], bool]


def _parses(read: Callable[[str], object]) -> Check:
    def check(text: str) -> bool:
        try:
            read(text)
        except ValueError:
            return False
        return True

    return check


def _whole(bits: int) -> Check:
    limit = 2 ** (bits - 1)
    return lambda text: re.fullmatch(r"[+-]?\d+", text) is not None and -limit <= int(text) < limit


def _bounds(arguments: str) -> tuple[int, int]:
    low, _, high = arguments.partition(",")
    return int(low), int(high or low)


def _within(measure: Callable[[str], int], low: float, high: float) -> Check:
    return lambda text: _parses(measure)(text) and low <= measure(text) <= high


_FACTORIES: dict[str, Callable[[str], Check]] = {
    "int": lambda _: _whole(32),
    "long": lambda _: _whole(64),
    "bool": lambda _: lambda text: text.lower() in ("true", "false"),
    "guid": lambda _: _parses(uuid.UUID),
    "decimal": lambda _: _parses(float),
    "double": lambda _: _parses(float),
    "float": lambda _: _parses(float),
    "datetime": lambda _: _parses(datetime.fromisoformat),
    "alpha": lambda _: lambda text: re.fullmatch(r"[A-Za-z]*", text) is not None,
    "required": lambda _: bool,
    "length": lambda a: _within(len, *_bounds(a)),
    "minlength": lambda a: _within(len, int(a), float("inf")),
    "maxlength": lambda a: _within(len, 0, int(a)),
    "min": lambda a: _within(int, int(a), float("inf")),
    "max": lambda a: _within(int, float("-inf"), int(a)),
    "range": lambda a: _within(int, *_bounds(a)),
    "regex": lambda a: lambda text: re.search(a, text, re.IGNORECASE) is not None,
}


@dataclass(frozen=True)
class _Segment:
    """One path segment: literal text mixed with parameters."""

    pattern: re.Pattern[str]
    checks: Mapping[str, tuple[Check, ...]]
    precedence: int
    parameter: str = ""  # the name, when the segment is one parameter and nothing else
    catch_all: bool = False
    optional: bool = False
    default: str | None = None

    def match(self, text: str) -> dict[str, str] | None:
        found = self.pattern.fullmatch(text)
        if found is None:
            return None
        values = {name: unquote(value) for name, value in found.groupdict().items()}
        passed = all(check(values[name]) for name, checks in self.checks.items() for check in checks)
        return values if passed else None


@dataclass(frozen=True)
class Route:
    """A parsed template."""

    template: str
    segments: tuple[_Segment, ...] = field(repr=False)

    @property
    def precedence(self) -> tuple[int, ...]:
        return tuple(segment.precedence for segment in self.segments)

    def match(self, raw_path: str) -> dict[str, str] | None:
        """Return the route values for an undecoded path, or None."""
        parts = [part for part in raw_path.strip("/").split("/") if part]
        values: dict[str, str] = {}
        for index, segment in enumerate(self.segments):
            if segment.catch_all:
                rest = "/".join(parts[index:])
                found = segment.match(rest) if rest else _absent(segment)
                return None if found is None else values | found
            found = segment.match(parts[index]) if index < len(parts) else _absent(segment)
            if found is None:
                return None
            values |= found
        return values if len(parts) <= len(self.segments) else None


def _absent(segment: _Segment) -> dict[str, str] | None:
    if segment.default is not None:
        return {segment.parameter: segment.default}
    return {} if segment.optional or segment.catch_all else None


def parse(template: str) -> Route:
    """Read a template; raises HostError naming an unknown constraint or a malformed segment."""
    parts = [part for part in re.split(r"/(?![^{}]*\})", template.strip("/")) if part]
    return Route(template, tuple(_segment(part, template) for part in parts))


def _checks(text: str, template: str) -> tuple[Check, ...]:
    checks = []
    for name, arguments in _CONSTRAINT.findall(text):
        factory = _FACTORIES.get(name.lower())
        if factory is None:
            raise HostError(f"The route '{template}' uses the unknown constraint '{name}'.")
        checks.append(factory(arguments))
    return tuple(checks)


def _segment(part: str, template: str) -> _Segment:
    whole = _PARAMETER.fullmatch(part)
    if whole is not None:
        star, name, constraints, default, optional = whole.groups()
        checks = _checks(constraints, template)
        # ASP.NET RoutePrecedence: literal 1, constrained 2, plain 3, constrained catch-all 4, catch-all 5.
        precedence = (4 if checks else 5) if star else (2 if checks else 3)
        return _Segment(
            re.compile(f"(?P<{name}>.+)" if star else f"(?P<{name}>[^/]+)"),
            {name: checks},
            precedence,
            parameter=name,
            catch_all=bool(star),
            optional=optional is not None,
            default=None if default is None else default[1:],
        )
    pattern, checks_by_name, position = "", {}, 0
    for found in _PARAMETER.finditer(part):
        pattern += re.escape(part[position : found.start()]) + f"(?P<{found[2]}>[^/]+?)"
        checks_by_name[found[2]] = _checks(found[3], template)
        position = found.end()
    rest = part[position:]
    if "{" in rest or "}" in rest:
        raise HostError(f"The route '{template}' has a malformed segment '{part}'.")
    return _Segment(re.compile(pattern + re.escape(rest), re.IGNORECASE), checks_by_name, 2 if checks_by_name else 1)
