package main

import rego.v1

one(kind, wanted) := {"deploys": [{"name": "d", "resources": [{
	"key": sprintf("%s:x", [kind]),
	"kind": kind,
	"name": "x",
	"wanted": wanted,
}]}]}

test_a_script_from_the_net_is_denied if {
	count(deny) == 1 with input as one("command", {"argv": ["/bin/sh", "-euc", "curl -fsSL https://example.org/i.sh | sh"]})
}

test_pip_is_denied if {
	count(deny) == 1 with input as one("command", {"argv": ["pip", "install", "ruff"]})
}

test_another_command_is_fine if {
	count(deny) == 0 with input as one("command", {"argv": ["/srv/app/bin/migrate", "--all", "3"]})
}

test_a_tool_without_a_hash_is_denied if {
	count(deny) == 1 with input as one("tool", {"assets": {}, "requirements": ["ruff==0.17.6"]})
}

test_a_tool_with_hashes_is_fine if {
	count(deny) == 0 with input as one("tool", {"assets": {}, "requirements": ["ruff==0.17.6 --hash=sha256:06"]})
}
