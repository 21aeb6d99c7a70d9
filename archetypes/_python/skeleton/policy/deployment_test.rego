package deployment_test

import data.deployment
import rego.v1

labels := {"appstore/request-id": "req-1"}

container := {
	"image": "registry/app@sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
	"resources": {"limits": {"memory": "64Mi"}},
	"securityContext": {
		"allowPrivilegeEscalation": false,
		"readOnlyRootFilesystem": true,
		"capabilities": {"drop": ["ALL"]},
	},
}

pod(it) := {"securityContext": {"runAsNonRoot": true}, "containers": [it]}

workload(spec) := {
	"kind": "Deployment",
	"metadata": {"name": "app", "labels": labels},
	"spec": {"template": {"spec": spec}},
}

test_good_deployment_passes if {
	count(deployment.deny) == 0 with input as workload(pod(container))
}

test_list_of_manifests_is_judged_whole if {
	wrong := workload(pod(object.union(container, {"image": "registry/app:latest"})))
	count(deployment.deny) == 1 with input as [workload(pod(container)), wrong]
}

test_tag_is_refused if {
	some message in deployment.deny with input as workload(pod(object.union(container, {"image": "registry/app:latest"})))
	contains(message, "digest")
}

test_root_is_refused if {
	count(deployment.deny) == 1 with input as workload({"containers": [container]})
}

test_rights_are_refused if {
	count(deployment.deny) == 1 with input as workload(pod(object.remove(container, ["securityContext"])))
}

test_memory_without_limit_is_refused if {
	count(deployment.deny) == 1 with input as workload(pod(object.remove(container, ["resources"])))
}

test_host_network_is_refused if {
	count(deployment.deny) == 1 with input as workload(object.union(pod(container), {"hostNetwork": true}))
}

test_schedule_is_looked_into if {
	job := {"kind": "CronJob", "metadata": {"name": "job", "labels": labels}, "spec": {"jobTemplate": {"spec": {"template": {"spec": {"containers": [container]}}}}}}
	count(deployment.deny) == 1 with input as job
}

test_secret_is_refused if {
	count(deployment.deny) == 1 with input as {"kind": "Secret", "metadata": {"name": "s", "labels": labels}}
}

test_unlabelled_object_is_refused if {
	count(deployment.deny) == 1 with input as {"kind": "Service", "metadata": {"name": "s"}}
}
