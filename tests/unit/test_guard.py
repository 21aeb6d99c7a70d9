import itertools
from typing import Any

import pytest

from shared.errors import RequestRejectedError
from shared.guard import REMOVE_DRILL, Action, Facts, Mode, Permit, Verdict, decide, permit

ACTION = Action(rule="undo", kind="repository", target="contoso/payments-api", owner="req-1")
SHIELDS = ("locked", "frozen", "held", "kill_switch", "exempt")


def test_what_the_request_made_may_be_removed() -> None:
    assert decide(ACTION, Facts(owned_by="req-1")).verdict is Verdict.ALLOW
    assert permit(ACTION, Facts(owned_by="req-1")).action is ACTION


@pytest.mark.parametrize("owner", [None, "req-2", ""])
def test_what_it_did_not_make_stays(owner: str | None) -> None:
    decision = decide(ACTION, Facts(owned_by=owner))
    assert decision.verdict is Verdict.REFUSE
    assert "contoso/payments-api" in decision.reason
    with pytest.raises(RequestRejectedError) as refused:
        permit(ACTION, Facts(owned_by=owner))
    assert refused.value.status == 409


@pytest.mark.parametrize(("shields", "mode"), list(itertools.product(itertools.product((False, True), repeat=5), Mode)))
def test_shields_win_over_every_mode(shields: tuple[bool, ...], mode: Mode) -> None:
    given: dict[str, Any] = dict(zip(SHIELDS, shields, strict=True))
    facts = Facts(mode=mode, owned_by="req-1", **given)
    verdict = decide(ACTION, facts).verdict
    if any(shields):
        assert verdict is Verdict.REFUSE
    else:
        expected = {Mode.ACT: Verdict.ALLOW, Mode.PROPOSE: Verdict.PROPOSE}
        assert verdict is expected.get(mode, Verdict.REFUSE)


def test_a_freeze_does_not_keep_what_a_drill_left() -> None:
    """It holds changes of applications back; every other shield keeps a drill's copy as it keeps anything."""
    action = Action(rule=REMOVE_DRILL, kind="resource group", target="rg", owner="op-1", environment="prod")
    allowed = {shield for shield in SHIELDS if decide(action, _facts(shield)).verdict is Verdict.ALLOW}
    assert allowed == {"frozen"}
    assert decide(action, Facts(owned_by="op-2")).verdict is Verdict.REFUSE


def _facts(shield: str) -> Facts:
    given: dict[str, Any] = {shield: True}
    return Facts(owned_by="op-1", **given)


def test_a_proposal_is_no_permit() -> None:
    with pytest.raises(RequestRejectedError):
        permit(ACTION, Facts(mode=Mode.PROPOSE, owned_by="req-1"))


def test_a_permit_cannot_be_made_up() -> None:
    with pytest.raises(TypeError):
        Permit(ACTION, object())
