"""Filters in Cloud Custodian's language: which resources a policy means.

A subset (https://cloudcustodian.io/docs/filters.html): ``value`` filters with JMESPath keys and ``tag:`` keys, ``and``,
``or``, ``not``, ``marked-for-op``. What is not in it is refused when the file is read, never passed over.

Two things differ on purpose. Whether something is marked is asked of our register and not of the tag, which anybody can
write. And names of tags are compared without regard to case, as Azure compares them.
"""

import fnmatch
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError

type Document = Mapping[str, Any]
type Place = tuple[str | int, ...]

MARK_TAG = "custodian_status"
DELETE = "delete"
_BLOCKS: dict[str, Callable[[Iterable[bool]], bool]] = {"and": all, "or": any, "not": lambda found: not all(found)}
_VALUE_KEYS = frozenset({"type", "key", "value", "op", "value_type", "value_regex", "value_path"})
_MARK_KEYS = frozenset({"type", "op", "tag", "skew", "skew_hours", "tz"})
_MILLISECONDS = 10_000_000_000  # a number beyond is an epoch in milliseconds


class UnknownPartError(ValueError):
    """Something that is not in the language, or not in our part of it: where it is, and what it is."""

    def __init__(self, place: Place, why: str) -> None:
        super().__init__(f"{'.'.join(map(str, place))}: {why}")


class UnreadableResourceError(ValueError):
    """A filter cannot be asked about this resource; the text says why."""


@dataclass(frozen=True)
class Seen:
    """A resource at a moment.

    Attributes:
        document: as Azure Resource Graph shows it.
        at: the moment.
        is_due: whether the register says that it is marked under this tag, and the time, less so much, has come.
    """

    document: Document
    at: datetime
    is_due: Callable[[str, timedelta], bool] = lambda _tag, _skew: False


type Filter = Callable[[Seen], bool]


def filters_of(given: Any, place: Place) -> Filter:
    """The filters of a policy: all must say yes.

    Raises:
        UnknownPartError: one of them is not in our part of the language.
    """
    return _block("and", given, place)


def uses_mark(given: Any) -> bool:
    """Whether a ``marked-for-op`` is among the filters."""
    if isinstance(given, Mapping):
        return given.get("type") == "marked-for-op" or any(map(uses_mark, given.values()))
    return given == "marked-for-op" or (isinstance(given, list) and any(map(uses_mark, given)))


def _block(kind: str, given: Any, place: Place) -> Filter:
    if not isinstance(given, list):
        raise UnknownPartError(place, "a list of filters")
    parts = [_filter(item, (*place, number)) for number, item in enumerate(given)]
    judge = _BLOCKS[kind]
    return lambda seen: judge(part(seen) for part in parts)


def _filter(given: Any, place: Place) -> Filter:
    if given == "marked-for-op":
        return _marked({}, place)
    if not isinstance(given, Mapping):
        raise UnknownPartError(place, f"{given!r} is no filter of ours: value, and, or, not, marked-for-op")
    kind = given.get("type")
    if kind is None and len(given) == 1:
        [(name, value)] = given.items()
        return _block(name, value, (*place, name)) if name in _BLOCKS else _value({"key": name, "value": value}, place)
    if kind == "value":
        return _value(given, place)
    if kind == "marked-for-op":
        return _marked(given, place)
    raise UnknownPartError((*place, "type"), f"{kind!r} is no filter of ours: value, and, or, not, marked-for-op")


def _marked(given: Mapping[str, Any], place: Place) -> Filter:
    _require_known(given, _MARK_KEYS, place)
    if given.get("op", "stop") != DELETE:
        raise UnknownPartError((*place, "op"), "only what is marked for `delete` is ours")
    skew = timedelta(days=_number(given, "skew", place), hours=_number(given, "skew_hours", place))
    tag = str(given.get("tag", MARK_TAG))
    return lambda seen: seen.is_due(tag, skew)


def _number(given: Mapping[str, Any], name: str, place: Place) -> float:
    value = given.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or value < 0:
        raise UnknownPartError((*place, name), f"{value!r} is no number of at least 0")
    return value


def _value(given: Mapping[str, Any], place: Place) -> Filter:
    """``value``: what the key finds in the resource, held against a value."""
    _require_known(given, _VALUE_KEYS, place)
    if not isinstance(given.get("key"), str) or not ("value" in given or "value_path" in given):
        raise UnknownPartError(place, "a value filter has `key`, and `value` or `value_path`")
    op, kind = given.get("op"), given.get("value_type")
    if op is not None and op not in OPERATORS:
        raise UnknownPartError((*place, "op"), f"{op!r} is none of {', '.join(sorted(OPERATORS))}")
    if kind is not None and kind not in CONVERSIONS:
        raise UnknownPartError((*place, "value_type"), f"{kind!r} is none of {', '.join(sorted(CONVERSIONS))}")
    find = _finder(given["key"], given.get("value_regex"), place)
    expect = _expected(given, place)
    convert, compare = CONVERSIONS[kind or ""], OPERATORS[op or "eq"]

    def judge(seen: Seen) -> bool:
        found, wanted = find(seen.document), expect(seen.document)
        if op in ("in", "not-in") and found is None:
            found = ()
        wanted, found = convert(wanted, found, seen)
        return _special(found, wanted) or _compared(compare, found, wanted)

    return judge


def _require_known(given: Mapping[str, Any], known: frozenset[str], place: Place) -> None:
    if unknown := sorted(map(str, given.keys() - known)):
        raise UnknownPartError((*place, unknown[0]), "not in our part of the language")


