from collections import Counter
from functools import cache
from pathlib import Path

from local.size import python_files, sizes, total
from tests.structure.product import ROOT, functions, relative

LARGEST_HOST = 2_650  # docs/adr/0037
LARGEST_BROKER = 1_050  # docs/adr/0037
LARGEST_VENDOR = 250
# What was measured, rounded up by at most 5 %: these run something or answer many calls (docs/adr/0011). A number here
# may only become smaller, and must when the code does.
MEASURED = {
    "actions": 1_260,  # docs/adr/0025, 0029
    "github": 1_150,
    "kernel": 940,
    "azurerm": 845,  # docs/adr/0043
    "event_grid": 295,  # docs/adr/0040, 0045
    "registry": 255,  # docs/adr/0029
    "arm": 1_015,  # docs/adr/0017, 0020, 0025, 0035, 0044
    "key_vault": 270,  # docs/adr/0048
    "kubernetes": 520,  # docs/adr/0025
    "entra": 260,  # docs/adr/0025
    "backstage": 310,
    "storage": 295,  # docs/adr/0048
    "deployment_stacks": 295,  # docs/adr/0034
}
SLACK = 1.10
LARGEST_MODULE = 350
LARGEST_FUNCTION = 60


@cache
def _sizes() -> Counter[str]:
    return sizes()


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _code() -> list[Path]:
    return [path for path in python_files() if not relative(path).startswith("tests/")]


def test_the_local_host_stays_small() -> None:
    assert 0 < total(_sizes(), "local/host") <= LARGEST_HOST


def test_the_local_broker_stays_small() -> None:
    assert 0 < total(_sizes(), "local/service_bus") <= LARGEST_BROKER


def _stand_ins() -> dict[str, int]:
    return {part.split("/")[2]: lines for part, lines in _sizes().items() if part.startswith("local/vendors/")}


def test_each_stand_in_stays_small() -> None:
    vendors = _stand_ins()
    assert len(vendors) > len(MEASURED)
    assert not {name: lines for name, lines in vendors.items() if lines > MEASURED.get(name, LARGEST_VENDOR)}


def test_a_limit_follows_its_stand_in_down() -> None:
    vendors = _stand_ins()
    too_generous = {
        name: vendors.get(name, 0) for name, limit in MEASURED.items() if limit > vendors.get(name, 0) * SLACK
    }
    assert not too_generous


def test_modules_stay_short() -> None:
    assert not {relative(path): _lines(path) for path in _code() if _lines(path) > LARGEST_MODULE}


def test_functions_stay_short() -> None:
    too_long = [
        f"{relative(path)}:{function.lineno} {function.name}"
        for path in _code()
        for function in functions(path)
        if (function.end_lineno or 0) - function.lineno + 1 > LARGEST_FUNCTION
    ]
    assert not too_long


def test_the_composition_root_only_composes() -> None:
    assert _lines(ROOT / "function_app.py") <= 25
