"""Orchestrators are replayed: they may use nothing that answers differently the second time."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.structure.product import functions, imported, modules, relative, tree

FORBIDDEN_MODULES = {
    "os", "sys", "io", "pathlib", "asyncio", "random", "secrets", "uuid", "time", "threading", "subprocess", "socket",
    "httpx", "requests", "aiohttp", "logging", "shared.settings", "shared.clients", "shared.register", "shared.clock",
    "activities", "triggers",
}  # fmt: skip
CLOCKS = {"now", "utcnow", "today"}
CALLS = {
    "call_activity", "call_activity_with_retry", "call_sub_orchestrator", "call_sub_orchestrator_with_retry",
}  # fmt: skip
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


def test_the_orchestration_parameter_is_called_context() -> None:
    found = 0
    for path in ORCHESTRATORS:
        for function in functions(path):
            if any("orchestration" in ast.unparse(decorator) for decorator in function.decorator_list):
                found += 1
                assert [argument.arg for argument in function.args.args] == ["context"], function.name
    assert found


def _called(path: Path) -> Iterator[str]:
    """Yield the names of the activities and sub-orchestrations that a module calls."""
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in CALLS:
            name = node.args[0]
            if isinstance(name, ast.Constant):
                yield str(name.value)


def test_every_name_that_is_called_is_registered(loaded_app: dict[str, list[str]]) -> None:
    called = {name for path in ORCHESTRATORS for name in _called(path)}
    assert called
    assert called <= set(loaded_app["functions"])
