"""Labels of metrics stay few: an operation is a phrase of the code, never put together from what a request brings."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.structure.product import modules, relative, tree

FEW = {"permit.action.kind"}  # the kinds of objects that a removal may be about


def _operations(path: Path) -> Iterator[tuple[int, ast.expr]]:
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Call) and node.args:
            name = ast.unparse(node.func).rpartition(".")[2]
            if name == "Call":
                yield node.lineno, node.args[0]
            elif name == "vendor_call" and len(node.args) > 1:
                yield node.lineno, node.args[1]


def _fixed(text: ast.expr) -> bool:
    """A literal, a parameter that carries one, or a literal with something of which there are few."""
    if isinstance(text, ast.JoinedStr):
        parts = [part for part in text.values if isinstance(part, ast.FormattedValue)]
        return all(ast.unparse(part.value) in FEW for part in parts)
    return isinstance(text, ast.Constant | ast.Name | ast.Attribute)


def test_an_operation_is_a_fixed_phrase() -> None:
    found = [(path, line, text) for path in modules("shared/clients") for line, text in _operations(path)]
    assert len(found) > 50
    assert [f"{relative(path)}:{line}" for path, line, text in found if not _fixed(text)] == []


def test_a_phrase_with_a_name_in_it_is_recognised() -> None:
    assert not _fixed(ast.parse("f'delete {name}'", mode="eval").body)
    assert _fixed(ast.parse("f'delete {permit.action.kind}'", mode="eval").body)
