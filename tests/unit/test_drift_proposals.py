"""What a proposal says, whatever stands in the values; and that operations which began before it go on without it."""

import json
from typing import Any

import pytest

from orchestrators.day2_detect_drift import _told
from shared.drift_proposals import body, code, digest_of, record
from shared.models.drift import Difference
from shared.models.operations import OperationInput
from shared.models.runs import Run


def difference(address: str = "a.b", actual: str = '"1"', expected: str = '"2"') -> Difference:
    facts = {"address": address, "type": "t", "attribute": "x", "kind": "changed", "severity": "high"}
    return Difference.model_validate({**facts, "driftClass": "propose", "expected": expected, "actual": actual})


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("plain", "`plain`"),
        ("a`b", "`` a`b ``"),
        ("``", "``` `` ```"),
        ("a|b", r"`a\u007cb`"),
        ("a\\|b", r"`a\\u007cb`"),
        ("a\nb", r"`a\u000ab`"),
        ("a\u202eb\u200bc", r"`a\u202eb\u200bc`"),
        ("<!-- x -->", r"`<\u0021-- x -->`"),
        ("Überprüfung", "`Überprüfung`"),
    ],
)
def test_a_value_is_code_and_nothing_else(text: str, shown: str) -> None:
    assert code(text) == shown


def test_the_text_stays_below_githubs_limit_and_says_what_it_leaves_out() -> None:
    many = [difference(f"a.{number:04}" + "\u202e" * 200, "x" * 200, "`" * 200) for number in range(400)]
    text = body("dev", many)
    assert len(text) < 65_536
    told = next(line for line in text.splitlines() if line.endswith("more are in the file."))
    assert int(told.split()[0]) + sum(line.startswith("| high") for line in text.splitlines()) == 400
    assert len(json.loads(record("dev", 1, many))["findings"]) == 400


def test_the_digest_knows_values_and_no_order() -> None:
    one, two = difference("a"), difference("b")
    assert digest_of([one, two]) == digest_of([two, one])
    assert digest_of([one]) != digest_of([difference("a", actual='"3"')])
    assert record("dev", 1, [one, two]) == record("dev", 1, [two, one]) != record("dev", 2, [one, two])


class Context:
    """The part of the durable context that calls activities."""

    def call_activity_with_retry(self, name: str, *_: Any) -> str:
        return name


@pytest.mark.parametrize(("version", "calls"), [(1, []), (2, ["ensure_drift_proposal"])])
def test_an_operation_that_began_before_there_were_proposals_goes_on_without(version: int, calls: list[str]) -> None:
    data = OperationInput(request_id="op-1", application="a", flow_version=version)
    context: Any = Context()
    flow = _told(context, data, Run(request_id="op-1", application="a", branch="operation", environment="dev"))
    called: list[Any] = [next(flow)]
    try:
        while True:
            called.append(flow.send({"status": "done", "value": {}}))
    except StopIteration:
        assert called == ["ensure_drift_items", *calls]
