"""The contract: the sample keeps it, and every way of breaking it is named with its line."""

from datetime import date
from pathlib import Path

import pytest
import yaml

from app.contract import MOST_VIOLATIONS, Contract, ContractBrokenError
from app.main import CONTRACTS, SAMPLE_DATE

HEAD = b"order_id,ordered_on,country,amount,note\n"
GOOD = b"A-1,2026-01-31,DE,10.50,\n"


def violations(contract: Contract, content: bytes, run_date: date = SAMPLE_DATE) -> list[tuple[int, str]]:
    with pytest.raises(ContractBrokenError) as caught:
        contract.read(content, run_date)
    return [(item.line, item.column) for item in caught.value.violations]


def test_sample_keeps_the_contract(contract: Contract, sample: bytes) -> None:
    assert [row["order_id"] for row in contract.read(sample, SAMPLE_DATE)] == ["A-1", "A-2", "A-3"]


@pytest.mark.parametrize(
    ("line", "column"),
    [
        (b",2026-01-31,DE,1,\n", "order_id"),
        (b"a-1,2026-01-31,DE,1,\n", "order_id"),
        (b"A-2,31.01.2026,DE,1,\n", "ordered_on"),
        (b"A-2,2026-01-30,DE,1,\n", "ordered_on"),
        (b"A-2,2026-01-31,de,1,\n", "country"),
        (b"A-2,2026-01-31,DE,,\n", "amount"),
        (b"A-2,2026-01-31,DE,-1,\n", "amount"),
        (b"A-2,2026-01-31,DE,NaN,\n", "amount"),
        (b"A-2,2026-01-31,DE,ten,\n", "amount"),
        (b"A-2,2026-01-31,DE\n", ""),
        (b"A-2,2026-01-31,DE,1,,more\n", ""),
    ],
)
def test_bad_row_is_named_by_line_and_column(contract: Contract, line: bytes, column: str) -> None:
    assert (3, column) in violations(contract, HEAD + GOOD + line)


def test_same_key_twice_is_named(contract: Contract) -> None:
    assert violations(contract, HEAD + GOOD + GOOD) == [(0, "order_id")]


@pytest.mark.parametrize("content", [b"", HEAD])
def test_file_without_rows_is_refused(contract: Contract, content: bytes) -> None:
    assert violations(contract, content) == [(0, "")]


def test_missing_and_unknown_columns_are_named(contract: Contract) -> None:
    content = b"order_id,ordered_on,country,total\nA-1,2026-01-31,DE,1\n"
    assert violations(contract, content) == [(1, "amount"), (1, "note"), (1, "total")]


def test_what_is_not_text_is_refused(contract: Contract) -> None:
    assert violations(contract, b"\xff\xfe\x00") == [(0, "")]


def test_list_of_violations_ends(contract: Contract) -> None:
    content = HEAD + b"".join(b"x,2026-01-31,DE,1,\n" for _ in range(200))
    assert len(violations(contract, content)) == MOST_VIOLATIONS


def test_unknown_expectation_is_an_error_of_the_contract(tmp_path: Path, sample: bytes) -> None:
    document = yaml.safe_load((CONTRACTS / "orders.yaml").read_text(encoding="utf-8"))
    document["expectations"].append({"kind": "pretty"})
    file = tmp_path / "contract.yaml"
    file.write_text(yaml.safe_dump(document), encoding="utf-8")
    with pytest.raises(ValueError, match="pretty"):
        Contract(file).read(sample, SAMPLE_DATE)


@pytest.mark.parametrize("file", sorted(CONTRACTS.glob("*.yaml")), ids=lambda file: file.stem)
def test_every_contract_is_complete(file: Path) -> None:
    document = yaml.safe_load(file.read_text(encoding="utf-8"))
    assert document["name"] == file.stem
    assert {"version", "owner", "format", "columns", "expectations"} <= set(document)
    names = [column["name"] for column in document["columns"]]
    assert len(names) == len(set(names))
    assert {rule["column"] for rule in document["expectations"] if "column" in rule} <= set(names)