def _expected(given: Mapping[str, Any], place: Place) -> Callable[[Document], Any]:
    """What the key's value is held against: a constant, or what another key finds in the same resource."""
    if "value_path" in given:
        return _finder(str(given["value_path"]), None, (*place, "value_path"))
    wanted = given["value"]
    if given.get("op") in ("regex", "regex-case"):
        _expression(wanted, (*place, "value"))
    return _finder(str(wanted), None, place) if given.get("value_type") == "expr" else lambda _: wanted


def _finder(key: str, regex: Any, place: Place) -> Callable[[Document], Any]:
    """What a key finds: a tag, a member of that name, or a JMESPath expression."""
    find = _tag(key.removeprefix("tag:")) if key.startswith("tag:") else _search(key, place)
    if regex is None:
        return find
    pattern = _expression(regex, (*place, "value_regex"))
    if pattern.groups != 1:
        raise UnknownPartError((*place, "value_regex"), "it has one group in brackets")

    def taken(document: Document) -> Any:
        found = find(document)
        hit = pattern.match(found) if isinstance(found, str) else None
        return hit[1] if hit else None

    return taken


def _tag(name: str) -> Callable[[Document], Any]:
    wanted = name.lower()
    return lambda document: next(
        (value for tag, value in (document.get("tags") or {}).items() if tag.lower() == wanted), None
    )


def _search(key: str, place: Place) -> Callable[[Document], Any]:
    try:
        expression = jmespath.compile(key)
    except JMESPathError as error:
        raise UnknownPartError((*place, "key"), f"{key!r} is no JMESPath: {str(error).splitlines()[0]}") from error

    def find(document: Document) -> Any:
        if key in document:
            return document[key]
        try:
            return expression.search(document)
        except JMESPathError as error:
            raise UnreadableResourceError(f"{key}: {str(error).splitlines()[0]}") from error

    return find


def _expression(text: Any, place: Place) -> re.Pattern[str]:
    try:
        return re.compile(text)
    except (re.error, TypeError) as error:
        raise UnknownPartError(place, f"{text!r} is no regular expression") from error


def _special(found: Any, wanted: Any) -> bool:
    """The words that stand for more than themselves."""
    if not isinstance(wanted, str):
        return False
    return (
        (wanted == "absent" and found is None)
        or (wanted == "present" and found is not None)
        or (wanted == "not-null" and bool(found))
        or (wanted == "empty" and not found)
    )


def _compared(compare: Callable[[Any, Any], Any], found: Any, wanted: Any) -> bool:
    """What cannot be compared does not match, as in Cloud Custodian."""
    try:
        return bool(compare(found, wanted))
    except (TypeError, ValueError, ArithmeticError):
        return False


OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "eq": operator.eq,
    "equal": operator.eq,
    "ne": operator.ne,
    "not-equal": operator.ne,
    "gt": operator.gt,
    "greater-than": operator.gt,
    "ge": operator.ge,
    "gte": operator.ge,
    "lt": operator.lt,
    "less-than": operator.lt,
    "le": operator.le,
    "lte": operator.le,
    "in": lambda found, wanted: found in wanted,
    "ni": lambda found, wanted: found not in wanted,
    "not-in": lambda found, wanted: found not in wanted,
    "contains": operator.contains,
    "glob": lambda found, wanted: isinstance(found, str) and fnmatch.fnmatch(found, wanted),
    "regex": lambda found, wanted: isinstance(found, str) and re.match(wanted, found, re.IGNORECASE) is not None,
    "regex-case": lambda found, wanted: isinstance(found, str) and re.match(wanted, found) is not None,
    "difference": lambda found, wanted: set(found).difference(wanted),
    "intersect": lambda found, wanted: set(found).intersection(wanted),
    "mod": operator.mod,
}


def _age(wanted: Any, found: Any, seen: Seen) -> tuple[Any, Any]:
    """So many days old: sides are turned, so that `gt` means older."""
    return _moment(found), seen.at - timedelta(days=wanted)


def _expiration(wanted: Any, found: Any, seen: Seen) -> tuple[Any, Any]:
    return seen.at + timedelta(days=wanted), _moment(found)


def _counted(found: Any) -> int:
    return len(found) if isinstance(found, Sequence | Mapping | set) else 0


def _as_number(kind: type[int] | type[float], found: Any) -> float:
    try:
        return kind(str(found).strip())
    except ValueError:
        return kind(0)


def _moment(value: Any) -> datetime | None:
    """A moment as Azure and people write it; what is none is compared with nothing."""
    try:
        if isinstance(value, int | float) and not isinstance(value, bool):
            return datetime.fromtimestamp(value / 1000 if value > _MILLISECONDS else value, UTC)
        found = value if isinstance(value, datetime) else datetime.fromisoformat(str(value).strip().replace("/", "-"))
    except (ValueError, OverflowError, OSError):
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)


CONVERSIONS: dict[str, Callable[[Any, Any, Seen], tuple[Any, Any]]] = {
    "": lambda wanted, found, _: (wanted, found),
    "normalize": lambda wanted, found, _: (wanted, found.strip().lower() if isinstance(found, str) else found),
    "expr": lambda wanted, found, _: (wanted, found),
    "integer": lambda wanted, found, _: (wanted, _as_number(int, found)),
    "float": lambda wanted, found, _: (wanted, _as_number(float, found)),
    "size": lambda wanted, found, _: (wanted, _counted(found)),
    "unique_size": lambda wanted, found, _: (wanted, len(set(found)) if isinstance(found, Sequence) else 0),
    "swap": lambda wanted, found, _: (found, wanted),
    "date": lambda wanted, found, _: (_moment(wanted), _moment(found)),
    "age": _age,
    "expiration": _expiration,
}
