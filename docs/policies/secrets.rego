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

# Lines and blocks have no mode in Git. The host refuses a file that everybody reads; its group may read it.
warn contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	resource.wanted.secret
	not resource.wanted.mode
	msg := sprintf("%s holds a secret, and the group of the file may read it; write the whole file with 0600 to keep it out", [resource.name])
}
