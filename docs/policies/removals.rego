# Nobody removes what a host cannot do without, neither by `absent: true` nor by leaving it out of Git. The first is seen
# by `check` already, the second by the host alone: it knows what it was given before.
package main

import rego.v1

kept := {"package:openssh-server", "package:sudo", "user:ops"}

deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	resource.absent
	resource.key in kept
	msg := sprintf("%s is kept on every host", [resource.key])
}

deny contains {"msg": msg, "resource": removal.resource} if {
	some removal in input.plan.removals
	removal.resource in kept
	msg := sprintf("%s is kept on every host", [removal.resource])
}
