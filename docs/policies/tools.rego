# Programs come from packages or from tools.yaml, which lock.yaml pins to hashes; a command that fetches them does not.
# It knows the usual forms of such a command, not every one.
package main

import rego.v1

fetches := `\b(curl|wget)\b.*\|\s*(sudo\s+)?(ba|da)?sh\b|\bpip3?\s+install\b|\bnpm\s+(install|i)\s|\bgo\s+install\b`

deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	resource.kind == "command"
	regex.match(fetches, concat(" ", resource.wanted.argv))
	msg := sprintf("the command %s installs what nobody has pinned: name it in tools.yaml", [resource.name])
}

# A tool of tools.yaml that has no hash at all would be one that an older lock.yaml let through.
deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	resource.kind == "tool"
	count(object.get(resource.wanted, "assets", {})) == 0
	not hashed(object.get(resource.wanted, "requirements", []))
	msg := sprintf("the tool %s has no hash: run `hostwright lock`", [resource.name])
}

hashed(requirements) if {
	count(requirements) > 0
	every requirement in requirements {
		contains(requirement, "--hash=sha256:")
	}
}
