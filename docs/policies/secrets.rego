# A file that holds a secret is read by its owner alone. (`check` refuses one that everybody reads; this is stricter.)
package main

import rego.v1

deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	resource.wanted.secret
	not regex.match(`00$`, resource.wanted.mode)
	msg := sprintf("%s holds a secret and has mode %s; 0600 keeps it to its owner", [resource.name, resource.wanted.mode])
}

# Lines and blocks have no mode in Git: what they are written to may be read by its group.
deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	resource.wanted.secret
	not resource.wanted.mode
	msg := sprintf("%s holds a secret, and Git does not say its mode; write the whole file with 0600", [resource.name])
}
