"""`${{ }}` expressions. https://docs.github.com/actions/reference/workflows-and-actions/expressions."""

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

MARK = re.compile(r"\$\{\{(.*?)\}\}", re.DOTALL)
STATUS_CHECK = re.compile(r"\b(success|failure|always|cancelled)\s*\(")
TOKEN = re.compile(
    r"\s*(?:(?P<number>-?(?:0x[0-9a-fA-F]+|\d+(?:\.\d+)?(?:[eE][+-]?\d+)?))|'(?P<text>(?:[^']|'')*)'"
    r"|(?P<name>[A-Za-z_][\w-]*)|(?P<mark><=|>=|==|!=|&&|\|\||[!<>()\[\],.*]))"
)
CONSTANTS = {"true": True, "false": False, "null": None}
LEVELS = (("||",), ("&&",), ("==", "!="), ("<", "<=", ">", ">="))


class ExpressionError(Exception):
    """An expression that GitHub refuses."""


class Scope:
    """The contexts and functions that expressions may use at one place of a workflow."""

    def __init__(self, contexts: Mapping[str, Any], functions: Mapping[str, Callable[..., Any]] | None = None) -> None:
        self.contexts = contexts
        self.functions = FUNCTIONS | dict(functions or {})

    def evaluate(self, expression: str) -> Any:
        return _Parser(expression, self).parse()

    def condition(self, expression: Any) -> bool:
        """An `if:`; without a status check it also demands success."""
        text = str(expression if expression is not None else "success()").strip()
        if (whole := MARK.fullmatch(text)) and text.count("${{") == 1:
            text = whole[1]
        elif MARK.search(text):
            return truthy(self.fill(text)) and truthy(self.evaluate("success()"))
        if not STATUS_CHECK.search(text):
            text = f"success() && ({text})"
        return truthy(self.evaluate(text))

    def fill(self, value: Any) -> Any:
        """Replace the expressions in a value; one that is the whole text keeps its type."""
        if isinstance(value, dict):
            return {self.fill(key): self.fill(item) for key, item in value.items()}
        if isinstance(value, list):
            return [self.fill(item) for item in value]
        if not isinstance(value, str):
            return value
        whole = MARK.fullmatch(value.strip())
        if whole and value.count("${{") == 1:
            return self.evaluate(whole[1])
        return MARK.sub(lambda match: text(self.evaluate(match[1])), value)


