package appstore.promotion_test

import data.appstore.promotion
import rego.v1

sha := "0123456789abcdef0123456789abcdef01234567"

digest := "sha256:00000000000000000000000000000000000000000000000000000000000000aa"

other := "sha256:00000000000000000000000000000000000000000000000000000000000000bb"

signer := "https://github.com/contoso/payments-api/.github/workflows/ci.yml@refs/heads/main"

check(name) := {"name": name, "headSha": sha, "app": "github-actions", "status": "completed", "conclusion": "success"}

deployed(environment, state, since) := {
	"environment": environment,
	"commit": sha,
	"digest": digest,
	"state": state,
	"since": since,
}

attestation(type) := {"predicateType": type, "subjectDigest": digest, "signer": signer, "verified": true}

to_qa := {
	"application": {
		"name": "payments-api",
		"ownerTeam": "payments",
		"criticality": "medium",
		"environments": ["dev", "qa", "prod"],
	},
	"release": {
		"repository": "contoso/payments-api",
		"commit": sha,
		"digest": digest,
		"builtAt": "2026-11-24T08:00:00Z",
	},
	"from": "dev",
	"to": "qa",
	"deployments": [deployed("dev", "success", "2026-11-25T06:00:00Z")],
	"checkRuns": [check("Test"), check("SAST")],
	"attestations": [
		attestation("https://spdx.dev/Document/v2.3"),
		attestation("https://slsa.dev/provenance/v1"),
	],
	"alerts": [{"number": 7, "state": "fixed", "severity": "critical"}],
	"freezes": [],
	"time": "2026-11-25T08:00:00.000Z",
}

to_prod := object.union(to_qa, {
	"from": "qa",
	"to": "prod",
	"deployments": [
		deployed("dev", "inactive", "2026-11-23T06:00:00Z"),
		deployed("qa", "success", "2026-11-23T08:00:00Z"),
	],
	"checkRuns": [check("Test"), check("SAST"), check("DAST")],
})

ids(findings) := {finding.id | some finding in findings}

denied(document) := found if {
	found := ids(promotion.deny) with input as document with data.exceptions as []
}

changed(field, value) := object.union(to_qa, {field: value})

test_a_release_with_all_evidence_goes_on if {
	promotion.decision == {"deny": set(), "require_approval": set(), "warn": set()} with input as to_qa
}

test_production_is_approved_by_people if {
	denied(to_prod) == set()
	ids(promotion.require_approval) == {"PRM-012"} with input as to_prod
}

test_nothing_is_denied if {
	denied({}) == {"PRM-000", "PRM-001", "PRM-007", "PRM-008", "PRM-009"}
}

test_no_stage_is_skipped if {
	"PRM-001" in denied(changed("to", "prod"))
	"PRM-001" in denied(changed("to", "dev"))
	denied(object.union(to_qa, {"application": {"environments": ["dev"]}})) == {"PRM-001"}
}

test_the_artefact_runs_where_it_comes_from if {
	denied(changed("deployments", [])) == {"PRM-002", "PRM-009"}
	denied(changed("deployments", [deployed("dev", "failure", "2026-11-25T06:00:00Z")])) == {"PRM-002", "PRM-009"}
	newer := object.union(deployed("dev", "success", "2026-11-25T07:00:00Z"), {"digest": other, "commit": "f"})
	denied(changed("deployments", [deployed("dev", "success", "2026-11-25T06:00:00Z"), newer])) == {"PRM-002", "PRM-009"}
}

test_production_needs_every_stage_before if {
	qa_alone := [deployed("qa", "success", "2026-11-23T08:00:00Z")]
	denied(object.union(to_prod, {"deployments": qa_alone})) == {"PRM-002"}
}

test_the_same_commit_built_again_is_another_artefact if {
	rebuilt := object.union(deployed("qa", "failure", "2026-11-25T07:00:00Z"), {"digest": other})
	denied(changed("deployments", array.concat(to_qa.deployments, [rebuilt]))) == {"PRM-003"}
}

test_a_check_counts_only_when_it_succeeded if {
	every conclusion in ["failure", "neutral", "skipped", "cancelled", "timed_out", "stale", null] {
		bad := object.union(check("Test"), {"conclusion": conclusion})
		denied(changed("checkRuns", [bad, check("SAST")])) == {"PRM-004"}
		denied(changed("checkRuns", [check("Test"), bad, check("SAST")])) == {"PRM-004"}
	}
	denied(changed("checkRuns", [check("Test")])) == {"PRM-005"}
	two := [check("Test"), check("SAST")]
	denied(object.union(to_prod, {"checkRuns": two})) == {"PRM-006"}
}

