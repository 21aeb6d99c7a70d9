"""The Bicep of the App Store itself. No compiler can be had here: its syntax, its names and what it says of the app."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import tree_sitter
import tree_sitter_bicep
import yaml

from shared.configuration import settings_classes, settings_of
from shared.rule_set import RULES
from tests.infra.conftest import INFRA, ROOT

FOLDER = INFRA / "app"
FILES = sorted(FOLDER.glob("*.bicep"))
PARSER = tree_sitter.Parser(tree_sitter.Language(tree_sitter_bicep.language()))
FUNCTIONS = {
    *("deployment", "environment", "guid", "resourceGroup", "string", "subscription", "subscriptionResourceId"),
    *("tenant", "union", "uniqueString"),
}
DECORATORS = {"description", "minLength", "maxLength", "minValue", "maxValue"}
DECLARATIONS = {
    *("parameter_declaration", "variable_declaration", "resource_declaration", "module_declaration"),
    "output_declaration",
}
# What the Functions host, its worker and its extensions read; everything else is a setting of the product.
OF_THE_PLATFORM = re.compile(
    r"AzureWebJobsStorage__\w+|APPLICATIONINSIGHTS_AUTHENTICATION_STRING|AZURE_CLIENT_ID"
    r"|AZURE_FUNCTIONS_DURABLE_STRICT_TYPING|PYTHON_THREADPOOL_THREAD_COUNT"
)

every_file = pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)


def nodes(node: Any) -> Iterator[Any]:
    yield node
    for child in node.children:
        yield from nodes(child)


def parsed(file: Path) -> list[Any]:
    return list(nodes(PARSER.parse(file.read_bytes()).root_node))


def text(node: Any) -> str:
    return str(node.text.decode())


def problems(tree: list[Any]) -> list[str]:
    """Broken syntax, names that nobody declares, functions that Bicep has not."""
    found = [f"line {node.start_point[0] + 1}: syntax" for node in tree if node.type == "ERROR" or node.is_missing]
    declared = {text(_name(node)) for node in tree if node.type in DECLARATIONS}
    for loop in (node for node in tree if node.type == "for_statement"):
        declared |= {text(node) for node in nodes(loop) if node.type in ("loop_variable", "loop_enumerator")}
        declared |= {text(node) for node in loop.children[2:3] if node.type == "identifier"}  # for x in
    for node in tree:
        if node.type == "identifier" and not _is_key(node):
            call = node.parent.type == "call_expression" and node.parent.child_by_field_name("function") == node
            if text(node) not in (FUNCTIONS | DECORATORS if call else declared):
                found.append(f"line {node.start_point[0] + 1}: {text(node)} is not known")
    return found


def _name(declaration: Any) -> Any:
    return next(child for child in declaration.children if child.type == "identifier")


def _is_key(node: Any) -> bool:
    """The name of a property, or of what is declared."""
    if node.parent.type in DECLARATIONS:
        return bool(_name(node.parent) == node)
    return bool(node.parent.type == "object_property" and node.parent.children[0] == node)


@every_file
def test_syntax_and_names(file: Path) -> None:
    assert problems(parsed(file)) == []


@pytest.mark.parametrize(
    ("source", "found"),
    [
        ("param x string\noutput y string = z\n", "z is not known"),
        ("var a = nosuch('b')\n", "nosuch is not known"),
        ("resource r 'A/b@2024-01-01' = {\n  name: 'x'\n", "syntax"),
    ],
)
def test_what_is_wrong_is_found(source: str, found: str) -> None:
    tree = list(nodes(PARSER.parse(source.encode()).root_node))
    assert any(found in problem for problem in problems(tree)), problems(tree)


@every_file
def test_parameters_and_outputs_say_what_they_are(file: Path) -> None:
    source = file.read_text()
    for kind in ("param", "output"):
        for name in re.findall(rf"^{kind} (\w+)", source, re.MULTILINE):
            assert re.search(rf"@description\([^\n]+\)\n(?:@\w+\([^\n]*\)\n)*{kind} {name}\b", source), name
    assert not re.search(r"listKeys|secure\(|password:|connectionString\s*:\s*'", source, re.IGNORECASE), "no secrets"


def _app_settings() -> set[str]:
    block = re.search(r"union\(\n +\{\n(.*?)\n +\},\n +moreSettings", (FOLDER / "main.bicep").read_text(), re.DOTALL)
    assert block
    return set(re.findall(r"^ +(\w+):", block.group(1), re.MULTILINE))


def test_the_app_gets_every_setting_that_it_must_have_and_none_that_nobody_reads() -> None:
    known = {setting.variable: setting for cls in settings_classes() for setting in settings_of(cls)}
    given = {name for name in _app_settings() if not OF_THE_PLATFORM.fullmatch(name)}
    upper = {name.upper() for name in given}
    assert upper <= {name.upper() for name in known}
    required = {name for name, setting in known.items() if setting.default is None}
    assert {name.upper() for name in required} <= upper


def test_events_go_to_functions_that_are_there() -> None:
    source = (FOLDER / "events-topics.bicep").read_text()
    functions = set(re.findall(r"function: '(\w+)'", source))
    triggers = "".join(path.read_text() for path in sorted((ROOT / "triggers").glob("event_grid_*.py")))
    assert functions == set(re.findall(r'event_grid_function\("(\w+)"\)', triggers)) - {"take_key_vault_event"}
    wanted = {kind for rule in yaml.safe_load((RULES / "events.yaml").read_text())["events"] for kind in rule["kinds"]}
    sent = set(re.findall(r"'(Microsoft\.(?:Resources|PolicyInsights)\.\w+(?:Success|Created|Changed))'", source))
    assert {kind for kind in wanted if "KeyVault" not in kind} <= sent


def test_roles_are_the_ones_that_their_comments_name() -> None:
    roles = dict(
        re.findall(r"'([0-9a-f-]{36})' // ([\w ]+?)(?::|$)", (FOLDER / "main.bicep").read_text(), re.MULTILINE)
    )
    platform = json.loads((ROOT / "local" / "vendors" / "arm" / "platform.json").read_text())
    known = {guid: name for name, guid in platform["role_definitions"].items()}
    assert len(roles) == 7
    assert {guid: name for guid, name in roles.items() if guid in known} == {
        guid: known[guid] for guid in roles if guid in known
    }
    assert not any("Owner" in name and name != "Storage Blob Data Owner" for name in roles.values())
