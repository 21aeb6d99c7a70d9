"""What GitHub's answers say about a release, and what the rules are asked."""

import pytest

from shared.attestations import Statement
from shared.models.application_request import ApplicationRequest
from shared.models.promotions import TRANSITIONS, PromotionKind, PromotionRecord, PromotionState
from shared.releases import (
    PROVENANCE,
    Attested,
    Deployed,
    Evidence,
    attested,
    before,
    question,
    release_of,
    running,
    stages_before,
    stands_in_the_way,
)
from tests.unit.rego_promotion import COMMIT, DIGEST, REBUILT, SIGNER
from tests.unit.test_authorisation import BODY

REPOSITORY = "contoso/payments-api"
OTHER = "f" * 40


def deployed(stage: str, digest: str = DIGEST, state: str = "success", since: str = "2026-11-20T08:00:00Z") -> Deployed:
    return Deployed(stage, COMMIT, digest, state, since)


def provenance(**changes: object) -> Attested:
    predicate = {"buildDefinition": {"resolvedDependencies": [{"digest": {"gitCommit": OTHER}}]}}
    fields = {"predicate_type": PROVENANCE, "predicate": predicate, "subjects": (DIGEST,), "signer": SIGNER}
    return Attested(Statement(**{**fields, "signed_at": "2026-11-19T08:00:00Z", **changes}))  # type: ignore[arg-type]


def record(kind: PromotionKind = PromotionKind.PROMOTE) -> PromotionRecord:
    return PromotionRecord(
        id="pro-000000000000",
        application="payments-api",
        kind=kind,
        state=PromotionState.EVALUATING,
        source="dev",
        target="qa",
        body_hash="x",
        tenant="t",
        requester="alice",
        requester_name="alice",
        owner_team="payments",
        request_id="req-000000000000",
        instance_id="pro-000000000000:promote:1",
        created_at="2026-11-20T08:00:00.000Z",
        updated_at="2026-11-20T08:00:00.000Z",
    )


def test_what_runs_is_what_answered_last() -> None:
    earlier, later = deployed("qa", REBUILT), deployed("qa", since="2026-11-21T08:00:00Z")
    failed = deployed("qa", REBUILT, "failure", "2026-11-22T08:00:00Z")
    assert running([later, failed, earlier], "qa") == later
    assert running([later], "prod") is None
    assert before([later, failed, earlier], "qa", DIGEST) == earlier
    assert before([later, failed], "qa", DIGEST) is None


def test_the_commit_of_a_release_is_what_its_provenance_says() -> None:
    evidence = Evidence([deployed("dev")], [provenance()])
    assert release_of(REPOSITORY, DIGEST, evidence).commit == OTHER
    assert release_of(REPOSITORY, DIGEST, evidence).built_at == "2026-11-19T08:00:00Z"


@pytest.mark.parametrize(
    "useless",
    [
        Attested(None, "not verified"),
        provenance(subjects=(REBUILT,)),
        provenance(signer="https://github.com/contoso/other/.github/workflows/ci.yml@refs/heads/main"),
        provenance(predicate_type="https://spdx.dev/Document/v2.3"),
    ],
)
def test_another_statement_says_nothing_about_it(useless: Attested) -> None:
    evidence = Evidence([deployed("dev")], [useless])
    assert release_of(REPOSITORY, DIGEST, evidence).commit == COMMIT
    assert release_of(REPOSITORY, f"sha256:{'c' * 64}", evidence).commit == ""


def test_without_an_authority_no_attestation_counts() -> None:
    found = attested([{"dsseEnvelope": {}}, None], None)
    assert [item.statement for item in found] == [None, None]
    assert attested([{}], b"")[0].reason
    assert found[0].evidence(DIGEST)["verified"] is False
    assert provenance().evidence(REBUILT)["subjectDigest"] == ""


def test_what_nobody_could_say_is_not_an_empty_list() -> None:
    body = ApplicationRequest.model_validate(BODY)
    release = release_of(REPOSITORY, DIGEST, Evidence([deployed("dev")], []))
    asked = question(record(), body, release, Evidence([], []), "2026-11-20T08:00:00Z")
    assert "alerts" not in asked
    assert (asked["from"], asked["to"], asked["freezes"]) == ("dev", "qa", [])
    assert asked["application"]["parameters"] == body.parameters
    known = question(record(), body, release, Evidence([], [], alerts=[]), "2026-11-20T08:00:00Z")
    assert known["alerts"] == []


def test_a_roll_back_is_stopped_by_what_is_about_the_image_only() -> None:
    back = record(PromotionKind.ROLL_BACK)
    assert [stands_in_the_way(back, rule) for rule in ("PRM-007", "PRM-008", "PRM-000", "POL-000")] == [True] * 4
    assert not [rule for rule in ("PRM-001", "PRM-009", "PRM-010") if stands_in_the_way(back, rule)]
    assert stands_in_the_way(record(), "PRM-010")


def test_stages_in_their_order() -> None:
    assert (stages_before("dev"), stages_before("prod")) == ([], ["dev", "qa"])


def test_an_ended_promotion_stays_ended_and_every_other_state_leads_on() -> None:
    assert set(TRANSITIONS) == set(PromotionState)
    final = {state for state, following in TRANSITIONS.items() if not following}
    ends = ("refused", "rejected", "expired", "cancelled", "rolled_back")
    assert final == {PromotionState(name) for name in ends}
