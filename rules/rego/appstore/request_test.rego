package appstore.request_test

import data.appstore.request
import rego.v1

body := {
	"name": "payments-api",
	"archetype": "api",
	"description": "Card payments",
	"ownerTeam": "payments",
	"contact": "payments@example.com",
	"environments": ["dev", "qa"],
	"region": "westeurope",
	"costCenter": "CC-1001",
	"dataClassification": "internal",
	"criticality": "medium",
	"monthlyBudget": "900.00",
	"currency": "EUR",
	"parameters": {"database": "postgres", "publicEndpoint": true},
	"expiresOn": null,
}

asked(changes) := {"request": object.union(body, changes), "time": "2026-11-25T08:00:00.000Z"}

ids(findings) := {finding.id | some finding in findings}

test_a_good_request_has_no_findings if {
	request.decision == {"deny": set(), "require_approval": set(), "warn": set()} with input as asked({})
}

test_every_finding_is_complete if {
	every finding in request.deny {
		finding.severity == "error"
		finding.message != ""
		is_string(finding.path)
	} with input as {}
}

test_an_empty_input_is_denied if {
	ids(request.deny) & {"REQ-000", "REQ-001", "REQ-004", "REQ-005", "REQ-006"} == {
		"REQ-000", "REQ-001",
		"REQ-004", "REQ-005", "REQ-006",
	} with input as {}
}

test_a_budget_may_be_a_number if {
	count(request.deny) == 0 with input as asked({"monthlyBudget": 100})
}

test_the_budget_minimum_grows_with_the_environments if {
	ids(request.deny) == {"REQ-006"} with input as asked({"monthlyBudget": "99.99"})
}

test_prod_needs_the_environments_before_it if {
	ids(request.deny) == {"REQ-005"} with input as asked({"environments": ["dev", "prod"]})
}

test_confidential_and_public_needs_approval if {
	changed := asked({"dataClassification": "confidential"})
	count(request.deny) == 0 with input as changed
	ids(request.require_approval) == {"REQ-010"} with input as changed
}

test_restricted_and_public_is_denied if {
	ids(request.deny) == {"REQ-011"} with input as asked({"dataClassification": "restricted"})
}

exception := {
	"rule": "REQ-008",
	"application": "payments-api",
	"team": "*",
	"environment": "*",
	"owner": "controlling@contoso.com",
	"approved_by": "ciso@contoso.com",
	"reason": "cost centre of the old system",
	"granted": "2026-09-01",
	"expires": "2026-12-31",
}

with_field(field, value) := object.union(exception, {field: value})

foreign := asked({"costCenter": "4711"})

test_an_exception_covers_its_rule_and_says_whose_it_is if {
	count(request.deny) == 0 with input as foreign with data.exceptions as [exception]
	some finding in request.warn with input as foreign with data.exceptions as [exception]
	finding.id == "REQ-090"
	finding.severity == "info"
	contains(finding.message, "REQ-008")
	contains(finding.message, "2026-12-31")
	contains(finding.message, "controlling@contoso.com")
}

test_an_exception_covers_its_first_and_its_last_day if {
	count(request.deny) == 0 with input as foreign with data.exceptions as [with_field("granted", "2026-11-25")]
	count(request.deny) == 0 with input as foreign with data.exceptions as [with_field("expires", "2026-11-25")]
	ids(request.deny) == {"REQ-008"} with input as foreign with data.exceptions as [with_field("granted", "2026-11-26")]
}

test_an_exception_that_ended_covers_nothing_and_is_told if {
	over := [with_field("expires", "2026-11-24")]
	ids(request.deny) == {"REQ-008"} with input as foreign with data.exceptions as over
	ids(request.warn) == {"REQ-091"} with input as foreign with data.exceptions as over
}

test_an_exception_of_the_team_covers if {
	count(request.deny) == 0 with input as foreign
		with data.exceptions as [object.union(exception, {"application": "*", "team": "payments"})]
	ids(request.deny) == {"REQ-008"} with input as foreign
		with data.exceptions as [object.union(exception, {"application": "*", "team": "web"})]
	ids(request.deny) == {"REQ-008"} with input as foreign with data.exceptions as [with_field("team", "web")]
}

test_an_exception_that_is_not_sound_covers_nothing if {
	every exceptions in [
		[with_field("owner", "")], [with_field("owner", " ")], [with_field("owner", null)],
		[with_field("reason", "")], [with_field("approved_by", "Controlling@contoso.com")],
		[with_field("approved_by", 1)], [with_field("expires", "never")], [with_field("expires", "2027-13-01")],
		[with_field("granted", "2026-01-01")], [with_field("granted", null)], [with_field("application", "*")],
		[with_field("application", "web-shop")], [with_field("environment", "dev")], [{}], [null], ["x"],
	] {
		ids(request.deny) == {"REQ-008"} with input as foreign with data.exceptions as exceptions
	}
}

test_what_knows_no_exception_is_not_excepted if {
	ids(request.deny) == {"REQ-009"} with input as asked({"criticality": "vital"})
		with data.exceptions as [with_field("rule", "REQ-009")]
	ids(request.deny) == {"REQ-009"} with input as asked({"criticality": "vital"})
		with data.exceptions as [with_field("rule", "REQ-999")]
}

test_without_a_time_no_exception_counts if {
	ids(request.deny) == {"REQ-000", "REQ-008"} with input as object.remove(foreign, ["time"])
		with data.exceptions as [exception]
}

severity_until(expires) := severity if {
	some finding in request.warn with input as asked({}) with data.exceptions as [with_field("expires", expires)]
	finding.id == "REQ-092"
	severity := finding.severity
} else := "nothing"

test_an_exception_that_ends_soon_is_told_at_14_3_and_1_days if {
	severity_until("2026-12-10") == "nothing"
	severity_until("2026-12-09") == "info"
	severity_until("2026-11-29") == "info"
	severity_until("2026-11-28") == "warning"
	severity_until("2026-11-26") == "warning"
	severity_until("2026-11-25") == "warning"
	severity_until("2026-11-24") == "nothing"
}

test_the_preview_tells_of_exceptions_from_rules_about_plans if {
	soon := object.union(exception, {"rule": "PLN-004", "environment": "dev", "expires": "2026-11-30"})
	ids(request.warn) == {"REQ-092"} with input as asked({}) with data.exceptions as [soon]
}
