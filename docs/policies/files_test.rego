package main

import rego.v1

with_mode(mode) := with_kind("file", mode)

with_kind(kind, mode) := {"deploys": [{"name": "files", "resources": [{
	"key": sprintf("%s:/etc/app.conf", [kind]),
	"kind": kind,
	"name": "/etc/app.conf",
	"wanted": {"mode": mode},
}]}]}

test_a_file_that_everybody_writes_is_denied if {
	some found in deny with input as with_mode("0666")
	found == {"msg": "/etc/app.conf can be written by everybody (mode 0666)", "resource": "file:/etc/app.conf"}
}

test_a_file_that_everybody_reads_is_fine if {
	count(deny) == 0 with input as with_mode("0644")
}

test_a_shared_folder_with_the_sticky_bit_is_fine if {
	count(deny) == 0 with input as with_kind("directory", "1777")
}

test_a_file_with_the_sticky_bit_is_denied if {
	count(deny) == 1 with input as with_mode("1666")
}
