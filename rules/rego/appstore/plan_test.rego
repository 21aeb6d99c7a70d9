package appstore.plan_test

import data.appstore.plan
import rego.v1

request := {
	"name": "payments-api",
	"ownerTeam": "payments",
	"costCenter": "CC-1001",
	"dataClassification": "internal",
	"criticality": "medium",
	"region": "westeurope",
	"parameters": {"publicEndpoint": true},
}

tags := {
	"application": "payments-api",
	"environment": "dev",
	"owner-team": "payments",
	"cost-center": "CC-1001",
	"data-classification": "internal",
	"criticality": "medium",
	"managed-by": "terraform",
	"appstore-request-id": "req-1",
}

vault := {
	"address": "azurerm_key_vault.this",
	"type": "azurerm_key_vault",
	"action": "create",
	"before": null,
	"unknownPaths": ["id", "vault_uri"],
	"replacePaths": [],
	"after": {
		"location": "westeurope",
		"public_network_access_enabled": false,
		"purge_protection_enabled": false,
		"rbac_authorization_enabled": true,
		"tags": tags,
	},
}

counted(changes) := {action: count([change | some change in changes; change.action == action]) |
	some action in ["create", "update", "replace", "delete", "noop"]
}

planned(environment, changes) := {
	"request": request,
	"environment": environment,
	"changeSet": {"engine": "terraform", "summary": counted(changes), "changes": changes, "drift": [], "outputs": {}},
	"cost": {"monthly": "212.00", "currency": "EUR"},
	"time": "2026-11-25T08:00:00.000Z",
}

with_setting(attribute, value) := object.union(vault, {"after": object.union(vault.after, {attribute: value})})

without_setting(attribute) := object.union(
	object.remove(vault, ["after"]),
	{"after": object.remove(vault.after, [attribute])},
)

ids(findings) := {finding.id | some finding in findings}

test_a_good_plan_has_no_findings if {
	plan.decision == {"deny": set(), "require_approval": set(), "warn": set()} with input as planned("dev", [vault])
}

test_what_is_not_set_explicitly_is_denied if {
	ids(plan.deny) == {"PLN-004"} with input as planned("dev", [without_setting("public_network_access_enabled")])
	ids(plan.deny) == {"PLN-016"} with input as planned("dev", [without_setting("rbac_authorization_enabled")])
}

test_null_is_not_explicit if {
	ids(plan.deny) == {"PLN-004"} with input as planned("dev", [with_setting("public_network_access_enabled", null)])
}

test_purge_protection_in_prod_alone if {
	"PLN-005" in ids(plan.deny) with input as planned("prod", [vault])
	not "PLN-005" in ids(plan.deny) with input as planned("dev", [vault])
}

test_unknown_protection_is_denied if {
	open := object.union(vault, {"unknownPaths": ["/purge_protection_enabled"]})
	ids(plan.deny) == {"PLN-010"} with input as planned("dev", [open])
	listed := object.union(vault, {"unknownPaths": [["network_acls", 0, "default_action"]]})
	ids(plan.deny) == {"PLN-010"} with input as planned("dev", [listed])
}

test_losing_a_vault_needs_an_approval if {
	gone := object.union(vault, {"action": "delete", "after": null})
	count(plan.deny) == 0 with input as planned("dev", [gone])
	ids(plan.require_approval) == {"PLN-007"} with input as planned("dev", [gone])
}

test_cost_above_the_threshold_needs_an_approval if {
	dear := object.union(planned("dev", [vault]), {"cost": {"monthly": "500.01"}})
	ids(plan.require_approval) == {"PLN-012"} with input as dear
	limit := object.union(planned("dev", [vault]), {"cost": {"monthly": "500.00"}})
	count(plan.require_approval) == 0 with input as limit
}

test_what_is_declared_public_may_be_public if {
	public := with_setting("public_network_access_enabled", true)
	ids(plan.deny) == {"PLN-004"} with input as planned("dev", [public])
	count(plan.deny) == 0 with input as planned("dev", [public])
		with data.config.plan.public_when_declared as ["azurerm_key_vault"]
}

test_an_exception_is_for_its_environment if {
	public := with_setting("public_network_access_enabled", true)
	exception := {
		"rule": "PLN-004",
		"application": "*",
		"team": "payments",
		"environment": "dev",
		"owner": "jane@contoso.com",
		"approved_by": "ciso@contoso.com",
		"reason": "private endpoints arrive in January",
		"granted": "2026-11-01",
		"expires": "2027-01-31",
	}
	ids(plan.warn) == {"PLN-090"} with input as planned("dev", [public]) with data.exceptions as [exception]
	count(plan.deny) == 0 with input as planned("dev", [public]) with data.exceptions as [exception]
	"PLN-004" in ids(plan.deny) with input as planned("qa", [public]) with data.exceptions as [exception]
	soon := object.union(exception, {"expires": "2026-11-26"})
	ids(plan.warn) == {"PLN-090", "PLN-092"} with input as planned("dev", [public]) with data.exceptions as [soon]
	not "PLN-092" in ids(plan.warn) with input as planned("qa", [public]) with data.exceptions as [soon]
	over := object.union(exception, {"expires": "2026-11-24"})
	ids(plan.warn) == {"PLN-091"} with input as planned("dev", [public]) with data.exceptions as [over]
}

test_what_cannot_be_predicted_is_asked if {
	certain := planned("dev", [with_setting("public_network_access_enabled", false)])
	ids(plan.require_approval) == set() with input as certain
	unsure := json.patch(certain, [{"op": "add", "path": "/changeSet/changes/0/certainty", "value": "potential"}])
	ids(plan.require_approval) == {"PLN-018"} with input as unsure
	said := json.patch(certain, [{"op": "add", "path": "/changeSet/changes/0/certainty", "value": "definite"}])
	ids(plan.require_approval) == set() with input as said
}
