# sshd is only changed while somebody is there to help whoever is locked out: Monday to Friday, 9 to 16 in Berlin.
# The rule is about what would change on a host now, so `check` never denies by it; hand edits are repaired at any time.
package main

import rego.v1

zone := "Europe/Berlin"

working_hours if {
	not time.weekday([time.now_ns(), zone]) in {"Saturday", "Sunday"}
	hour := time.clock([time.now_ns(), zone])[0]
	hour >= 9
	hour < 16
}

deny contains {"msg": msg, "deploy": change.deploy} if {
	some change in input.plan.changes
	regex.match(`^(file|directory|block|line):/etc/ssh/|^unit:sshd?\.service$`, change.resource)
	change.cause == "intended"
	not working_hours
	msg := sprintf("%s is changed on working days from 9 to 16 (%s)", [change.resource, zone])
}
