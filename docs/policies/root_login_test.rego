package main

import rego.v1

sshd_says(text) := {"deploys": [{"name": "ssh", "resources": [{
	"key": "file:/etc/ssh/sshd_config.d/00-hostwright.conf",
	"kind": "file",
	"name": "/etc/ssh/sshd_config.d/00-hostwright.conf",
	"wanted": {"text": text, "mode": "0644"},
}]}]}

test_root_with_a_password_is_denied if {
	count(deny) == 1 with input as sshd_says("Port 22\npermitrootlogin yes\n")
}

test_root_with_a_key_is_fine if {
	count(deny) == 0 with input as sshd_says("PermitRootLogin prohibit-password\n")
}
