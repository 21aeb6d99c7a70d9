# What may be built. Decided on the redacted change set of one environment, before anybody is asked to approve it.
#
# input: {"request": ..., "environment": "dev", "changeSet": ..., "cost": {"monthly": "212.00"}, "time": RFC 3339}
#
# An attribute the provider would fill in is null in a plan made offline and a value in production. Therefore whatever
# protects must be set explicitly: absent, null and unknown are denied.
package appstore.plan

import data.appstore.common
import rego.v1

decision := {"deny": deny, "require_approval": require_approval, "warn": warn}

deny contains violation if {
	some violation in violations
	not common.covered(violation.id, subject)
}

# PLN-090, PLN-091, PLN-092: exceptions.

warn contains notice if some notice in common.notices("PLN", {"PLN"}, violations, subject)

subject := {"application": text("name"), "team": text("ownerTeam"), "environment": environment}

# Careful reading: a rule must never be skipped because a field is absent or has another type. In particular OPA takes
# `not f(input.x)` for false when x is absent; therefore only rules and bound variables stand behind a `not`.

default request := {}

request := input.request if is_object(input.request)

text(field) := request[field] if {
	is_string(request[field])
} else := ""

default environment := ""

environment := input.environment if input.environment in data.config.environment_order

default entries := []

entries := input.changeSet.changes if is_array(input.changeSet.changes)

changes[index] := entries[index] if {
	some index, entry in entries
	readable(entry)
}

readable(entry) if {
	is_string(entry.address)
	is_string(entry.type)
	is_string(entry.action)
	is_array(entry.unknownPaths)
	is_object(entry.after)
}

readable(entry) if {
	is_string(entry.address)
	is_string(entry.type)
	entry.action == "delete"
	is_array(entry.unknownPaths)
}

# What exists after the apply.
resources[index] := change if {
	some index, change in changes
	change.action in {"create", "update", "replace", "noop"}
}

setting(resource, path) := object.get(resource.after, path, null)

at(index, attribute) := sprintf("/changes/%d/after/%s", [index, attribute])

# PLN-000: without these the other rules have nothing to judge.

violations contains common.finding("PLN-000", "error", "The time of the evaluation is missing.", "") if common.today == ""

violations contains common.finding("PLN-000", "error", "The request is missing.", "") if text("name") == ""

violations contains common.finding("PLN-000", "error", "The environment is missing or unknown.", "") if environment == ""

violations contains common.finding("PLN-000", "error", "The cost has no readable monthly amount.", "") if not cost

violations contains common.finding("PLN-000", "error", message, sprintf("/changes/%d", [index])) if {
	some index, entry in entries
	not readable(entry)
	message := "This change cannot be judged: address, type, action, unknownPaths or the planned values are missing."
}

cost := common.amount(input.cost.monthly)

# PLN-001: a plan that shows nothing, or less than it counts, is no plan.

violations contains common.finding("PLN-001", "error", "The plan contains no resources.", "/changes") if count(entries) == 0

violations contains common.finding("PLN-001", "error", message, sprintf("/summary/%s", [action])) if {
	some action in data.config.plan.actions
	shown := count([entry | some entry in entries; entry.action == action])
	object.get(summary, action, null) != shown
	message := sprintf("The summary does not count the %d changes of kind %s that are shown.", [shown, action])
}

default summary := {}

summary := input.changeSet.summary if is_object(input.changeSet.summary)

# PLN-002, PLN-003: tags say whose a resource is.

violations contains common.finding("PLN-002", "error", message, at(index, "tags")) if {
	some index, resource in resources
	not resource.type in data.config.plan.untaggable_types
	some tag in data.config.plan.required_tags
	tag_value(resource, tag) == ""
	message := sprintf("%s: the tag %s is missing.", [resource.address, tag])
}

violations contains common.finding("PLN-003", "error", message, at(index, "tags")) if {
	some index, resource in resources
	some tag, expected in expected_tags
	not tag_value(resource, tag) in {"", expected}
	message := sprintf("%s: the tag %s must be %s.", [resource.address, tag, expected])
}

tag_value(resource, tag) := value if {
	value := setting(resource, ["tags", tag])
	is_string(value)
} else := ""

expected_tags[tag] := text(field) if some tag, field in data.config.plan.tags_from_request

expected_tags.environment := environment

# PLN-004: nothing listens to the internet but what the request declared and the platform allows.

violations contains common.finding("PLN-004", "error", message, at(index, attribute)) if {
	some index, resource in resources
	attribute := data.config.plan.public_network_access[resource.type]
	setting(resource, [attribute]) != false
	not may_be_public(resource)
	message := sprintf("%s: public network access must be switched off explicitly (%s = false).", [resource.address, attribute])
}

may_be_public(resource) if {
	resource.type in data.config.plan.public_when_declared
	request.parameters.publicEndpoint == true
}

# PLN-005, PLN-016: the vault.

violations contains common.finding("PLN-005", "error", message, at(index, "purge_protection_enabled")) if {
	environment in data.config.plan.purge_protection_environments
	some index, resource in resources
	resource.type == "azurerm_key_vault"
	setting(resource, ["purge_protection_enabled"]) != true
	message := sprintf("%s: purge protection must be switched on explicitly in %s.", [resource.address, environment])
}

violations contains common.finding("PLN-016", "error", message, at(index, "rbac_authorization_enabled")) if {
	some index, resource in resources
	resource.type == "azurerm_key_vault"
	setting(resource, ["rbac_authorization_enabled"]) != true
	message := sprintf("%s: access must be by role assignment (rbac_authorization_enabled = true).", [resource.address])
}

# PLN-006: databases know people and workloads by Entra ID alone.

