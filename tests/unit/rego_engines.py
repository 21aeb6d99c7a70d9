"""Both Rego engines behind one question: the embedded one, and the real OPA where it is installed."""

import importlib
import importlib.util
import json
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any

import pytest
import regorus

from shared import rule_catalogue
from shared.exceptions import parse
from shared.rule_set import RULES, load_rules
from tests.unit.rego_cases import EXCEPTIONS

Ask = Callable[[str, dict[str, Any]], Any]

MODULES = {path.name: path.read_text(encoding="utf-8") for path in sorted((RULES / "rego" / "appstore").glob("*.rego"))}


def data_with(exceptions: str) -> str:
    """What is below `data`, with other exceptions."""
    document = json.loads(load_rules().data)
    catalogue = rule_catalogue.parse((RULES / rule_catalogue.FILE).read_text(encoding="utf-8"))
    document["exceptions"] = [item.document() for item in parse(exceptions, catalogue, document["config"])]
    return json.dumps(document)


DATA = data_with(EXCEPTIONS)

HAS_OPA = importlib.util.find_spec("opa_bindings") is not None
needs_opa = pytest.mark.skipif(
    not HAS_OPA,
    reason="the real OPA is not installed: it has no package for this platform (tests/opa-requirements.txt)",
)
ENGINES = ["regorus", pytest.param("opa", marks=needs_opa)]


def embedded(data: str = DATA) -> Ask:
    engine = regorus.Engine()
    for name, text in MODULES.items():
        engine.add_policy(name, text)
    engine.add_data_json(data)

    def ask(rule: str, document: dict[str, Any]) -> Any:
        engine.set_input_json(json.dumps(document))
        return json.loads(engine.eval_rule_as_json(f"data.{rule}"))

    return ask


def opa_engine(modules: Mapping[str, str] = MODULES, data: str = DATA) -> Any:
    engine = importlib.import_module("opa_bindings").OpaEngine()
    for name, text in modules.items():
        engine.add_policy(name, text)
    engine.add_data(json.loads(data))
    return engine


def opa(data: str = DATA) -> Ask:
    ask: Ask = opa_engine(data=data).eval_document
    return ask


@cache
def engine_named(name: str, data: str = DATA) -> Ask:
    """The engine, made once: tests in random order would have it made for nearly each of them."""
    return {"regorus": embedded, "opa": opa}[name](data)
