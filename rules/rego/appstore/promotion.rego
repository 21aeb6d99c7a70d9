# What may go on to the next stage. Decided before a release is promoted, on evidence that GitHub keeps.
#
# input: {
#   "application": {"name", "ownerTeam", "criticality", "environments": ["dev", "qa", "prod"], "parameters"},
#   "release": {"repository": "owner/name", "commit": 40 hex digits, "digest": "sha256:...", "builtAt": RFC 3339},
#   "from": "dev", "to": "qa",
#   "deployments": deployments with their newest status (GET /repos/{owner}/{repo}/deployments and .../statuses):
#     [{"environment", "commit": its sha, "digest": from its payload, "state": of the status, "since": its created_at}],
#   "checkRuns": of the commit (GET /repos/{owner}/{repo}/commits/{ref}/check-runs, filter=latest):
#     [{"name", "headSha": head_sha, "app": app.slug, "status", "conclusion"}],
#   "attestations": of the digest (GET /repos/{owner}/{repo}/attestations/{subject_digest}), their signatures checked:
#     [{"predicateType", "subjectDigest", "signer": subject alternative name of the certificate, "verified"}],
#   "alerts": code scanning alerts of the default branch (GET /repos/{owner}/{repo}/code-scanning/alerts):
#     [{"number", "state", "severity": rule.security_severity_level, else rule.severity}],
#   "freezes": [{"id", "environments": ["prod"] or ["*"], "from": RFC 3339, "until": RFC 3339, "reason"}],
#   "time": RFC 3339 in UTC
# }
#
# Evidence that is missing is no evidence: an empty list denies, an absent one as well.
package appstore.promotion

import data.appstore.common
import rego.v1

decision := {"deny": deny, "require_approval": require_approval, "warn": warn}

deny contains violation if {
	some violation in violations
	not common.covered(violation.id, subject)
}

# PRM-090, PRM-091, PRM-092: exceptions.

warn contains notice if some notice in common.notices("PRM", {"PRM"}, violations, subject)

subject := {"application": text("name"), "team": text("ownerTeam"), "environment": target}

# Careful reading: as in the rules about plans, only rules and bound variables stand behind a `not`.

default application := {}

application := input.application if is_object(input.application)

default release := {}

release := input.release if is_object(input.release)

text(field) := application[field] if {
	is_string(application[field])
} else := ""

default repository := ""

repository := release.repository if {
	is_string(release.repository)
	regex.match(`^[A-Za-z0-9-]+/[A-Za-z0-9._-]+$`, release.repository)
}

default commit := ""

commit := release.commit if {
	is_string(release.commit)
	regex.match(`^[0-9a-f]{40}$`, release.commit)
}

default digest := ""

digest := release.digest if {
	is_string(release.digest)
	regex.match(`^sha256:[0-9a-f]{64}$`, release.digest)
}

order := data.config.environment_order

default origin := ""

origin := input.from if input.from in order

default target := ""

target := input.to if input.to in order

default environments := []

environments := application.environments if is_array(application.environments)

default now := 0

now := common.seconds(input.time)

# What each list of evidence must say of each of its entries.
evidence := {
	"deployments": ["environment", "commit", "digest", "state", "since"],
	"checkRuns": ["name", "headSha", "app", "status"],
	"attestations": ["predicateType", "subjectDigest", "signer"],
	"alerts": ["state", "severity"],
	"freezes": ["from", "until", "reason"],
}

entries[list] := input[list] if {
	some list, _ in evidence
	is_array(input[list])
}

readable(list, entry) if {
	every field in evidence[list] {
		is_string(entry[field])
	}
	timely(list, entry)
}

timely("deployments", entry) if common.is_time(entry.since)

timely("freezes", entry) if {
	common.is_time(entry.from)
	common.is_time(entry.until)
	is_array(entry.environments)
}

timely(list, _) if not list in {"deployments", "freezes"}

# PRM-000: without these the other rules have nothing to judge.

violations contains common.finding("PRM-000", "error", "The time of the evaluation is missing.", "/time") if common.today == ""

violations contains common.finding("PRM-000", "error", message, sprintf("/application/%s", [field])) if {
	some field in ["name", "ownerTeam"]
	text(field) == ""
	message := sprintf("The field %s of the application is missing.", [field])
}

violations contains common.finding("PRM-000", "error", "The criticality of the application is missing or unknown.", "/application/criticality") if {
	not text("criticality") in data.config.request.criticalities
}

violations contains common.finding("PRM-000", "error", message, sprintf("/release/%s", [field])) if {
	some field, value in {"repository": repository, "commit": commit, "digest": digest}
	value == ""
	message := sprintf("The %s of the release is missing or malformed.", [field])
}

violations contains common.finding("PRM-000", "error", message, sprintf("/%s", [list])) if {
	some list, _ in evidence
	not entries[list]
	message := sprintf("The list of %s is missing.", [list])
}

violations contains common.finding("PRM-000", "error", message, sprintf("/%s/%d", [list, index])) if {
	some list, found in entries
	some index, entry in found
	not readable(list, entry)
	message := sprintf("This entry of %s cannot be judged.", [list])
}

# PRM-001: one stage after the other.

violations contains common.finding("PRM-001", "error", message, "/to") if {
	not stages_follow
	message := sprintf("A release goes from one stage to the very next one: %s.", [concat(", ", order)])
}

stages_follow if {
	some index, stage in order
	stage == origin
	order[index + 1] == target
	origin in environments
	target in environments
}

# PRM-002, PRM-003: the very same artefact, stage by stage.