violations contains common.finding("PLN-006", "error", message, at(index, "authentication")) if {
	some index, resource in resources
	resource.type == "azurerm_postgresql_flexible_server"
	not entra_only(resource)
	message := sprintf("%s: passwords must be off and Entra authentication on, both explicitly.", [resource.address])
}

entra_only(resource) if {
	[authentication] := setting(resource, ["authentication"])
	authentication.password_auth_enabled == false
	authentication.active_directory_auth_enabled == true
	setting(resource, ["administrator_password"]) in {null, ""}
}

# PLN-007, PLN-014: losing things.

require_approval contains common.finding("PLN-007", "warning", message, sprintf("/changes/%d", [index])) if {
	some index, change in changes
	change.action in {"delete", "replace"}
	change.type in data.config.plan.protected_types
	message := sprintf("%s holds data and would be lost (%s): this needs an approval.", [change.address, change.action])
}

warn contains common.finding("PLN-014", "info", message, sprintf("/changes/%d", [index])) if {
	some index, change in changes
	change.action in {"delete", "replace"}
	not change.type in data.config.plan.protected_types
	message := sprintf("%s would be removed (%s).", [change.address, change.action])
}

# PLN-008, PLN-011: a plan holds what the catalogue can build, and says what it does.

violations contains common.finding("PLN-008", "error", message, sprintf("/changes/%d/type", [index])) if {
	some index, change in changes
	not change.type in data.config.plan.expected_types
	message := sprintf("%s: resources of the type %s are not built here.", [change.address, change.type])
}

violations contains common.finding("PLN-011", "error", message, sprintf("/changes/%d/action", [index])) if {
	some index, change in changes
	not change.action in data.config.plan.actions
	message := sprintf("%s: the action %s is unknown.", [change.address, change.action])
}

# PLN-009: what roles a plan may give away.

violations contains common.finding("PLN-009", "error", message, at(index, "role_definition_name")) if {
	some index, resource in resources
	resource.type == "azurerm_role_assignment"
	role := setting(resource, ["role_definition_name"])
	not role in allowed_roles
	message := sprintf("%s: the role %s may not be assigned in %s.", [resource.address, role_name(role), environment])
}

role_name(role) := role if is_string(role)

role_name(role) := "that has no name" if not is_string(role)

allowed_roles contains role if some role in data.config.plan.roles.every_environment

allowed_roles contains role if some role in data.config.plan.roles[environment]

# PLN-010: what protects may not be left open until the apply.

violations contains common.finding("PLN-010", "error", message, at(index, attribute)) if {
	some index, resource in resources
	some attribute in data.config.plan.security_attributes[resource.type]
	some path in resource.unknownPaths
	root(path) in {attribute, whole}
	message := sprintf("%s: %s protects and must be known before the apply.", [resource.address, attribute])
}

# Paths come as text (tags.owner, authentication[0], /tags/owner) or as a list of steps; without a step, or in a form
# that is not understood, they mean everything.
whole := ""

root(path) := step if {
	is_string(path)
	some step in regex.find_n(`[A-Za-z0-9_]+`, path, 1)
} else := step if {
	is_array(path)
	some step in array.slice(path, 0, 1)
} else := whole

# PLN-012: what costs much is approved by those who watch the costs.

require_approval contains common.finding("PLN-012", "warning", message, "") if {
	cost > data.config.cost.finops_threshold_monthly
	message := sprintf(
		"The estimate of %s %s a month is above %v: this needs the approval of FinOps.",
		[common.shown(input.cost.monthly), data.config.request.budget.currency, data.config.cost.finops_threshold_monthly],
	)
}

# PLN-013: backups as long as a failure would hurt.

violations contains common.finding("PLN-013", "error", message, at(index, "backup_retention_days")) if {
	some index, resource in resources
	resource.type == "azurerm_postgresql_flexible_server"
	not kept_long_enough(setting(resource, ["backup_retention_days"]))
	message := sprintf("%s: backups must be kept for at least %d days, set explicitly.", [resource.address, minimum_retention])
}

violations contains common.finding("PLN-013", "error", message, at(index, "geo_redundant_backup_enabled")) if {
	environment == "prod"
	text("criticality") in data.config.backup.geo_redundant
	some index, resource in resources
	resource.type == "azurerm_postgresql_flexible_server"
	setting(resource, ["geo_redundant_backup_enabled"]) != true
	message := sprintf("%s: criticality %s needs geo-redundant backups.", [resource.address, text("criticality")])
}

default minimum_retention := 7

minimum_retention := data.config.backup.retention_days[text("criticality")] if environment == "prod"

kept_long_enough(days) if {
	is_number(days)
	days >= minimum_retention
}

# PLN-015: something changed behind the plan's back.

warn contains common.finding("PLN-015", "info", message, "/drift") if {
	is_array(input.changeSet.drift)
	count(input.changeSet.drift) > 0
	message := sprintf("%d resources were changed outside of this process; the plan corrects them.", [count(input.changeSet.drift)])
}

# PLN-017: everything stays in the region that was asked for.

violations contains common.finding("PLN-017", "error", message, at(index, "location")) if {
	some index, resource in resources
	location := setting(resource, ["location"])
	is_string(location)
	not lower(replace(location, " ", "")) in {text("region"), "global"}
	message := sprintf("%s: the location %s is not the requested region %s.", [resource.address, location, text("region")])
}

# PLN-018: what an engine cannot predict is decided by a person. Terraform's plan is certain; a what-if of Azure says so
# of each change.

require_approval contains common.finding("PLN-018", "warning", message, sprintf("/changes/%d", [index])) if {
	some index, change in changes
	object.get(change, "certainty", "definite") != "definite"
	message := sprintf("%s: Azure cannot say what would change here: a person decides.", [change.address])
}
