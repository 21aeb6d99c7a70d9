"""Expanding an ARM template: parameters, variables, conditions, copies, nested deployments, in the order of need.

Expressions are bicep-cost's: https://learn.microsoft.com/azure/azure-resource-manager/templates/template-functions
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from graphlib import TopologicalSorter
from typing import Any

from bicep_cost.armexpr import Unknown, build_resource_id, evaluate_string

DEPLOYMENTS = "Microsoft.Resources/deployments"
NOT_SENT = frozenset({"type", "apiVersion", "name", "dependsOn", "condition", "copy", "scope", "comments", "metadata"})
type Document = dict[str, Any]
# The resource behind an id as it is now; None when it is not known while the template is expanded.
type Read = Callable[[str], Document | None]


@dataclass(frozen=True)
class Place:
    """Where a template is deployed."""

    subscription: str
    group: str = ""

    @property
    def path(self) -> str:
        group = f"/resourceGroups/{self.group}" if self.group else ""
        return f"/subscriptions/{self.subscription}{group}"


@dataclass(frozen=True)
class Planned:
    """A resource of the template; without an id when its name is only known after other resources were made."""

    symbol: str
    type: str
    id: str | None
    body: Document


class Template:
    """A template with its parameters: what its expressions may ask (bicep-cost's EvalContext)."""

    def __init__(self, document: Document, given: Document, place: Place, read: Read) -> None:
        self._document, self._given, self._place, self._read = document, given, place, read
        self._ids: dict[str, str | None] = {}
        self._outputs: dict[str, Document] = {}
        self._index: list[int] = []

    def resources(self) -> Iterator[Planned]:
        """Every resource after those that it depends on. Who makes them as they come lets the later ones read them."""
        listed: dict[str, Document] = self._document["resources"]
        wanted = {name: item for name, item in listed.items() if self.value(item.get("condition", True))}
        order = {name: {one for one in item.get("dependsOn", []) if one in wanted} for name, item in wanted.items()}
        for symbol in TopologicalSorter(order).static_order():
            for index in range(self.value(wanted[symbol].get("copy", {}).get("count", 1))):
                self._index.append(index)
                yield from self._resource(symbol, wanted[symbol])
                self._index.pop()

    def _resource(self, symbol: str, item: Document) -> Iterator[Planned]:
        if item["type"] == DEPLOYMENTS:
            yield from self._nested(symbol, item)
            return
        identity = self._id(item)
        self._ids[symbol] = identity
        body = {key: self.shown(value) for key, value in item.items() if key not in NOT_SENT}
        yield Planned(symbol, str(item["type"]), identity, body)

    def _id(self, item: Document) -> str | None:
        name, scope = self.value(item["name"]), self.value(item.get("scope", self._place.path))
        if isinstance(name, Unknown) or isinstance(scope, Unknown):
            return None
        if item["type"] == "Microsoft.Resources/resourceGroups":
            return f"{self._place.path}/resourceGroups/{name}"
        return str(build_resource_id(scope, item["type"], name.split("/")))

    def _nested(self, symbol: str, item: Document) -> Iterator[Planned]:
        group = {"subscription": item.get("subscriptionId"), "group": item.get("resourceGroup")}
        place = replace(self._place, **{key: self.value(value) for key, value in group.items() if value})
        properties = item["properties"]
        given = {name: self.value(entry["value"]) for name, entry in properties["parameters"].items()}
        inner = Template(properties["template"], given, place, self._read)
        yield from inner.resources()
        self._outputs[symbol] = inner.outputs()

    def outputs(self) -> Document:
        return {
            name: {"type": item["type"], "value": self.value(item["value"])}
            for name, item in self._document.get("outputs", {}).items()
        }

    def value(self, value: Any) -> Any:
        """A value with its expressions evaluated; Unknown stands for what is only known later."""
        if isinstance(value, str):
            return evaluate_string(value, self)
        if isinstance(value, list):
            return [self.value(item) for item in value]
        return {key: self.value(item) for key, item in value.items()} if isinstance(value, dict) else value

    def shown(self, value: Any) -> Any:
        """As ``value``, but an expression that cannot be evaluated stays as it is written, and null is not sent."""
        if isinstance(value, str):
            found = self.value(value)
            return value if _unknown(found) else found
        if isinstance(value, list):
            return [self.shown(item) for item in value]
        if isinstance(value, dict):
            return {key: found for key, item in value.items() if (found := self.shown(item)) is not None}
        return value

    # -- what expressions ask ----------------------------------------------------------------------------------------

    def get_parameter(self, name: str) -> Any:
        declared = self._document["parameters"][name]
        default = None if declared.get("nullable") else declared.get("defaultValue", Unknown(f"no parameter {name}"))
        return self._given.get(name, default)

    def get_variable(self, name: str) -> Any:
        return self.value(self._document["variables"][name])

    def copy_index(self, _loop: str | None) -> int:
        return self._index[-1]

    def reference(self, args: Sequence[Any]) -> Any:
        if args[0] in self._outputs:
            return {"outputs": self._outputs[args[0]]}
        identity = self._ids.get(args[0], args[0])
        found = self._read(identity) if identity else None
        return found["properties"] if found else Unknown(f"reference({args[0]})")

    @property
    def default_subscription_id(self) -> str:
        return self._place.subscription

    @property
    def default_resource_group(self) -> str:
        return self._place.group


def _unknown(value: Any) -> bool:
    items = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return isinstance(value, Unknown) or any(_unknown(item) for item in items)
