"""For whom work is done: persons who wait come before sweeps."""

import pytest

from activities._activity import _fingerprint
from orchestrators._day2 import run_of
from shared.models.operations import Occasion, OperationInput
from shared.models.runs import ActivityInput, Run
from shared.origin import Origin, for_a_person, working_for


def test_nobody_is_a_person_unless_it_was_said() -> None:
    assert not for_a_person()
    with working_for(Origin.PERSON):
        assert for_a_person()
        with working_for(Origin.SWEEP):
            assert not for_a_person()
        assert for_a_person()
    assert not for_a_person()


@pytest.mark.parametrize("occasion", Occasion)
def test_an_operation_is_for_a_person_only_if_one_asked_for_it(occasion: Occasion) -> None:
    run = run_of(OperationInput(request_id="op-1", application="a", origin=occasion.origin))
    assert (run.origin is Origin.PERSON) == (occasion is Occasion.REQUEST)


def test_payloads_of_older_versions_are_for_persons() -> None:
    assert Run.model_validate({"requestId": "req-1", "application": "a"}).origin is Origin.PERSON


def test_who_waits_makes_no_other_step() -> None:
    """A step that was done before there were origins, or for somebody else, is not done again."""
    one, other = (ActivityInput(run=Run(request_id="r", application="a", origin=origin)) for origin in Origin)
    assert _fingerprint(one) == _fingerprint(other)
