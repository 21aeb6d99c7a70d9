"""Orchestrators are replayed: they may use nothing that answers differently the second time."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.product import decorators, functions, imported, modules, relative, tree

FORBIDDEN_MODULES = {
    "os", "sys", "io", "pathlib", "asyncio", "random", "secrets", "uuid", "time", "threading", "subprocess", "socket",
    "httpx", "requests", "aiohttp", "logging", "shared.settings", "shared.clients", "shared.register", "shared.clock",
    "activities", "triggers",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}
ORCHESTRATORS = modules("orchestrators")


@pytest.mark.parametrize("path", ORCHESTRATORS, ids=relative)
def test_an_orchestrator_imports_only_what_is_deterministic(path: Path) -> None:
    forbidden = {
        name for name in imported(path) if any(name == f or name.startswith(f"{f}.") for f in FORBIDDEN_MODULES)
    }
    assert not forbidden


@pytest.mark.parametrize("path", ORCHESTRATORS, ids=relative)
def test_an_orchestrator_asks_only_its_context_for_the_time(path: Path) -> None:
    calls = (node.func for node in ast.walk(tree(path)) if isinstance(node, ast.Call))
    assert not [ast.unparse(call) for call in calls if isinstance(call, ast.Attribute) and call.attr in CLOCKS]


def test_a_flow_gets_its_context_and_its_input() -> None:
    flows = [f for path in ORCHESTRATORS for f in functions(path) if "orchestrator" in decorators(f)]
    assert len(flows) > 3
    assert not [f.name for f in flows if [argument.arg for argument in f.args.args] != ["context", "data"]]


def _called(path: Path) -> Iterator[str]:
    """Yield the names of the activities and sub-orchestrations that a module calls: `call(context, "name", ...)`."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and len(node.args) > 1:
            first, second = node.args[:2]
            if isinstance(first, ast.Name) and first.id == "context" and isinstance(second, ast.Constant):
                yield str(second.value)


def test_every_name_that_is_called_is_registered(loaded_app: dict[str, list[str]]) -> None:
    called = {name for path in ORCHESTRATORS for name in _called(path)}
    assert called
    assert called <= set(loaded_app["functions"])