test_what_has_no_public_address_is_not_scanned_from_outside if {
	internal := object.union(to_prod.application, {"parameters": {"publicEndpoint": false}})
	denied(object.union(to_prod, {"checkRuns": [check("Test"), check("SAST")], "application": internal})) == set()
}

test_a_check_of_another_commit_or_app_is_none if {
	denied(changed("checkRuns", [object.union(check("Test"), {"headSha": "f"}), check("SAST")])) == {"PRM-004"}
	denied(changed("checkRuns", [object.union(check("Test"), {"app": "some-app"}), check("SAST")])) == {"PRM-004"}
}

test_an_attestation_is_verified_of_the_artefact_and_by_its_pipeline if {
	sbom := attestation("https://spdx.dev/Document/v2.3")
	origin := attestation("https://slsa.dev/provenance/v1")
	every wrong in [
		{"verified": false}, {"verified": "true"}, {"subjectDigest": other},
		{"signer": "https://github.com/evil/payments-api/.github/workflows/ci.yml@refs/heads/main"},
		{"signer": "https://github.com/contoso/payments-api/.github/workflows/ci.yml@refs/heads/topic"},
	] {
		denied(changed("attestations", [object.union(sbom, wrong), origin])) == {"PRM-007"}
		denied(changed("attestations", [sbom, object.union(origin, wrong)])) == {"PRM-008"}
	}
}

test_the_artefact_soaks_as_long_as_the_criticality_demands if {
	denied(changed("deployments", [deployed("dev", "success", "2026-11-25T07:00:00Z")])) == set()
	denied(changed("deployments", [deployed("dev", "success", "2026-11-25T07:00:01Z")])) == {"PRM-009"}
	high := object.union(to_qa, {"application": {"criticality": "high"}})
	denied(high) == {"PRM-009"}
	unborn := [deployed("dev", "success", "2026-11-25T09:00:00Z")]
	low := object.union(to_qa, {"application": {"criticality": "low"}, "deployments": unborn})
	denied(low) == {"PRM-009"}
}

freeze := {
	"id": "year-end",
	"environments": ["qa", "prod"],
	"from": "2026-11-25T00:00:00Z",
	"until": "2026-11-25T08:00:01Z",
	"reason": "Year end.",
}

test_nothing_goes_on_during_a_freeze if {
	denied(changed("freezes", [freeze])) == {"PRM-010"}
	denied(changed("freezes", [object.union(freeze, {"environments": ["*"]})])) == {"PRM-010"}
	denied(changed("freezes", [object.union(freeze, {"environments": ["prod"]})])) == set()
	denied(changed("freezes", [object.union(freeze, {"until": "2026-11-25T08:00:00Z"})])) == set()
	denied(changed("freezes", [object.union(freeze, {"from": "2026-11-25T08:00:01Z"})])) == set()
	denied(changed("freezes", [object.union(freeze, {"until": "2027-02-30"})])) == {"PRM-000"}
	denied(object.remove(to_qa, ["freezes"])) == {"PRM-000"}
}

test_severe_findings_stop_a_release if {
	denied(changed("alerts", [{"state": "open", "severity": "critical"}])) == {"PRM-011"}
	denied(changed("alerts", [{"state": "open", "severity": "high"}])) == set()
	denied(changed("alerts", [{"state": "open", "severity": "vital"}])) == {"PRM-011"}
	denied(object.union(to_prod, {"alerts": [{"state": "open", "severity": "high"}]})) == {"PRM-011"}
	denied(changed("alerts", ["x"])) == {"PRM-000"}
}

test_an_old_artefact_is_told if {
	old := object.union(to_qa, {"release": {"builtAt": "2026-10-26T07:59:59Z"}})
	ids(promotion.warn) == {"PRM-013"} with input as old
	unknown := object.union(to_qa, {"release": {"builtAt": null}})
	ids(promotion.warn) == {"PRM-013"} with input as unknown
}

test_a_gate_may_be_excepted_but_not_the_tests if {
	exception := {
		"rule": "PRM-009",
		"application": "payments-api",
		"team": "*",
		"environment": "qa",
		"owner": "jane@contoso.com",
		"approved_by": "ciso@contoso.com",
		"reason": "the fix of the outage",
		"granted": "2026-11-25",
		"expires": "2026-11-25",
	}
	early := changed("deployments", [deployed("dev", "success", "2026-11-25T07:59:00Z")])
	count(promotion.deny) == 0 with input as early with data.exceptions as [exception]
	ids(promotion.warn) == {"PRM-090", "PRM-092"} with input as early with data.exceptions as [exception]
	untested := changed("checkRuns", [check("SAST")])
	ids(promotion.deny) == {"PRM-004"} with input as untested
		with data.exceptions as [object.union(exception, {"rule": "PRM-004"})]
}
