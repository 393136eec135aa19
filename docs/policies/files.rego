# No file or folder may be written by everybody, unless it is a shared folder with the sticky bit, such as /tmp.
package main

import rego.v1

deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	mode := resource.wanted.mode
	regex.match(`[2367]$`, mode)
	not shared(resource)
	msg := sprintf("%s can be written by everybody (mode %s)", [resource.name, mode])
}

shared(resource) if {
	resource.kind == "directory"
	regex.match(`^1...$`, resource.wanted.mode)
}