violations contains common.finding("PRM-002", "error", message, "/deployments") if {
	some stage in stages_before
	not has_run(stage)
	message := sprintf("The artefact has not been deployed to %s.", [stage])
}

violations contains common.finding("PRM-002", "error", message, "/deployments") if {
	origin != ""
	not running
	message := sprintf("The artefact is not what runs in %s now.", [origin])
}

violations contains common.finding("PRM-003", "error", message, sprintf("/deployments/%d/digest", [index])) if {
	some index, deployment in deployments
	deployment.commit == commit
	deployment.digest != digest
	message := sprintf("The same commit was deployed to %s as another artefact: it was built again.", [deployment.environment])
}

deployments[index] := entry if {
	some index, entry in entries.deployments
	readable("deployments", entry)
}

stages_before contains stage if {
	some earlier, stage in order
	some later, other in order
	other == target
	earlier < later
}

has_run(stage) if {
	some deployment in deployments
	deployment.environment == stage
	deployment.digest == digest
	deployment.state in {"success", "inactive"}
}

# What runs in the stage it comes from is what was deployed there last. GitHub sets older deployments inactive, unless
# told otherwise.
current contains deployment if {
	some deployment in deployments
	deployment.environment == origin
	deployment.state == "success"
	common.seconds(deployment.since) == newest
}

newest := max({common.seconds(deployment.since) |
	some deployment in deployments
	deployment.environment == origin
	deployment.state == "success"
})

running if {
	count(current) > 0
	every deployment in current {
		deployment.digest == digest
	}
}

# PRM-004, PRM-005, PRM-006: tests and analyses. A check counts when it comes from an app that may report it, is of this
# commit, and every one of its runs succeeded: neutral, skipped and stale are no success. Nothing from outside can scan
# what has no public address: then, and only when the input says so, DAST is not asked for.

check_rules := {"tests": "PRM-004", "sast": "PRM-005", "dast": "PRM-006"}

violations contains common.finding(check_rules[gate], "error", message, "/checkRuns") if {
	some gate in data.config.promotion.required_checks[target]
	not out_of_reach(gate)
	some name in data.config.promotion.checks[gate].names
	not succeeded(gate, name)
	message := sprintf("The check %s did not succeed for the commit.", [name])
}

out_of_reach(gate) if {
	gate == "dast"
	is_object(application.parameters)
	object.get(application.parameters, "publicEndpoint", false) == false
}

succeeded(gate, name) if {
	runs := [run |
		some run in entries.checkRuns
		run.name == name
		run.headSha == commit
		run.app in data.config.promotion.checks[gate].apps
	]
	count(runs) > 0
	every run in runs {
		run.status == "completed"
		run.conclusion == "success"
	}
}

# PRM-007, PRM-008: what the artefact is made of, and where it comes from.

attestation_rules := {"sbom": "PRM-007", "provenance": "PRM-008"}

violations contains common.finding(rule, "error", message, "/attestations") if {
	some kind, rule in attestation_rules
	not attested(kind)
	message := sprintf("The artefact has no verified attestation (%s) by the pipeline of its repository.", [kind])
}

attested(kind) if {
	some attestation in entries.attestations
	attestation.predicateType in data.config.promotion.attestations[kind]
	attestation.subjectDigest == digest
	attestation.verified == true
	attestation.signer == sprintf("https://github.com/%s/%s", [repository, data.config.promotion.signer_workflow])
}

# PRM-009: long enough without trouble.

violations contains common.finding("PRM-009", "error", message, "/release") if {
	not soaked
	message := sprintf(
		"The artefact must have run for %v hours in %s before it goes to %s.",
		[object.get(data.config.promotion.soak_hours, [target, text("criticality")], "some"), origin, target],
	)
}

soaked if {
	running
	some deployment in current
	now - common.seconds(deployment.since) >= data.config.promotion.soak_hours[target][text("criticality")] * 3600
}

# PRM-010: nothing changes during a freeze.

violations contains common.finding("PRM-010", "error", message, sprintf("/freezes/%d", [index])) if {
	some index, freeze in entries.freezes
	readable("freezes", freeze)
	some environment in freeze.environments
	environment in {"*", target}
	common.seconds(freeze.from) <= now
	now < common.seconds(freeze.until)
	message := sprintf("A change freeze is in force until %s: %s.", [freeze.until, trim_right(freeze.reason, ".")])
}

# PRM-011: known weaknesses. A severity that is not known is severe.

violations contains common.finding("PRM-011", "error", message, sprintf("/alerts/%d", [index])) if {
	some index, alert in entries.alerts
	readable("alerts", alert)
	alert.state == "open"
	blocking(alert.severity)
	message := sprintf("A finding of the static analysis of severity %s is open.", [alert.severity])
}

blocking(severity) if severity in data.config.promotion.blocking_alerts[target]

blocking(severity) if not severity in {"critical", "high", "medium", "low", "error", "warning", "note", "none"}

# PRM-012: production is a decision of people.

require_approval contains common.finding("PRM-012", "warning", message, "/to") if {
	target in data.config.promotion.approval_environments
	message := sprintf("A release to %s needs an approval.", [target])
}

# PRM-013: what was built long ago was patched long ago.

warn contains common.finding("PRM-013", "info", message, "/release/builtAt") if {
	not fresh
	message := sprintf("The artefact was built more than %d days ago, or nobody knows when.", [data.config.promotion.oldest_days])
}

fresh if {
	now - common.seconds(release.builtAt) <= data.config.promotion.oldest_days * 86400
}
