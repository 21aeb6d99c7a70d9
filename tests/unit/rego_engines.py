"""Both Rego engines behind one question: the embedded one, and the real OPA where it is installed."""

import importlib
import importlib.util
import json
from collections.abc import Callable
from typing import Any

import pytest
import regorus

from shared.rule_set import RULES

Ask = Callable[[str, dict[str, Any]], Any]

MODULES = {path.name: path.read_text(encoding="utf-8") for path in sorted((RULES / "rego" / "appstore").glob("*.rego"))}
CONFIG = (RULES / "rego" / "config.json").read_text(encoding="utf-8")

needs_opa = pytest.mark.skipif(
    importlib.util.find_spec("opa_bindings") is None,
    reason="the real OPA is not installed: it has no package for this platform (tests/opa-requirements.txt)",
)
ENGINES = ["regorus", pytest.param("opa", marks=needs_opa)]


def embedded() -> Ask:
    engine = regorus.Engine()
    for name, text in MODULES.items():
        engine.add_policy(name, text)
    engine.add_data_json(CONFIG)

    def ask(rule: str, document: dict[str, Any]) -> Any:
        engine.set_input_json(json.dumps(document))
        return json.loads(engine.eval_rule_as_json(f"data.{rule}"))

    return ask


def opa_engine() -> Any:
    engine = importlib.import_module("opa_bindings").OpaEngine()
    for name, text in MODULES.items():
        engine.add_policy(name, text)
    engine.add_data(json.loads(CONFIG))
    return engine


def opa() -> Ask:
    ask: Ask = opa_engine().eval_document
    return ask


def engine_named(name: str) -> Ask:
    return {"regorus": embedded, "opa": opa}[name]()
