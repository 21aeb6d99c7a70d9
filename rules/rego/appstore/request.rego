# What may be asked for. Decided at preview and at intake, before anything is planned.
#
# input: {"request": the body of POST /requests, "estimate": {"monthly": "212.00"} (optional), "time": RFC 3339}
package appstore.request

import data.appstore.common
import rego.v1

decision := {"deny": deny, "require_approval": require_approval, "warn": warn}

deny contains violation if {
	some violation in violations
	not common.covered(violation.id, subject)
}

# REQ-090, REQ-091, REQ-092: exceptions. Those from rules about the plan are told here as well, before there is a plan.

warn contains notice if some notice in common.notices("REQ", {"REQ", "PLN", "PRM"}, violations, subject)

subject := {"application": text("name"), "team": text("ownerTeam"), "environment": "*"}

# Careful reading: a rule must never be skipped because a field is absent or has another type. In particular OPA takes
# `not f(input.x)` for false when x is absent; therefore only rules and bound variables stand behind a `not`.

default request := {}

request := input.request if is_object(input.request)

default parameters := {}

parameters := request.parameters if is_object(request.parameters)

default environments := []

environments := request.environments if is_array(request.environments)

text(field) := request[field] if {
	is_string(request[field])
} else := ""

published if not object.get(parameters, "publicEndpoint", false) in {false, null}

# REQ-000: without these the other rules have nothing to judge.

violations contains common.finding("REQ-000", "error", "The time of the evaluation is missing.", "") if common.today == ""

violations contains common.finding("REQ-000", "error", "The request is missing.", "") if request == {}

violations contains common.finding("REQ-000", "error", message, sprintf("/%s", [field])) if {
	some field in data.config.request.required_text
	text(field) == ""
	message := sprintf("The field %s is required and must be text.", [field])
}

# REQ-001, REQ-002: the name becomes a DNS label, a namespace and part of every resource name.

violations contains common.finding("REQ-001", "error", message, "/name") if {
	not regex.match(data.config.request.name.pattern, text("name"))
	message := sprintf("The name %s does not fit: %s.", [text("name"), data.config.request.name.description])
}

violations contains common.finding("REQ-002", "error", message, "/name") if {
	some prefix in data.config.request.name.reserved_prefixes
	startswith(text("name"), prefix)
	message := sprintf("Names beginning with %s are reserved for the platform.", [prefix])
}

violations contains common.finding("REQ-002", "error", message, "/name") if {
	text("name") in data.config.request.name.reserved
	message := sprintf("The name %s is reserved for the platform.", [text("name")])
}

# REQ-003, REQ-004: where data of a classification may live.

violations contains common.finding("REQ-003", "error", message, "/region") if {
	text("dataClassification") in data.config.request.classifications
	allowed := object.get(data.config.request.regions, text("dataClassification"), [])
	not text("region") in allowed
	message := sprintf(
		"Data classified %s may not be kept in %s. Allowed: %s.",
		[text("dataClassification"), text("region"), concat(", ", allowed)],
	)
}

violations contains common.finding("REQ-004", "error", message, "/dataClassification") if {
	not text("dataClassification") in data.config.request.classifications
	message := sprintf("The data classification must be one of %s.", [concat(", ", data.config.request.classifications)])
}

# REQ-005: an application is promoted in this order, so an environment needs the ones before it.

violations contains common.finding("REQ-005", "error", message, "/environments") if {
	not environments_in_order
	message := sprintf(
		"Environments must be the first of %s, in this order, each once.",
		[concat(", ", data.config.environment_order)],
	)
}

environments_in_order if {
	count(environments) > 0
	environments == array.slice(data.config.environment_order, 0, count(environments))
}

# REQ-006, REQ-007, REQ-015: the budget.

violations contains common.finding("REQ-006", "error", message, "/monthlyBudget") if {
	not budget_suffices
	message := sprintf(
		"The monthly budget must be at least %d %s: %d for each environment.",
		[minimum_budget, data.config.request.budget.currency, data.config.request.budget.minimum_per_environment],
	)
}

minimum_budget := data.config.request.budget.minimum_per_environment * max([1, count(environments)])

budget_suffices if common.amount(request.monthlyBudget) >= minimum_budget

violations contains common.finding("REQ-007", "error", message, "/currency") if {
	text("currency") != data.config.request.budget.currency
	message := sprintf("Budgets are kept in %s.", [data.config.request.budget.currency])
}

violations contains common.finding("REQ-015", "error", message, "/monthlyBudget") if {
	common.amount(input.estimate.monthly) > common.amount(request.monthlyBudget)
	message := sprintf(
		"The estimate of %s a month is above the budget of %s.",
		[common.shown(input.estimate.monthly), common.shown(request.monthlyBudget)],
	)
}

violations contains common.finding("REQ-015", "error", "The estimate has no readable monthly amount.", "") if {
	object.get(input, "estimate", null) != null
	not estimate_readable
}

estimate_readable if common.amount(input.estimate.monthly) >= 0

# REQ-008, REQ-009, REQ-012, REQ-013: who pays, and how much a failure would hurt.

violations contains common.finding("REQ-008", "error", message, "/costCenter") if {
	not regex.match(data.config.request.cost_center.pattern, text("costCenter"))
	message := sprintf("The cost centre %s does not fit: %s.", [text("costCenter"), data.config.request.cost_center.description])
}

violations contains common.finding("REQ-009", "error", message, "/criticality") if {
	not text("criticality") in data.config.request.criticalities
	message := sprintf("The criticality must be one of %s.", [concat(", ", data.config.request.criticalities)])
}

violations contains common.finding("REQ-012", "error", message, "/parameters/backupRetentionDays") if {
	object.get(parameters, "backupRetentionDays", null) != null
	minimum := data.config.backup.retention_days[text("criticality")]
	not retention_suffices(parameters.backupRetentionDays, minimum)
	message := sprintf("Criticality %s needs backups of at least %d days.", [text("criticality"), minimum])
}

retention_suffices(days, minimum) if {
	is_number(days)
	days >= minimum
}

warn contains common.finding("REQ-013", "info", message, "/criticality") if {
	text("criticality") == "high"
	environments_in_order
	not "prod" in environments
	message := "The stronger backups of criticality high begin with the environment prod, which is not requested."
}

# REQ-010, REQ-011: what may be reached from the internet.

require_approval contains common.finding("REQ-010", "warning", message, "/parameters/publicEndpoint") if {
	published
	text("dataClassification") in data.config.request.exposure.approval
	message := sprintf("A public endpoint in front of %s data needs the approval of security.", [text("dataClassification")])
}

violations contains common.finding("REQ-011", "error", message, "/parameters/publicEndpoint") if {
	published
	text("dataClassification") in data.config.request.exposure.forbidden
	message := sprintf("%s data may not have a public endpoint.", [text("dataClassification")])
}

# REQ-014: an application that ends before it begins.

violations contains common.finding("REQ-014", "error", "expiresOn must be a day after today, as YYYY-MM-DD.", "/expiresOn") if {
	object.get(request, "expiresOn", null) != null
	not expires_later
}

expires_later if {
	common.is_date(request.expiresOn)
	request.expiresOn > common.today
}
