# Who may ask this OPA server what (opa run --authentication=token --authorization=basic). It is not part of the bundle:
# whoever may write rules must not decide who asks.
#
# Environment: OPA_TENANT_ID, OPA_AUDIENCE (as in the App Store's OPA_AUDIENCE), OPA_ALLOWED_OBJECTS: object ids of the
# managed identities that may ask, separated by commas.
package system.authz

import rego.v1

default allow := false

# Probes of the platform, without a token; they say nothing about the rules.
allow if {
	input.method == "GET"
	input.path == ["health"]
}

allow if {
	input.method == "POST"
	input.path == ["v1", "data", "appstore", package_asked, "decision"]
	caller in allowed_objects
}

package_asked := name if {
	name := input.path[3]
	name in {"request", "plan", "promotion"}
}

env := opa.runtime().env

allowed_objects contains object if {
	some object in split(env.OPA_ALLOWED_OBJECTS, ",")
	object != ""
}

# The caller, if its token is one of our tenant for us. Entra issues both forms.
caller := claims.oid if {
	[valid, _, claims] := io.jwt.decode_verify(input.identity, {"cert": keys, "aud": env.OPA_AUDIENCE})
	valid
	claims.iss in {
		sprintf("https://sts.windows.net/%s/", [env.OPA_TENANT_ID]),
		sprintf("https://login.microsoftonline.com/%s/v2.0", [env.OPA_TENANT_ID]),
	}
	claims.tid == env.OPA_TENANT_ID
}

keys := answer.raw_body if {
	answer := http.send({
		"method": "GET",
		"url": sprintf("https://login.microsoftonline.com/%s/discovery/v2.0/keys", [env.OPA_TENANT_ID]),
		"force_cache": true,
		"force_cache_duration_seconds": 3600,
		"raise_error": false,
		"timeout": "2s",
	})
	answer.status_code == 200
}