def text(value: Any) -> str:
    """A value as a workflow prints it."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return ("Object" if isinstance(value, dict) else "Array") if isinstance(value, dict | list) else str(value)


def truthy(value: Any) -> bool:
    return bool(value) and value == value if isinstance(value, float) else value not in ("", 0, None)  # noqa: PLR0124


class _Parser:
    def __init__(self, expression: str, scope: Scope) -> None:
        self._scope = scope
        self._expression = expression
        self._tokens = list(_tokens(expression))
        self._at = 0

    def parse(self) -> Any:
        value = self._binary(0)
        if self._at < len(self._tokens):
            raise ExpressionError(f"Unexpected symbol: '{self._peek()}' in: {self._expression.strip()}")
        return value

    def _peek(self) -> str | None:
        kind, value = self._tokens[self._at] if self._at < len(self._tokens) else (None, None)
        return value if kind == "mark" else None

    def _take(self, mark: str) -> bool:
        found = self._peek() == mark
        self._at += found
        return found

    def _expect(self, mark: str) -> None:
        if not self._take(mark):
            raise ExpressionError(f"Expected '{mark}' in: {self._expression.strip()}")

    def _binary(self, level: int) -> Any:
        if level == len(LEVELS):
            return not truthy(self._binary(level)) if self._take("!") else self._primary()
        left = self._binary(level + 1)
        while (mark := self._peek()) in LEVELS[level]:
            self._at += 1
            left = _operate(str(mark), left, self._binary(level + 1))
        return left

    def _primary(self) -> Any:
        if self._take("("):
            value = self._binary(0)
            self._expect(")")
        elif self._at == len(self._tokens) or self._peek():
            raise ExpressionError(f"Unexpected end or symbol in: {self._expression.strip()}")
        else:
            kind, word = self._tokens[self._at]
            self._at += 1
            value = self._named(word) if kind == "name" else (_number(word) if kind == "number" else word)
        while self._peek() in {".", "["}:
            value = self._member(value)
        return value

    def _member(self, value: Any) -> Any:
        if self._take("."):
            if self._take("*"):
                return list(value.values()) if isinstance(value, dict) else value
            _, key = self._tokens[self._at]
            self._at += 1
            return [_get(item, key) for item in value] if isinstance(value, list) else _get(value, key)
        self._expect("[")
        index = self._binary(0)
        self._expect("]")
        return _get(value, index)

    def _named(self, word: str) -> Any:
        if self._take("("):
            arguments = []
            while not self._take(")"):
                arguments.append(self._binary(0))
                if self._peek() != ")":
                    self._expect(",")
            function = self._scope.functions.get(word.lower())
            if function is None:
                raise ExpressionError(f"Unrecognized function: '{word}'")
            return function(*arguments)
        if word in CONSTANTS:
            return CONSTANTS[word]
        if word not in self._scope.contexts:
            raise ExpressionError(f"Unrecognized named-value: '{word}' in: {self._expression.strip()}")
        return self._scope.contexts[word]


def _tokens(expression: str) -> Iterator[tuple[str, str]]:
    at, expression = 0, expression.strip()
    while at < len(expression):
        match = TOKEN.match(expression, at)
        if match is None or match.lastgroup is None:
            raise ExpressionError(f"Unexpected symbol at position {at + 1} in: {expression}")
        word = match[match.lastgroup]
        yield match.lastgroup, word.replace("''", "'") if match.lastgroup == "text" else word
        at = match.end()


def _get(value: Any, key: Any) -> Any:
    if isinstance(value, list):
        return value[int(key)] if isinstance(key, int | float) and 0 <= key < len(value) else None
    if not isinstance(value, dict):
        return None
    return value.get(key, next((item for name, item in value.items() if str(name).lower() == str(key).lower()), None))


def _operate(mark: str, left: Any, right: Any) -> Any:
    if mark in {"&&", "||"}:
        return right if truthy(left) == (mark == "&&") else left
    if isinstance(left, str) and isinstance(right, str):
        left, right = left.lower(), right.lower()
    elif type(left) is not type(right):
        left, right = _number(left), _number(right)
    results = {"==": left == right, "!=": left != right}
    if mark in results:
        return results[mark]
    return {"<": left < right, "<=": left <= right, ">": left > right, ">=": left >= right}[mark]


def _number(value: Any) -> float:
    try:
        if isinstance(value, str):
            return float(int(value, 16)) if value.lower().startswith("0x") else float(value.strip() or 0)
        return float(value or 0)
    except (TypeError, ValueError):
        return float("nan")


def _contains(where: Any, what: Any) -> bool:
    if isinstance(where, list):
        return any(_operate("==", item, what) for item in where)
    return text(what).lower() in text(where).lower()


def _format(template: str, *values: Any) -> str:
    pattern = re.compile(r"\{\{|\}\}|\{(\d+)\}")
    return pattern.sub(lambda match: text(values[int(match[1])]) if match[1] else match[0][0], template)


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "contains": _contains,
    "startswith": lambda value, prefix: text(value).lower().startswith(text(prefix).lower()),
    "endswith": lambda value, suffix: text(value).lower().endswith(text(suffix).lower()),
    "format": _format,
    "join": lambda values, mark=",": mark.join(map(text, values if isinstance(values, list) else [values])),
    "tojson": lambda value: json.dumps(value, indent=2, ensure_ascii=False),
    "fromjson": json.loads,
}
