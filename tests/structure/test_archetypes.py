"""No module of the product knows an archetype or a parameter of one by name."""

import ast

from shared import archetypes
from tests.structure.product import modules, relative, tree

# What is about a landing zone and not about an archetype: every archetype may have a parameter of this name.
OF_THE_HOUSE = {"cluster"}


def _literals(node: ast.AST) -> set[str]:
    return {item.value for item in ast.walk(node) if isinstance(item, ast.Constant) and isinstance(item.value, str)}


def _asked_for(module: ast.Module) -> set[str]:
    """Texts by which something called parameters is asked: ``parameters.get("x")``, ``parameters["x"]``."""
    found: set[str] = set()
    for node in ast.walk(module):
        if isinstance(node, ast.Subscript) and ast.unparse(node.value).endswith("parameters"):
            found |= _literals(node.slice)
        elif isinstance(node, ast.Call) and ast.unparse(node.func).endswith("parameters.get"):
            found |= _literals(node.args[0])
    return found


def test_python_names_no_archetype() -> None:
    compared = {
        relative(path)
        for path in modules("triggers", "orchestrators", "activities", "shared")
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Compare) and _literals(node) & {item.id for item in archetypes.catalogue()}
    }
    assert compared == set()


def test_python_names_no_parameter() -> None:
    theirs = {name for item in archetypes.catalogue() for name in item.parameters["properties"]} - OF_THE_HOUSE
    assert {"database", "publicEndpoint", "schedule"} <= theirs
    found = {relative(path): _asked_for(tree(path)) & theirs for path in modules("activities", "shared", "triggers")}
    assert {path: names for path, names in found.items() if names} == {}


def test_the_check_sees_a_parameter() -> None:
    asked = _asked_for(ast.parse('body.parameters.get("a")\nparameters["b"]\nother["c"]'))
    assert asked == {"a", "b"}
