# What may be deployed to a namespace of ours. The input is a rendered manifest, or a list of them.
package deployment

import rego.v1

documents := input if is_array(input)

documents := [input] if is_object(input)

pods contains {"kind": document.kind, "name": document.metadata.name, "spec": spec} if {
	some document in documents
	spec := document.spec.template.spec
}

pods contains {"kind": document.kind, "name": document.metadata.name, "spec": spec} if {
	some document in documents
	spec := document.spec.jobTemplate.spec.template.spec
}

deny contains sprintf("%s %s: the image %s is not named by its digest", [pod.kind, pod.name, container.image]) if {
	some pod in pods
	some container in pod.spec.containers
	not regex.match(`@sha256:[0-9a-f]{64}$`, container.image)
}

deny contains sprintf("%s %s: runs as root", [pod.kind, pod.name]) if {
	some pod in pods
	not pod.spec.securityContext.runAsNonRoot
}

deny contains sprintf("%s %s: may gain rights, or keeps capabilities", [pod.kind, pod.name]) if {
	some pod in pods
	some container in pod.spec.containers
	not confined(container)
}

deny contains sprintf("%s %s: has no limit of memory", [pod.kind, pod.name]) if {
	some pod in pods
	some container in pod.spec.containers
	not container.resources.limits.memory
}

deny contains sprintf("%s %s: shares %s with the node", [pod.kind, pod.name, what]) if {
	some pod in pods
	some what in ["hostNetwork", "hostPID", "hostIPC"]
	pod.spec[what]
}

deny contains sprintf("%s %s: a secret belongs into the Key Vault", [document.kind, document.metadata.name]) if {
	some document in documents
	document.kind == "Secret"
}

deny contains sprintf("%s %s: does not say which request made it", [document.kind, document.metadata.name]) if {
	some document in documents
	not document.metadata.labels["appstore/request-id"]
}

confined(container) if {
	container.securityContext.allowPrivilegeEscalation == false
	container.securityContext.readOnlyRootFilesystem == true
	"ALL" in container.securityContext.capabilities.drop
}
