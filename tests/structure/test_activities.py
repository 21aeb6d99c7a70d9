import ast
from collections.abc import Iterator

from tests.structure.product import decorators, functions, modules, relative

VERBS = ("ensure_", "open_", "set_", "remove_", "read_", "list_", "send_")
HEAVY = (
    "azure.servicebus",
    "openai", "azure.identity", "azure.mgmt", "azure.storage.blob", "azure.data.tables", "azure.keyvault.secrets",
    "copier", "regorus", "gordon_to_regorus", "azure.monitor", "opentelemetry.sdk", "opentelemetry.exporter",
)  # fmt: skip


def _activities() -> Iterator[tuple[str, ast.AsyncFunctionDef | ast.FunctionDef]]:
    for path in modules("activities"):
        for function in functions(path):
            if decorators(function) & {"activity", "look"}:
                yield f"{relative(path)}:{function.name}", function


def test_there_are_activities() -> None:
    assert len(list(_activities())) > 5


def test_every_activity_says_why_it_may_run_twice() -> None:
    assert not [name for name, function in _activities() if "Idempotency:" not in (ast.get_docstring(function) or "")]


def test_every_activity_is_async_so_that_it_cannot_starve_the_others() -> None:
    assert not [name for name, function in _activities() if not isinstance(function, ast.AsyncFunctionDef)]


def test_loading_the_app_loads_no_heavy_sdk(loaded_app: dict[str, list[str]]) -> None:
    assert not [name for name in HEAVY if name in loaded_app["modules"]]


KEPT_WITHOUT_SHIELDS = {
    "remove_infrastructure_change",  # a proposal that nobody merged, and the record of what is gone already
    "remove_template_task",  # cancels what runs; nothing that exists is taken away
    "remove_records",  # changes and items are closed, not removed
}


def test_every_removal_asks_for_what_stands_above_the_rules() -> None:
    """Kill switch, legal hold, freeze and exemption: `shields.allow` reads them right before the removal."""
    removals = {name: function for name, function in _activities() if name.partition(":")[2].startswith("remove_")}
    assert removals
    silent = {
        name.partition(":")[2]
        for name, function in removals.items()
        if not {"shields.allow", "carry_out"}
        & {ast.unparse(node.func) for node in ast.walk(function) if isinstance(node, ast.Call)}
    }
    assert silent == KEPT_WITHOUT_SHIELDS
