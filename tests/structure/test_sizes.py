from pathlib import Path

from local.size import python_files, sizes, total
from tests.structure.product import ROOT, functions, relative

LARGEST_HOST = 2_500
LARGEST_VENDOR = 250
LARGEST_VENDOR_OF_MANY_APIS = 600
OF_MANY_APIS = ("arm", "github")
LARGEST_MODULE = 350
LARGEST_FUNCTION = 60


def _lines(path: Path) -> int:
    return len(path.read_text(encoding="utf-8").splitlines())


def _code() -> list[Path]:
    return [path for path in python_files() if not relative(path).startswith("tests/")]


def test_the_local_host_stays_small() -> None:
    assert 0 < total(sizes(), "local/host") <= LARGEST_HOST


def test_each_stand_in_stays_small() -> None:
    counted = sizes()
    vendors = {part.split("/")[2]: lines for part, lines in counted.items() if part.startswith("local/vendors/")}
    assert len(vendors) > 1
    too_large = {
        name: lines
        for name, lines in vendors.items()
        if name != "kernel" and lines > (LARGEST_VENDOR_OF_MANY_APIS if name in OF_MANY_APIS else LARGEST_VENDOR)
    }
    assert not too_large


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
