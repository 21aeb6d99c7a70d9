"""Gates are judged by what GitHub says, never by what is asked."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestrators.promote import promote
from shared import freezes
from shared.canonical import sha256_hex
from shared.clients import blobs, servicenow
from shared.clock import utc_now
from shared.errors import RequestRejectedError
from shared.instance_ids import promote_instance
from shared.models.messages import MessageKind
from shared.models.problem import Problem
from shared.models.promotions import (
    EvaluatePromotion,
    PromoteInput,
    PromotionKind,
    PromotionState,
    Release,
    SetPromotionState,
    StartPromotion,
)
from shared.models.records import ApplicationRecord
from shared.models.runs import ActivityInput
from shared.register import intents, promotions, requests
from tests.integration.day2 import Conductor
from tests.integration.releases import DIGEST, OTHER, SLSA, SPDX, Source, forged, run_for, source
from tests.integration.world import REQUESTER, DurableClient, World, caller
from triggers import http_promotions
from triggers._http import Call

PROBLEM = Problem(code="internal", title="A step failed", detail="The pipeline stopped.")
FROZEN = """
freezes:
  - id: now
    environments: [{stage}]
    from: "2020-01-01T00:00:00Z"
    until: "2099-01-01T00:00:00Z"
    reason: Test.
"""


@pytest.fixture
async def released(world: World) -> Source:
    return await source(world)


async def _judge(place: Source, **fields: Any) -> Any:
    record = await place.promotion(**fields)
    await place.world.value("evaluate_promotion", EvaluatePromotion(run=run_for(record), at=utc_now()))
    return await promotions.get(record.application, record.id)


async def test_with_all_evidence_the_release_goes_on(released: Source) -> None:
    record = await _judge(released)
    assert record.state is PromotionState.DEPLOYING, record.problem
    assert record.release == Release(
        repository=f"contoso/{released.name}", commit=released.commit, digest=DIGEST, built_at=record.release.built_at
    )
    reference = record.document_reference
    content = await blobs.read_document(reference.blob)
    assert sha256_hex(content) == reference.digest == record.approved_digest
    document = json.loads(content)
    assert (document["release"]["digest"], document["to"]) == (DIGEST, "qa")
    again = await released.world.value("evaluate_promotion", EvaluatePromotion(run=run_for(record), at=utc_now()))
    assert again["digest"] == reference.digest


async def test_production_waits_for_two_people(released: Source) -> None:
    released.deployed("qa", days_ago=2)
    record = await _judge(released, source="qa", target="prod")
    assert record.state is PromotionState.AWAITING_APPROVAL, record.problem
    assert [need["rule"] for need in record.document_reference.approvals] == ["platform", "production-release"]


async def _refused(place: Source, *rules: str, **fields: Any) -> None:
    record = await _judge(place, **fields)
    assert record.state is PromotionState.REFUSED
    assert set(rules) <= set(record.problem.rules or [record.problem.code]), record.problem


async def test_what_does_not_run_in_the_stage_before_is_refused(released: Source) -> None:
    await _refused(released, "PRM-002", asked_digest=OTHER)


async def test_a_rebuilt_image_of_the_same_commit_is_refused(released: Source) -> None:
    released.deployed("dev", OTHER, days_ago=1)
    released.attested(SLSA, OTHER)
    await _refused(released, "PRM-003")


async def test_a_forged_statement_proves_nothing(released: Source) -> None:
    """Somebody with write access deploys an image of their own, and stores a changed statement about it."""
    stored = released.world.github(f"{released.place}/attestations/{DIGEST}")["attestations"]
    for item in stored:
        released.store(forged(item["bundle"], OTHER))
    released.deployed("dev", OTHER, days_ago=1)
    await _refused(released, "PRM-007", "PRM-008")


async def test_another_workflow_of_the_repository_is_no_proof(released: Source) -> None:
    released.deployed("dev", OTHER, days_ago=1)
    released.attested(SLSA, OTHER, workflow="mine.yml")
    released.attested(SPDX, OTHER, workflow="mine.yml")
    await _refused(released, "PRM-007", "PRM-008")


async def test_without_any_evidence_nothing_goes_on(world: World) -> None:
    bare = await source(world, complete=False)
    await _refused(bare, "no-release")
    bare.deployed("dev")
    await _refused(bare, "PRM-000", "PRM-007", "PRM-008")  # never analysed: nobody can say that there is no alert


async def test_a_check_that_failed_closes_the_gate(released: Source) -> None:
    released.checked("Test", "SAST", failing="SAST")
    released.deployed("dev", OTHER, days_ago=1)
    released.attested(SLSA, OTHER)
    released.attested(SPDX, OTHER)
    await _refused(released, "PRM-005")


async def test_a_roll_back_needs_an_image_that_ran_there(released: Source) -> None:
    back = {"kind": PromotionKind.ROLL_BACK, "asked_digest": DIGEST}
    await _refused(released, "PRM-002", **back)
    released.deployed("qa", days_ago=0)
    record = await _judge(released, **back)
    assert record.state is PromotionState.DEPLOYING, record.problem


async def test_what_changed_since_the_approval_is_refused_at_the_last_moment(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await _judge(released)
    payload = StartPromotion(run=run_for(record), release=record.release, operation=f"{record.id}-1")
    began = released.world.position()
    frozen = tmp_path / "freezes.yaml"
    frozen.write_text(FROZEN.format(stage="qa"))
    with monkeypatch.context() as patch:
        patch.setattr(freezes, "FILE", frozen)
        outcome = await released.world.run("start_release", payload)
    assert outcome.problem
    assert (outcome.problem.code, outcome.problem.rules) == ("policy-denied", ["PRM-010"])
    released.deployed("dev", OTHER, days_ago=0)
    outcome = await released.world.run("start_release", payload)
    assert outcome.problem
    assert "PRM-002" in outcome.problem.rules
    assert not [call for call in released.world.calls(began) if call["mutating"] and call["system"] == "github"]


async def test_a_roll_back_marks_what_it_took_back_and_gives_the_lease_back(released: Source) -> None:
    original = await released.promotion(state="succeeded")
    back = await released.promotion(state="verifying", kind=PromotionKind.ROLL_BACK, rolls_back=original.id)
    assert (await released.world.value("take_lease", ActivityInput(run=run_for(back))))["holder"] == back.id
    for _ in range(2):
        await released.world.value(
            "set_promotion_state", SetPromotionState(run=run_for(back), state=PromotionState.SUCCEEDED)
        )
    assert (await promotions.get(original.application, original.id)).state is PromotionState.ROLLED_BACK
    other = await released.promotion(state="deploying")
    assert (await released.world.value("take_lease", ActivityInput(run=run_for(other))))["holder"] == other.id
    late = SetPromotionState(run=run_for(back), state=PromotionState.PARKED)
    assert (await released.world.value("set_promotion_state", late))["detail"].startswith("not parked")


def _call(place: Source, body: Any, key: str = "k", who: Any = REQUESTER, **params: str) -> Call:
    client: Any = DurableClient()
    headers = {"content-type": "application/json", "idempotency-key": key}
    raw = json.dumps(body).encode()
    return Call(who, {"name": place.name, **params}, {}, headers, client, raw, "/api/applications")


async def test_the_same_key_is_one_promotion_and_another_body_is_refused(released: Source) -> None:
    wanted = {"from": "dev", "to": "qa"}
    first = await http_promotions.create_promotion(_call(released, wanted))
    again = await http_promotions.create_promotion(_call(released, wanted))
    assert first.document == again.document
    assert len(await promotions.of_application(released.name)) == 1
    with pytest.raises(RequestRejectedError) as refused:
        await http_promotions.create_promotion(_call(released, {**wanted, "digest": DIGEST}))
    assert refused.value.code == "idempotency-key-reused"


@pytest.mark.parametrize(
    ("body", "code", "pointer"),
    [
        ({"from": "dev", "to": "prod"}, "stages-do-not-follow", "/to"),
        ({"from": "qa", "to": "dev"}, "stages-do-not-follow", "/to"),
        ({"from": "dev", "to": "qa", "digest": "latest"}, "invalid-field", "/digest"),
        ({"from": "dev"}, "invalid-field", "/to"),
    ],
)
async def test_what_cannot_be_promoted_is_named(released: Source, body: Any, code: str, pointer: str) -> None:
    with pytest.raises(RequestRejectedError) as refused:
        await http_promotions.create_promotion(_call(released, body))
    assert (refused.value.code, refused.value.pointer) == (code, pointer)


async def test_a_freeze_refuses_at_once_and_a_roll_back_is_let_through(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    frozen = tmp_path / "freezes.yaml"
    frozen.write_text(FROZEN.format(stage='"*"'))
    monkeypatch.setattr(freezes, "FILE", frozen)
    with pytest.raises(RequestRejectedError) as refused:
        await http_promotions.create_promotion(_call(released, {"from": "dev", "to": "qa"}))
    assert (refused.value.code, refused.value.status) == ("change-freeze", 409)
    assert await promotions.of_application(released.name) == []


async def test_an_application_that_is_not_there_yet_is_not_promoted(world: World) -> None:
    record = await world.order()
    application = await requests.application(record.application)
    assert isinstance(application, ApplicationRecord)
    bare = Source(world, record, "", 0)
    with pytest.raises(RequestRejectedError) as refused:
        await http_promotions.create_promotion(_call(bare, {"from": "dev", "to": "qa"}))
    assert refused.value.code == "not-active"


async def test_an_approval_counts_for_the_document_that_was_shown(released: Source) -> None:
    released.deployed("qa", days_ago=2)
    record = await _judge(released, source="qa", target="prod")
    approver, admin = caller("approver", "Approver"), caller("admin", "Admin")
    shown = record.document_reference.digest
    wrong = _call(released, {"documentDigest": "0" * 64}, who=approver, id=record.id)
    with pytest.raises(RequestRejectedError) as refused:
        await http_promotions.approve_promotion(wrong)
    assert (refused.value.code, refused.value.status) == ("plan-changed", 409)
    for who in (approver, approver, admin):
        right = _call(released, {"documentDigest": shown}, who=who, id=record.id)
        answer = await http_promotions.approve_promotion(right)
    assert answer.document["state"] == "deploying"
    seen = await http_promotions.get_promotion(_call(released, {}, id=record.id))
    assert [decision["actor"] for decision in seen.document["decisions"]] == ["approver", "admin"]
    assert seen.document["openApprovals"] == []
    assert {item["environment"] for item in [d["about"] for d in seen.document["policyDecisions"]]} == {"prod"}


async def _notices(place: Source) -> list[str]:
    kept = await intents.of_request(place.name, place.request.id)
    return [intent.message.title for intent in kept if intent.kind is MessageKind.PROMOTION]


async def test_the_channel_is_told_once_what_needs_somebody(released: Source) -> None:
    """Of two runs that judge at once, of an approval that is missing, and of a run that stopped."""
    released.deployed("qa", days_ago=2)
    record = await _judge(released, source="qa", target="prod")
    for _ in range(2):
        await released.world.value("evaluate_promotion", EvaluatePromotion(run=run_for(record), at=utc_now()))
    waits = f"The promotion of {released.name} to prod waits for an approval"
    assert await _notices(released) == [waits]
    for _ in range(2):
        parked = SetPromotionState(run=run_for(record), state=PromotionState.PARKED, problem=PROBLEM)
        await released.world.value("set_promotion_state", parked)
    assert sorted(await _notices(released)) == [f"The promotion of {released.name} to prod is parked", waits]


async def test_what_goes_well_is_told_to_nobody(released: Source) -> None:
    await _judge(released)
    assert await _notices(released) == []


async def test_cancelling_a_parked_promotion_withdraws_its_change(released: Source) -> None:
    record = await _judge(released, record_systems=["servicenow"])
    await released.world.value("open_release_change", ActivityInput(run=run_for(record)))
    stopped = SetPromotionState(run=run_for(record), state=PromotionState.PARKED, problem=PROBLEM)
    await released.world.value("set_promotion_state", stopped)
    answer = await http_promotions.cancel_promotion(_call(released, {"reason": "Not today."}, id=record.id))
    assert answer.document["state"] == "cancelled"
    new = await promotions.get(record.application, record.id)
    assert (new.attempt, new.instance_id) == (2, promote_instance(record.id, 2))
    for _ in range(2):
        payload = PromoteInput(request_id=new.id, application=new.application, attempt=new.attempt)
        conductor = Conductor(dict(payload.document()), twice=True)
        await conductor.perform(promote(conductor, payload))
    assert conductor.calls[-1] == "withdraw_release_change"
    assert [change.state for change in await servicenow.find_changes(record.id)] == [servicenow.CANCELED]
    assert (await promotions.get(record.application, record.id)).state is PromotionState.CANCELLED


async def test_a_gate_that_closes_at_the_last_moment_withdraws_the_change(
    released: Source, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record = await _judge(released, record_systems=["servicenow"])
    frozen = tmp_path / "freezes.yaml"
    frozen.write_text(FROZEN.format(stage="qa"))
    monkeypatch.setattr(freezes, "FILE", frozen)
    payload = PromoteInput(request_id=record.id, application=record.application, attempt=1)
    conductor = Conductor(dict(payload.document()))
    await conductor.perform(promote(conductor, payload))
    ended = await promotions.get(record.application, record.id)
    assert ended.problem is not None
    assert (ended.state, ended.problem.rules) == (PromotionState.REFUSED, ["PRM-010"])
    assert [change.state for change in await servicenow.find_changes(record.id)] == [servicenow.CANCELED]
    assert await _notices(released) == [f"The promotion of {released.name} to qa is refused"]
