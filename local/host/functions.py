"""What the worker found in function_app.py, and the check that this host can run all of it."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from local.host.errors import HostError


@dataclass(frozen=True)
class Function:
    """One indexed function with its bindings as the worker library describes them."""

    name: str
    id: str
    bindings: tuple[dict[str, Any], ...]
    retry: bool

    @property
    def trigger(self) -> dict[str, Any]:
        return next(binding for binding in self.bindings if str(binding["type"]).lower().endswith("trigger"))

    @property
    def kind(self) -> str:
        return str(self.trigger["type"])

    @property
    def input_bindings(self) -> list[dict[str, Any]]:
        trigger = self.trigger
        return [b for b in self.bindings if b is not trigger and str(b["direction"]).lower() == "in"]


def parse(records: Iterable[dict[str, Any]]) -> dict[str, Function]:
    """Build the functions by name; two with one name are refused, as the real host refuses them."""
    functions: dict[str, Function] = {}
    for record in records:
        function = Function(record["name"], record["id"], tuple(record["bindings"]), bool(record["retry"]))
        if function.name in functions:
            raise HostError(f"function_app.py defines two functions named '{function.name}'.")
        functions[function.name] = function
    return functions


def refuse_unsupported(functions: Iterable[Function], supported: frozenset[str]) -> None:
    """Raise HostError naming every binding or policy this host would otherwise ignore."""
    problems = []
    for function in functions:
        for binding in function.bindings:
            if binding["type"] not in supported:
                problems.append(f"function '{function.name}': the binding type '{binding['type']}' is not implemented")
            if binding.get("durableRequiresGrpc"):
                problems.append(f"function '{function.name}': the durable 2.x protocol is not implemented")
        if function.retry:
            problems.append(f"function '{function.name}': retry policies of functions are not implemented")
    if problems:
        raise HostError("This local host cannot run the app (use `func start`): " + "; ".join(problems) + ".")
