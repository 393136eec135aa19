package main

import rego.v1

secret_with_mode(mode) := {"deploys": [{"name": "files", "resources": [{
	"key": "file:/etc/app.key",
	"kind": "file",
	"name": "/etc/app.key",
	"wanted": {"text": "key={{ vault('kv/data/web#key') }}\n", "mode": mode, "secret": true},
}]}]}

test_a_secret_that_a_group_reads_is_denied if {
	count(deny) == 1 with input as secret_with_mode("0640")
}

test_a_secret_of_its_owner_is_fine if {
	count(deny) == 0 with input as secret_with_mode("0600")
}

test_a_secret_in_a_block_is_a_warning if {
	block := {"key": "block:/etc/app.conf#x", "kind": "block", "name": "/etc/app.conf#x", "wanted": {"secret": true}}
	told := {"deploys": [{"name": "files", "resources": [block]}]}
	count(deny) == 0 with input as told
	count(warn) == 1 with input as told
}
