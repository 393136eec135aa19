# Nobody logs in as root with a password. A file that comes by `source` or `tree` has no text here, and is not seen.
package main

import rego.v1

deny contains {"msg": msg, "resource": resource.key} if {
	some deploy in input.deploys
	some resource in deploy.resources
	startswith(resource.name, "/etc/ssh/sshd_config")
	some line in split(resource.wanted.text, "\n")
	regex.match(`(?i)^\s*PermitRootLogin[\s=]+"?yes\b`, line)
	msg := sprintf("%s lets root log in with a password: %s", [resource.name, trim_space(line)])
}
