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
	"environment": "*",
	"owner": "controlling",
	"reason": "cost centre of the old system",
	"expires": "2026-11-25",
}

test_an_exception_covers_its_rule_until_its_last_day if {
	changed := asked({"costCenter": "4711"})
	count(request.deny) == 0 with input as changed with data.config.exceptions as [exception]
	ids(request.warn) == {"REQ-090"} with input as changed with data.config.exceptions as [exception]
}

test_an_expired_exception_covers_nothing if {
	changed := asked({"costCenter": "4711"})
	old := object.union(exception, {"expires": "2026-11-24"})
	ids(request.deny) == {"REQ-008"} with input as changed with data.config.exceptions as [old]
	ids(request.warn) == {"REQ-091"} with input as changed with data.config.exceptions as [old]
}

test_an_exception_without_owner_covers_nothing if {
	changed := asked({"costCenter": "4711"})
	nobodys := object.union(exception, {"owner": ""})
	ids(request.deny) == {"REQ-008"} with input as changed with data.config.exceptions as [nobodys]
}

test_an_exception_of_another_application_covers_nothing if {
	changed := asked({"costCenter": "4711"})
	others := object.union(exception, {"application": "web-shop"})
	ids(request.deny) == {"REQ-008"} with input as changed with data.config.exceptions as [others]
}

test_without_a_time_no_exception_counts if {
	changed := object.remove(asked({"costCenter": "4711"}), ["time"])
	ids(request.deny) == {"REQ-000", "REQ-008"} with input as changed with data.config.exceptions as [exception]
}
